//! The networks, each built as an ONNX graph.
//!
//! Every network takes and gives RGB NCHW in [0, 1] with dynamic N, H and W. Floating-point
//! initializers are trained, but for BatchNormalization's running statistics, which follow the
//! training; `Constant` nodes are fixed. Deliberately absent: training and any runtime.

mod arch;
mod carn;
mod edsr;
mod init;
mod msrn;
mod net;
mod pixels;
mod rcan;
mod srgan;
mod srresnet;

use std::collections::HashSet;

pub use arch::{Arch, Loss, Network, Preset};
pub use carn::Carn;
pub use edsr::Edsr;
pub use msrn::Msrn;
pub use rcan::Rcan;
pub use srgan::Discriminator;
pub use srresnet::SrResNet;

use crate::onnx::Model;

/// The operator set that the networks are written in: every runtime in use reads it.
pub const OPSET: i64 = 17;
/// The IR version that goes with it.
pub const IR_VERSION: i64 = 8;
/// The metadata key under which a model names the last feature map before upsampling.
pub const TAP: &str = "temper.tap";
/// The metadata key under which a model names the feature map that its first layer gives.
pub const TAP_FIRST: &str = "temper.tap.first";
/// The metadata key under which a model states its scale.
pub const SCALE: &str = "temper.scale";

/// The largest setting of width and depth taken: far beyond any published one.
const MAX_WIDTH: usize = 4096;

/// A setting that no network has.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0}")]
pub struct ZooError(String);

/// The number of trained parameters: of initializers that are not running statistics.
pub fn parameter_count(model: &Model) -> usize {
    let norms = model.graph.nodes.iter().filter(|node| node.qualified_op() == "BatchNormalization");
    let followed: HashSet<&str> = norms.flat_map(|node| [node.input(3), node.input(4)]).flatten().collect();
    let trained = model.graph.initializers.iter().filter(|(name, _)| !followed.contains(name.as_str()));
    trained.map(|(_, tensor)| tensor.len()).sum()
}

/// Parameters of a square convolution with a bias, for tests that count by hand.
#[cfg(test)]
const fn conv_size(kernel: usize, inputs: usize, outputs: usize) -> usize {
    kernel * kernel * inputs * outputs + outputs
}

fn check_scale(network: &str, scale: usize, scales: &[usize]) -> Result<(), ZooError> {
    if scales.contains(&scale) {
        return Ok(());
    }
    let names: Vec<String> = scales.iter().map(usize::to_string).collect();
    let list = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    };
    Err(ZooError(format!("{network} has scales {list}, not {scale}")))
}

fn check_size(network: &str, sizes: &[(&str, usize)]) -> Result<(), ZooError> {
    match sizes.iter().find(|(_, size)| !(1..=MAX_WIDTH).contains(size)) {
        Some((what, size)) => Err(ZooError(format!("{network} takes 1 to {MAX_WIDTH} {what}, not {size}"))),
        None => Ok(()),
    }
}
