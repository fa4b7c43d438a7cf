//! Quantised values: QuantizeLinear DequantizeLinear DynamicQuantizeLinear ConvInteger
//! MatMulInteger QLinearConv QLinearMatMul.
//!
//! Integers that the input changes are held as floating-point numbers, for autograd passes through
//! those alone: forward they are whole, backward rounding counts as the identity (straight-through)
//! and saturation as clipping. A computed scale counts as constant.

use super::conv::convolution;
use super::{Attributes, Inputs, Kernel, Operator, Refusal, one, standard};
use crate::onnx::DType;
use crate::torch::{Kind, Tensor};

pub(super) const OPERATORS: &[Operator] = &[
    standard("QuantizeLinear", 2..=3, quantize),
    standard("DequantizeLinear", 2..=3, dequantize),
    standard("DynamicQuantizeLinear", 1..=1, dynamic),
    standard("ConvInteger", 2..=4, conv_integer),
    standard("MatMulInteger", 2..=4, matmul_integer),
    standard("QLinearConv", 8..=9, qlinear_conv),
    standard("QLinearMatMul", 8..=8, qlinear_matmul),
];

/// The whole numbers that a zero point's type holds.
fn range(kind: Kind) -> Result<(f64, f64), Refusal> {
    match kind {
        Kind::Uint8 => Ok((0.0, 255.0)),
        Kind::Int8 => Ok((-128.0, 127.0)),
        Kind::Int16 => Ok((-32768.0, 32767.0)),
        other => Err(Refusal::new(format!("quantising to {other:?} is not known"))),
    }
}

/// Forward `whole`, backward what `real` passes on.
fn straight_through(whole: &Tensor, real: &Tensor) -> Result<Tensor, Refusal> {
    Ok(real.f_add(&whole.f_sub(real)?.f_detach()?)?)
}

/// A parameter along `dim` of a value of `rank` dimensions, in floating point.
fn along(parameter: &Tensor, like: &Tensor, dim: i64) -> Result<Tensor, Refusal> {
    let parameter = parameter.f_to_device(like.device())?.f_to_kind(like.f_kind()?)?;
    if parameter.numel() == 1 {
        return Ok(parameter.f_reshape([] as [i64; 0])?);
    }
    let mut shape = vec![1; like.dim()];
    *shape
        .get_mut(dim as usize)
        .ok_or_else(|| Refusal::new("scales along a dimension that is not there"))? = -1;
    Ok(parameter.f_reshape(shape)?)
}

/// The integers of an input less their zero point, in the kind of the program.
fn centred(inputs: &Inputs<'_>, [value, zero]: [usize; 2], dim: i64, kind: Kind) -> Result<Tensor, Refusal> {
    let value = inputs.get(value)?.f_to_kind(kind)?;
    match inputs.optional(zero) {
        Some(zero) => Ok(value.f_sub(&along(zero, &value, dim)?)?),
        None => Ok(value),
    }
}

fn scale_axis(attributes: &Attributes<'_>) -> Result<i64, Refusal> {
    if attributes.int("block_size")?.unwrap_or(0) != 0 {
        return Err(Refusal::new("quantising in blocks is not known"));
    }
    Ok(attributes.int("axis")?.unwrap_or(1))
}

fn quantize(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let axis = scale_axis(attributes)?;
    // Concerns 8-bit floats alone, which `kind_of` refuses.
    attributes.int("saturate")?;
    attributes.int("precision")?;
    let stated = attributes.int("output_dtype")?.filter(|&code| code != 0).map(|code| code as i32);
    let stated = stated.and_then(DType::from_code).unwrap_or(DType::U8);
    let stated = attributes.place.kind_of(stated)?;
    one(move |inputs| {
        let x = inputs.get(0)?;
        let axis = if axis < 0 { axis + x.dim() as i64 } else { axis };
        let scale = along(inputs.get(1)?, x, axis)?;
        let (zero, kind) = match inputs.optional(2) {
            Some(zero) => (along(zero, x, axis)?, zero.f_kind()?),
            None => (scale.f_zeros_like()?, stated),
        };
        let (low, high) = range(kind)?;
        let real = x.f_div(&scale)?;
        let whole = real.f_round()?.f_add(&zero)?.f_clamp(low, high)?;
        straight_through(&whole, &real.f_add(&zero)?.f_clamp(low - 0.5, high + 0.5)?)
    })
}

fn dequantize(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let axis = scale_axis(attributes)?;
    attributes.int("output_dtype")?;
    let kind = attributes.place.kind;
    one(move |inputs| {
        let dim = inputs.get(0)?.dim() as i64;
        let axis = if axis < 0 { axis + dim } else { axis };
        let value = centred(inputs, [0, 2], axis, kind)?;
        Ok(value.f_mul(&along(inputs.get(1)?, &value, axis)?)?)
    })
}

/// The values lie between the ends of 8 bits, 0 among them.
fn dynamic(_: &Attributes<'_>) -> Result<Kernel, Refusal> {
    Ok(Box::new(|inputs| {
        let x = inputs.get(0)?;
        let seen = x.f_detach()?;
        let (low, high) = (seen.f_min()?.f_clamp_max(0.0)?, seen.f_max()?.f_clamp_min(0.0)?);
        let scale = high.f_sub(&low)?.f_div_scalar(255.0)?;
        let zero = low.f_neg()?.f_div(&scale)?.f_clamp(0.0, 255.0)?.f_round()?;
        let real = x.f_div(&scale)?;
        let whole = real.f_round()?.f_add(&zero)?.f_clamp(0.0, 255.0)?;
        Ok(vec![straight_through(&whole, &real)?, scale, zero])
    }))
}

fn conv_integer(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (convolve, kind) = (convolution(attributes)?, attributes.place.kind);
    one(move |inputs| convolve(&centred(inputs, [0, 2], 1, kind)?, &centred(inputs, [1, 3], 0, kind)?, None))
}

fn matmul_integer(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let kind = attributes.place.kind;
    one(move |inputs| {
        let (a, b) = (centred(inputs, [0, 2], 0, kind)?, centred(inputs, [1, 3], 1, kind)?);
        Ok(a.f_matmul(&b)?)
    })
}

/// A sum of products brought to the result's scale; at the ends of its range it counts as saturated.
fn requantised(inputs: &Inputs<'_>, sum: &Tensor, dim: i64) -> Result<Tensor, Refusal> {
    let zero = inputs.get(7)?;
    let (low, high) = range(zero.f_kind()?)?;
    let scale = |index: usize| along(inputs.get(index)?, sum, dim);
    let real = sum.f_mul(&scale(1)?.f_mul(&scale(4)?)?.f_div(&scale(6)?)?)?;
    let whole = real.f_round()?.f_add(&along(zero, sum, dim)?)?.f_clamp(low, high)?;
    let inside = whole.f_gt(low)?.f_logical_and(&whole.f_lt(high)?)?.f_to_kind(real.f_kind()?)?;
    straight_through(&whole, &real.f_mul(&inside)?)
}

fn qlinear_conv(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (convolve, kind) = (convolution(attributes)?, attributes.place.kind);
    one(move |inputs| {
        let (x, weight) = (centred(inputs, [0, 2], 1, kind)?, centred(inputs, [3, 5], 0, kind)?);
        let bias = inputs.optional(8).map(|bias| bias.f_to_kind(kind)).transpose()?;
        requantised(inputs, &convolve(&x, &weight, bias.as_ref())?, 1)
    })
}

fn qlinear_matmul(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let kind = attributes.place.kind;
    one(move |inputs| {
        let (a, b) = (centred(inputs, [0, 2], 0, kind)?, centred(inputs, [3, 5], 1, kind)?);
        requantised(inputs, &a.f_matmul(&b)?, 1)
    })
}
