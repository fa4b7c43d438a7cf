//! Conv, in any number of spatial dimensions, with groups, strides, dilations and any padding.
//! <https://onnx.ai/onnx/operators/onnx__Conv.html>
//!
//! y[n, m] = sum over c, k of w[m, c, k] x[n, c, s i + d k - p]. With respect to x this is linear,
//! and its adjoint is:
//! - at stride 1, the Conv of dy with the kernel flipped and its channels transposed, padded by
//!   d (K - 1) - p; the flipped weights are made once, here (measured faster than ConvTranspose
//!   on every runtime);
//! - at other strides, and where x is an image of one or three channels, the ConvTranspose of dy
//!   with the weights as they are (a Conv with so few outputs leaves most lanes of a vector idle).
//!
//! With respect to the weights it is the Conv of x with dy as its kernel, strides and dilations
//! exchanged; batch and channels exchange places, too. Weights that are computed but do not depend
//! on the image are read as the graph computes them.

use crate::onnx::{Attribute, Tensor, element_count};
use crate::rewrite::ops::geometry::{Axis, ints, pads_attribute, windows};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType, Value};

pub const OPERATORS: &[Operator] = &[Operator::differentiable(
    "Conv",
    &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
    infer,
    rule,
)
.costs(cost)];

/// Two per entry of a kernel, for every output element.
fn cost(call: &Call<'_>, output: &TensorType) -> Result<u64, String> {
    let kernel: usize = call.input(1)?.shape[1..].iter().product();
    Ok(2 * (output.len() * kernel) as u64)
}

/// What a Conv does, with everything worked out.
pub struct Shape {
    pub group: usize,
    pub axes: Vec<Axis>,
}

/// What a Conv-like node does to data by weights of these types.
pub fn shape_of(call: &Call<'_>, data: &TensorType, weight: &TensorType) -> Result<Shape, String> {
    if data.rank() < 3 || weight.rank() != data.rank() {
        return Err("needs data and weights of the same rank, at least 3".into());
    }
    let kernel = &weight.shape[2..];
    if call.ints("kernel_shape")?.is_some_and(|stated| ints(kernel.iter().copied()) != stated) {
        return Err("has a `kernel_shape` that is not that of its weights".into());
    }
    let group = usize::try_from(call.int("group", 1)?).unwrap_or(0);
    let channels = data.shape[1];
    let divides = group > 0 && channels == weight.shape[1] * group && weight.shape[0].is_multiple_of(group);
    if !divides || kernel.contains(&0) {
        return Err(format!("has weights that do not fit {channels} channels in {group} groups"));
    }
    Ok(Shape { group, axes: windows(call, kernel, &data.shape[2..])? })
}

/// The sizes of the result.
pub fn sizes(call: &Call<'_>, data: &TensorType, weight: &TensorType) -> Result<Vec<usize>, String> {
    let Shape { axes, .. } = shape_of(call, data, weight)?;
    let mut sizes = vec![data.shape[0], weight.shape[0]];
    for (axis, &size) in axes.iter().zip(&data.shape[2..]) {
        sizes.push(axis.windows(size)?);
    }
    Ok(sizes)
}

fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (data, weight) = (call.input(0)?, call.input(1)?);
    let sizes = sizes(call, data, weight)?;
    if let Some(bias) = call.optional(2)?
        && bias.shape != [weight.shape[0]]
    {
        return Err(format!("has a bias of shape {:?} for {} channels", bias.shape, weight.shape[0]));
    }
    Ok(vec![TensorType::new(data.dtype, sizes)])
}

fn rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let conv = vjp.read(|call| shape_of(call, call.input(0)?, call.input(1)?))?;
    let (dy, data, weight) = (vjp.cotangent()?, vjp.input(0)?, vjp.input(1)?);
    if vjp.wants(0) {
        let dx = data_gradient(vjp, &conv, &weight, data.shape(), &dy)?;
        vjp.give(0, dx);
    }
    if vjp.wants(1) {
        let dw = weight_gradient(vjp, &conv, &data, &dy, weight.shape())?;
        vjp.give(1, dw);
    }
    if vjp.wants(2) {
        let db = bias_gradient(vjp, &dy)?;
        vjp.give(2, db);
    }
    Ok(())
}

/// The gradient with respect to a bias per channel, given that with respect to the result (N, M, ...).
pub fn bias_gradient(vjp: &mut Vjp<'_>, dy: &Value) -> Result<Value, RewriteError> {
    let but_channels: Vec<i64> = (0..dy.shape().len() as i64).filter(|&axis| axis != 1).collect();
    vjp.reduce("ReduceSum", dy, &but_channels, false)
}

/// The most channels of x for which a ConvTranspose beats the Conv with flipped weights on ONNX
/// Runtime (1.8 to 9 times; from 64 to 12 channels it loses).
const FEW: usize = 3;

/// The gradient with respect to data of shape `input`, given that with respect to the result.
pub fn data_gradient(
    vjp: &mut Vjp<'_>,
    conv: &Shape,
    weight: &Value,
    input: &[usize],
    dy: &Value,
) -> Result<Value, RewriteError> {
    let small = conv.group == 1 && input[1] <= FEW;
    let known = vjp.known(weight).filter(|_| !small && conv.axes.iter().all(|axis| axis.stride == 1));
    let flipped =
        known.and_then(|known| known.as_f32().and_then(|data| adjoint(known.shape(), data, conv.group)));
    match flipped {
        Some(flipped) => at_stride_one(vjp, conv, flipped, dy),
        None => transposed(vjp, conv, weight, input, dy),
    }
}

/// The gradient with respect to weights of shape `shape` (M, C/g, K...), given the data (N, C, ...)
/// and the gradient with respect to the result (N, M, ...).
pub fn weight_gradient(
    vjp: &mut Vjp<'_>,
    conv: &Shape,
    data: &Value,
    dy: &Value,
    shape: &[usize],
) -> Result<Value, RewriteError> {
    let (n, group, spatial) = (data.shape()[0], conv.group, &data.shape()[2..]);
    let per_group = data.shape()[1] / group;
    let rest = |from: usize| (from as i64..(from + spatial.len()) as i64).collect::<Vec<_>>();
    let perm = |front: &[i64], from| [("perm", Attribute::Ints([front, &rest(from)].concat()))];
    // The data's groups stay groups of channels, its batch becomes their channels.
    let split = vjp.reshape(data, &[&[n, group, per_group], spatial].concat())?;
    let split = vjp.emit("Transpose", &[&split], perm(&[2, 1, 0], 3))?;
    let split = vjp.reshape(&split, &[&[per_group, group * n], spatial].concat())?;
    let kernel = vjp.emit("Transpose", &[dy], perm(&[1, 0], 2))?;
    // Entries that no window reached would make the result larger than the kernel: they are cut.
    let attributes = [
        ("dilations", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.stride)))),
        ("group", Attribute::Int(group as i64)),
        ("kernel_shape", Attribute::Ints(ints(dy.shape()[2..].iter().copied()))),
        (
            "pads",
            Attribute::Ints(pads_attribute(&conv.axes.iter().map(|axis| axis.pads).collect::<Vec<_>>())),
        ),
        ("strides", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.dilation)))),
    ];
    let mut dw = vjp.emit("Conv", &[&split, &kernel], attributes)?;
    for (axis, &size) in shape.iter().enumerate().skip(2) {
        dw = vjp.slice(&dw, axis, 0, size)?;
    }
    vjp.emit("Transpose", &[&dw], perm(&[1, 0], 2))
}

fn at_stride_one(
    vjp: &mut Vjp<'_>,
    conv: &Shape,
    flipped: Tensor,
    dy: &Value,
) -> Result<Value, RewriteError> {
    let flipped = vjp.tensor("weight", flipped);
    let reach = |axis: &Axis, pad: usize| (axis.extent() - 1).saturating_sub(pad);
    let pads: Vec<_> =
        conv.axes.iter().map(|axis| (reach(axis, axis.pads.0), reach(axis, axis.pads.1))).collect();
    let dy = cropped(vjp, dy, &conv.axes)?;
    let attributes = [
        ("dilations", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.dilation)))),
        ("group", Attribute::Int(conv.group as i64)),
        ("kernel_shape", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.kernel)))),
        ("pads", Attribute::Ints(pads_attribute(&pads))),
    ];
    vjp.emit("Conv", &[&dy, &flipped], attributes)
}

/// Cuts off what padding wider than the kernel's reach added: windows that saw nothing but zeros.
fn cropped(vjp: &mut Vjp<'_>, dy: &Value, axes: &[Axis]) -> Result<Value, RewriteError> {
    let excess = |axis: &Axis, pad: usize| pad.saturating_sub(axis.extent() - 1);
    let cuts: Vec<_> =
        axes.iter().map(|axis| (excess(axis, axis.pads.0), excess(axis, axis.pads.1))).collect();
    if cuts.iter().all(|cut| *cut == (0, 0)) {
        return Ok(dy.clone());
    }
    let ends = cuts.iter().zip(&dy.shape()[2..]).map(|(cut, size)| size - cut.1);
    let ends = ints(ends);
    let starts = vjp.ints(&ints(cuts.iter().map(|cut| cut.0)));
    let ends = vjp.ints(&ends);
    let over = vjp.ints(&ints(2..2 + axes.len()));
    vjp.emit("Slice", &[dy, &starts, &ends, &over], [])
}

fn transposed(
    vjp: &mut Vjp<'_>,
    conv: &Shape,
    weight: &Value,
    input: &[usize],
    dy: &Value,
) -> Result<Value, RewriteError> {
    let reached = |(axis, &count): (&Axis, &usize)| {
        (count - 1) * axis.stride + axis.extent() - axis.pads.0 - axis.pads.1
    };
    // The last entries that no window reached get no gradient: a "padding" of the output.
    let unreached = conv.axes.iter().zip(&dy.shape()[2..]).map(reached);
    let unreached = unreached.zip(&input[2..]).map(|(reached, size)| size - reached);
    let pads: Vec<_> = conv.axes.iter().map(|axis| axis.pads).collect();
    let attributes = [
        ("dilations", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.dilation)))),
        ("group", Attribute::Int(conv.group as i64)),
        ("kernel_shape", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.kernel)))),
        ("output_padding", Attribute::Ints(ints(unreached))),
        ("pads", Attribute::Ints(pads_attribute(&pads))),
        ("strides", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.stride)))),
    ];
    vjp.emit("ConvTranspose", &[dy, weight], attributes)
}

/// Weights (M, C/g, K...) to (C, M/g, K...) with every kernel flipped.
fn adjoint(shape: &[usize], data: &[f32], group: usize) -> Option<Tensor> {
    let (outputs, inputs) = (shape[0] / group, shape[1]);
    let area = element_count(&shape[2..])?;
    let mut flipped = Vec::with_capacity(data.len());
    for block in 0..group {
        for input in 0..inputs {
            for output in 0..outputs {
                let start = ((block * outputs + output) * inputs + input) * area;
                flipped.extend(data[start..start + area].iter().rev());
            }
        }
    }
    let mut sizes = shape.to_vec();
    (sizes[0], sizes[1]) = (inputs * group, outputs);
    Tensor::f32(&sizes, flipped).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjoint_weights_are_flipped_and_transposed_within_groups() {
        let data: Vec<f32> = (0..8).map(|value| value as f32).collect();
        // Two groups of one output and two inputs each, kernels of 2.
        let flipped = adjoint(&[2, 2, 2], &data, 2).unwrap();
        assert_eq!(flipped.shape(), [4, 1, 2]);
        assert_eq!(flipped.as_f32().unwrap(), [1., 0., 3., 2., 5., 4., 7., 6.]);
        // One group of two outputs and two inputs: channels transpose.
        let flipped = adjoint(&[2, 2, 2], &data, 1).unwrap();
        assert_eq!(flipped.shape(), [2, 2, 2]);
        assert_eq!(flipped.as_f32().unwrap(), [1., 0., 5., 4., 3., 2., 7., 6.]);
    }

    #[test]
    fn the_adjoint_of_the_adjoint_is_the_kernel() {
        let data: Vec<f32> = (0..2 * 6 * 3 * 3).map(|value| value as f32).collect();
        let once = adjoint(&[6, 2, 3, 3], &data, 3).unwrap();
        let twice = adjoint(once.shape(), once.as_f32().unwrap(), 3).unwrap();
        assert_eq!((twice.shape(), twice.as_f32().unwrap()), (&[6, 2, 3, 3][..], data.as_slice()));
    }
}
