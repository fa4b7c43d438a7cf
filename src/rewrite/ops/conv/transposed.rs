//! ConvTranspose, in any number of spatial dimensions.
//! <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>
//!
//! It is the adjoint of a Conv with the same weights, so its own adjoint is that Conv.
//!
//! Padding may be stated, or follow from the size that the result is to have (`output_shape`, or with
//! `auto_pad` the input's times the strides).

use crate::onnx::Attribute;
use crate::rewrite::ops::conv::convolution as conv;
use crate::rewrite::ops::geometry::{Axis, explicit_pads, ints, pads_attribute, per_axis};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType};

pub const OPERATORS: &[Operator] = &[Operator::differentiable(
    "ConvTranspose",
    &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"],
    infer,
    rule,
)
.costs(cost)];

/// Two per entry of a kernel, for every input element.
fn cost(call: &Call<'_>, _: &TensorType) -> Result<u64, String> {
    let kernel: usize = call.input(1)?.shape[1..].iter().product();
    Ok(2 * (call.input(0)?.len() * kernel) as u64)
}

struct Shape {
    group: usize,
    axes: Vec<Axis>,
    output_padding: Vec<usize>,
}

fn shape(call: &Call<'_>) -> Result<Shape, String> {
    let (data, weight) = (call.input(0)?, call.input(1)?);
    if data.rank() < 3 || weight.rank() != data.rank() || data.shape[1] != weight.shape[0] {
        return Err("has weights that do not fit its data".into());
    }
    let kernel = &weight.shape[2..];
    let count = kernel.len();
    if call.ints("kernel_shape")?.is_some_and(|stated| ints(kernel.iter().copied()) != stated) {
        return Err("has a `kernel_shape` that is not that of its weights".into());
    }
    let group = usize::try_from(call.int("group", 1)?).unwrap_or(0);
    if group == 0 || data.shape[1] % group != 0 || kernel.contains(&0) {
        return Err(format!("has weights that do not fit {} channels in {group} groups", data.shape[1]));
    }
    let pads = explicit_pads(call, count)?;
    let (strides, dilations) = (per_axis(call, "strides", count)?, per_axis(call, "dilations", count)?);
    let axis =
        |i: usize| Axis { kernel: kernel[i], stride: strides[i], dilation: dilations[i], pads: pads[i] };
    let output_padding = match call.ints("output_padding")? {
        None => vec![0; count],
        Some(values) => values.iter().map(|&value| usize::try_from(value).unwrap_or(usize::MAX)).collect(),
    };
    let limit = |i: usize| strides[i].max(dilations[i]);
    if output_padding.len() != count || (0..count).any(|i| output_padding[i] >= limit(i).max(1)) {
        return Err(format!("has `output_padding` {output_padding:?}, which is not below its strides"));
    }
    let mut axes: Vec<Axis> = (0..count).map(axis).collect();
    padded(call, &mut axes, &output_padding, &data.shape[2..])?;
    Ok(Shape { group, axes, output_padding })
}

/// Works the padding out where it follows from the size of the result. Of an odd number the larger
/// half goes to the end with SAME_UPPER, else to the beginning.
fn padded(call: &Call<'_>, axes: &mut [Axis], extra: &[usize], sizes: &[usize]) -> Result<(), String> {
    let auto = call.text("auto_pad", "NOTSET")?;
    let stated = match (call.ints("output_shape")?, auto) {
        // Some exporters list batch and channels, too.
        (Some(shape), _) if shape.len() >= axes.len() => shape[shape.len() - axes.len()..].to_vec(),
        (Some(shape), _) => return Err(format!("has `output_shape` {shape:?}, which is too short")),
        (None, "NOTSET") => return Ok(()),
        (None, "VALID") => {
            axes.iter_mut().for_each(|axis| axis.pads = (0, 0));
            return Ok(());
        }
        (None, "SAME_UPPER" | "SAME_LOWER") => {
            axes.iter().zip(sizes).map(|(axis, size)| (axis.stride * size) as i64).collect()
        }
        (None, other) => return Err(format!("has `auto_pad` {other}, which ONNX does not define")),
    };
    for (index, axis) in axes.iter_mut().enumerate() {
        let full = (sizes[index].max(1) - 1) * axis.stride + axis.extent() + extra[index];
        let wanted = usize::try_from(stated[index]).ok().filter(|&wanted| wanted > 0);
        let total = wanted.and_then(|wanted| full.checked_sub(wanted));
        let total = total.ok_or_else(|| format!("cannot cut {full} entries to {}", stated[index]))?;
        let (less, more) = (total / 2, total - total / 2);
        axis.pads = if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
    }
    Ok(())
}

fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let Shape { group, axes, output_padding } = shape(call)?;
    let (data, weight) = (call.input(0)?, call.input(1)?);
    let mut sizes = vec![data.shape[0], weight.shape[1] * group];
    for ((axis, extra), &size) in axes.iter().zip(output_padding).zip(&data.shape[2..]) {
        let full = (size.max(1) - 1) * axis.stride + axis.extent() + extra;
        let size = full.checked_sub(axis.pads.0 + axis.pads.1).filter(|&size| size > 0);
        sizes.push(size.ok_or("cuts off all of its result by padding")?);
    }
    Ok(vec![TensorType::new(data.dtype, sizes)])
}

fn rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let Shape { group, axes, .. } = vjp.read(shape)?;
    let (dy, data, weight) = (vjp.cotangent()?, vjp.input(0)?, vjp.input(1)?);
    let conv = conv::Shape { group, axes };
    if vjp.wants(0) {
        let pads: Vec<_> = conv.axes.iter().map(|axis| axis.pads).collect();
        let attributes = [
            ("dilations", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.dilation)))),
            ("group", Attribute::Int(conv.group as i64)),
            ("kernel_shape", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.kernel)))),
            ("pads", Attribute::Ints(pads_attribute(&pads))),
            ("strides", Attribute::Ints(ints(conv.axes.iter().map(|axis| axis.stride)))),
        ];
        let dx = vjp.emit("Conv", &[&dy, &weight], attributes)?;
        vjp.give(0, dx);
    }
    if vjp.wants(1) {
        // The Conv whose adjoint this is reads dy and gives x.
        let dw = conv::weight_gradient(vjp, &conv, &dy, &data, weight.shape())?;
        vjp.give(1, dw);
    }
    if vjp.wants(2) {
        let db = conv::bias_gradient(vjp, &dy)?;
        vjp.give(2, db);
    }
    Ok(())
}
