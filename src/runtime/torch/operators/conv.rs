//! Conv and ConvTranspose in 1 to 3 dimensions.

use super::super::spatial::{AutoPad, Window};
use super::pad::pad_spatial;
use super::{Attributes, Kernel, Operator, Refusal, one, standard};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] =
    &[standard("Conv", 2..=3, conv), standard("ConvTranspose", 2..=3, conv_transpose)];

/// libtorch pads both ends alike; where the ends differ, zeros are put around the input first.
fn conv(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let convolve = convolution(attributes)?;
    one(move |inputs| convolve(inputs.get(0)?, inputs.get(1)?, inputs.optional(2)))
}

/// Data, weights and bias to the result.
pub(super) type Convolve = Box<dyn Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor, Refusal> + Send>;

/// What a node with the attributes of Conv does.
pub(super) fn convolution(attributes: &Attributes<'_>) -> Result<Convolve, Refusal> {
    let window = Window::read(attributes)?;
    let groups = attributes.int("group")?.unwrap_or(1);
    Ok(Box::new(move |x, weight, bias| {
        let window = window.sized(&x.size(), &kernel_of(weight)?)?;
        let pads = window.pads();
        let (x, padding) = match pads.symmetric() {
            Some(padding) => (x.shallow_clone(), padding),
            None => (pad_spatial(x, &pads, 0.0)?, vec![0; window.rank()]),
        };
        let none = vec![0; window.rank()];
        Ok(x.f_convolution(weight, bias, &window.strides, padding, &window.dilations, false, none, groups)?)
    }))
}

/// The full output is computed and its ends cut off by the pads, as ONNX defines them.
fn conv_transpose(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let window = Window::read(attributes)?;
    let groups = attributes.int("group")?.unwrap_or(1);
    let extra = attributes.ints("output_padding")?;
    let wanted = attributes.ints("output_shape")?;
    one(move |inputs| {
        let (x, weight) = (inputs.get(0)?, inputs.get(1)?);
        let size = x.size();
        let window = window.sized(&size, &kernel_of(weight)?)?;
        let rank = window.rank();
        let extra = extra.clone().unwrap_or_else(|| vec![0; rank]);
        let wanted = match &wanted {
            // Some exporters list batch and channels too.
            Some(shape) if shape.len() >= rank => Some(shape[shape.len() - rank..].to_vec()),
            Some(shape) => return Err(Refusal::new(format!("output_shape {shape:?} is too short"))),
            None if window.auto_pad.is_same() => {
                Some(size[2..].iter().zip(&window.strides).map(|(size, stride)| size * stride).collect())
            }
            None => None,
        };
        let symmetric = window.pads().symmetric().filter(|_| wanted.is_none());
        let padding = symmetric.clone().unwrap_or_else(|| vec![0; rank]);
        let full = x.f_convolution(
            weight,
            inputs.optional(2),
            &window.strides,
            padding,
            &window.dilations,
            true,
            &extra,
            groups,
        )?;
        if symmetric.is_some() { Ok(full) } else { cut(full, &window, wanted.as_deref()) }
    })
}

/// Cuts the ends off a transposed convolution's full output.
fn cut(
    full: Tensor,
    window: &super::super::spatial::Sized,
    wanted: Option<&[i64]>,
) -> Result<Tensor, Refusal> {
    let mut result = full;
    let pads = window.pads();
    for dim in 0..window.rank() {
        let axis = dim as i64 + 2;
        let length = result.size()[dim + 2];
        let (begin, keep) = match wanted {
            None => (pads.begin[dim], length - pads.begin[dim] - pads.end[dim]),
            Some(wanted) => {
                let total = length - wanted[dim];
                let half = total / 2;
                (if window.auto_pad == AutoPad::SameUpper { half } else { total - half }, wanted[dim])
            }
        };
        if begin < 0 || keep < 0 || begin + keep > length {
            let what = format!("an output of {length} cannot be cut to {keep} from {begin} on");
            return Err(Refusal::new(what));
        }
        result = result.f_narrow(axis, begin, keep)?;
    }
    Ok(result)
}

fn kernel_of(weight: &Tensor) -> Result<Vec<i64>, Refusal> {
    match weight.size().as_slice() {
        [_, _, kernel @ ..] if (1..=3).contains(&kernel.len()) => Ok(kernel.to_vec()),
        size => Err(Refusal::new(format!("weights of shape {size:?} are not of 1 to 3 dimensions"))),
    }
}
