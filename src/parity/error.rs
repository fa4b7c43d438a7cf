//! Why files or runtimes could not be compared at all. A difference is no error: it is the result.

use crate::onnx::Problem;
use crate::rewrite::RewriteError;
use crate::runtime::RuntimeError;

/// What stops a comparison.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// The model or what it is to be fed is not clear.
    #[error(transparent)]
    Unclear(#[from] Problem),
    /// The model cannot be given these shapes.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// A runtime failed where the other had an answer.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}
