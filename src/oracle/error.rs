//! Why an oracle has no answer.

use super::UnevenOutputs;
use crate::rewrite::RewriteError;
use crate::runtime::{Kind, RuntimeError};

/// Why an oracle has no answer.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// The model cannot be given this size, or cannot be differentiated.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The runtime is not there, or failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Output sizes that depend on pixels.
    #[error(transparent)]
    Uneven(#[from] UnevenOutputs),
    /// A result that is no number.
    #[error(
        "on runtime {kind}, the {what} holds {count} values that are not finite numbers; \
         look for weights or operators of the model that overflow"
    )]
    NotFinite {
        /// The runtime.
        kind: Kind,
        /// The output, the objective or its gradient.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A result of another shape than an image batch.
    #[error(
        "on runtime {kind}, the {what} has the shape {shape:?}; export the model with an output of \
         N x C x H x W"
    )]
    Shape {
        /// The runtime.
        kind: Kind,
        /// The output or the gradient.
        what: &'static str,
        /// What it has.
        shape: Vec<usize>,
    },
    /// An objective that is no sum over output pixels, at an image that goes through in tiles.
    #[error(
        "the gradient of {0} is not made of those of tiles; attack another objective, or the image whole"
    )]
    NotInTiles(&'static str),
}
