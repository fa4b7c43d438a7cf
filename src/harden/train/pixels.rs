//! 8-bit pixels as tensors.

use crate::harden::HardenError;
use crate::torch::{Device, Kind, Tensor};

/// Inputs and targets of a step, in the network's colours: (N, C, H, W) each.
pub(super) struct Pairs {
    pub lr: Tensor,
    pub hr: Tensor,
}

/// Interleaved 8-bit RGB pixels as (N, 3, height, width) on [0, 1], channels-last in memory.
pub(in crate::harden) fn images(
    pixels: &[u8],
    height: i64,
    width: i64,
    device: Device,
) -> Result<Tensor, HardenError> {
    let bytes = Tensor::from_slice(pixels).f_view([-1, height, width, 3])?.f_permute([0i64, 3, 1, 2])?;
    Ok(bytes.f_to_device(device)?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
}
