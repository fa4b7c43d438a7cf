//! Pad: constant, reflect, edge and wrap.

use super::super::spatial::Pads;
use super::{Attributes, Inputs, Kernel, Operator, Refusal, axes, one, standard};
use crate::torch::{Device, Kind, Tensor};

pub(super) const OPERATORS: &[Operator] = &[standard("Pad", 1..=4, pad)];

/// What stands outside the tensor.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

/// Pads and value are attributes before opset 11 and inputs since.
fn pad(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let mode = match attributes.choice("mode", &["constant", "reflect", "edge", "wrap"])? {
        "reflect" => Mode::Reflect,
        "edge" => Mode::Edge,
        "wrap" => Mode::Wrap,
        _ => Mode::Constant,
    };
    if attributes.opset < 11 {
        let pads = attributes.ints("pads")?.ok_or_else(|| Refusal::new("attribute `pads` is missing"))?;
        let value = attributes.float("value")?.unwrap_or(0.0);
        return one(move |inputs| {
            let x = inputs.get(0)?;
            apply(x, mode, &all_dims(&pads, None, x.dim())?, &Tensor::from(value))
        });
    }
    one(move |inputs| {
        let x = inputs.get(0)?;
        let named = inputs.optional_ints(3)?;
        let pads = all_dims(&inputs.ints(1)?, named.as_deref(), x.dim())?;
        apply(x, mode, &pads, &constant_value(inputs)?)
    })
}

fn constant_value(inputs: &Inputs<'_>) -> Result<Tensor, Refusal> {
    match inputs.optional(2) {
        Some(value) if value.numel() == 1 => Ok(value.f_reshape([] as [i64; 0])?),
        Some(value) => Err(Refusal::new(format!("the value to pad with has shape {:?}", value.size()))),
        None => Ok(Tensor::from(0.0)),
    }
}

/// The (begin, end) pads of every dimension.
fn all_dims(pads: &[i64], named: Option<&[i64]>, rank: usize) -> Result<Vec<(i64, i64)>, Refusal> {
    let dims = match named {
        Some(named) => axes(named, rank)?,
        None => (0..rank as i64).collect(),
    };
    if pads.len() != 2 * dims.len() {
        return Err(Refusal::new(format!("{} pads for {} dimensions", pads.len(), dims.len())));
    }
    let mut all = vec![(0, 0); rank];
    for (index, &dim) in dims.iter().enumerate() {
        all[dim as usize] = (pads[index], pads[dims.len() + index]);
    }
    Ok(all)
}

fn apply(x: &Tensor, mode: Mode, pads: &[(i64, i64)], value: &Tensor) -> Result<Tensor, Refusal> {
    if mode == Mode::Constant {
        let flat: Vec<i64> = pads.iter().rev().flat_map(|&(begin, end)| [begin, end]).collect();
        if !value.requires_grad() {
            return Ok(x.f_pad(flat, "constant", value.f_double_value(&[])?)?);
        }
        // As a number it would not be differentiated.
        let added = x.f_zeros_like()?.f_pad(&flat, "constant", 1.0)?;
        return Ok(x.f_pad(flat, "constant", 0.0)?.f_add(&added.f_mul(value)?)?);
    }
    let mut result = x.shallow_clone();
    for (dim, &(begin, end)) in pads.iter().enumerate().filter(|(_, pads)| **pads != (0, 0)) {
        let size = result.size()[dim];
        let indices =
            (-begin..size + end).map(|index| source(index, size, mode)).collect::<Result<Vec<_>, _>>();
        let indices = place(Tensor::from_slice(&indices?), x.device())?;
        result = result.f_index_select(dim as i64, &indices)?;
    }
    Ok(result)
}

/// Which element of `size` stands at `index`, which may lie outside.
fn source(index: i64, size: i64, mode: Mode) -> Result<i64, Refusal> {
    if size == 0 {
        return Err(Refusal::new("an empty dimension cannot be padded from its own elements"));
    }
    Ok(match mode {
        Mode::Reflect if size == 1 => 0,
        Mode::Reflect => {
            let period = 2 * (size - 1);
            let within = index.rem_euclid(period);
            within.min(period - within)
        }
        Mode::Wrap => index.rem_euclid(size),
        Mode::Edge | Mode::Constant => index.clamp(0, size - 1),
    })
}

fn place(indices: Tensor, device: Device) -> Result<Tensor, Refusal> {
    Ok(indices.f_to_kind(Kind::Int64)?.f_to_device(device)?)
}

/// Puts `value` around the spatial dimensions of (N, C, ...).
pub(super) fn pad_spatial(x: &Tensor, pads: &Pads, value: f64) -> Result<Tensor, Refusal> {
    let both = pads.begin.iter().zip(&pads.end).rev();
    let flat: Vec<i64> = both.flat_map(|(&begin, &end)| [begin, end]).collect();
    Ok(x.f_pad(flat, "constant", value)?)
}
