//! The networks, each built as an ONNX graph.
//!
//! Every network takes and gives RGB NCHW in [0, 1] with dynamic N, H and W. Initializers are
//! trained; `Constant` nodes are not. Deliberately absent: training and any runtime.

mod edsr;
mod init;

pub use edsr::Edsr;

use crate::onnx::Model;

/// The operator set that the networks are written in: every runtime in use reads it.
pub const OPSET: i64 = 17;
/// The IR version that goes with it.
pub const IR_VERSION: i64 = 8;
/// The metadata key under which a model names the last feature map before upsampling.
pub const TAP: &str = "temper.tap";
/// The metadata key under which a model names its first feature map.
pub const TAP_FIRST: &str = "temper.tap.first";
/// The metadata key under which a model states its scale.
pub const SCALE: &str = "temper.scale";

/// A setting that no network has.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0}")]
pub struct ZooError(String);

/// The number of trained parameters.
pub fn parameter_count(model: &Model) -> usize {
    model.graph.initializers.values().map(|tensor| tensor.len()).sum()
}
