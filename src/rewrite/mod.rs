//! Passes from graph to graph: fix a size, infer types, differentiate.
//!
//! The result is always a plain ONNX model of standard operators that any runtime can run.
//! Everything that must know an operator asks the table in `ops`; the passes name none.
//! Deliberately absent: running anything.

mod array;
mod branches;
mod cost;
mod effort;
mod emitter;
mod error;
mod fuse;
mod gradient;
mod halve;
mod naming;
mod norms;
mod ops;
mod promote;
mod prune;
mod specialise;
mod types;
mod upgrade;

pub use array::Array;
pub use cost::flops;
pub use effort::{bounded, least_bytes};
pub use emitter::{Emitter, Value};
pub use error::RewriteError;
pub use gradient::{Gradient, Stop, gradient};
pub use halve::halve;
pub use norms::fold_norms;
pub use ops::{Operator, Status, all as operators, status};
pub use promote::promote;
pub use prune::prune;
pub use specialise::{resized, specialise};
pub use types::{TensorType, Types, infer};
pub use upgrade::upgrade;

use crate::onnx::Model;

/// Whether a model computes in integers that stand for real numbers, so that its gradient passes
/// straight through roundings.
pub fn is_quantised(model: &Model) -> bool {
    model.graph.nodes.iter().any(ops::quantises)
}
