//! Passes from graph to graph: fix a size, infer types, differentiate, change precision.
//!
//! The result is always a plain ONNX model of standard operators that any runtime can run. What an operator
//! computes, its types and its gradient are in the table in `ops`; the passes are in `passes`.
//! Deliberately absent: running anything.

mod array;
mod emitter;
mod error;
mod naming;
mod ops;
mod passes;
mod types;

pub use array::Array;
pub use emitter::{Emitter, Value};
pub use error::RewriteError;
pub use ops::{Operator, Status, all as operators, status};
pub use passes::{
    Gradient, Stop, flops, fold_norms, gradient, promote, prune, resized, specialise, straight_through,
    to_f16, upgrade,
};
pub use types::{TensorType, Types, infer};

use crate::onnx::Model;

/// Whether a model computes in integers that stand for real numbers, so that its gradient passes
/// straight through roundings.
pub fn is_quantised(model: &Model) -> bool {
    model.graph.nodes.iter().any(ops::quantises)
}
