//! Resize by nearest neighbour, linear and cubic interpolation, with or without antialiasing.
//! <https://onnx.ai/onnx/operators/onnx__Resize.html>
//!
//! Resampling works axis by axis and is linear: an entry of the result is a weighted sum of a few
//! entries of the data ([`taps`]). The adjoint of enlarging by whole numbers is one depth-wise Conv
//! at that stride, over all axes at once, after which what was read beyond the edges is added to
//! the edges ([`enlarge`]). The adjoint along any other axis is taken on its own (see [`super::taps`]).
//!
//! Refused: `tf_crop_and_resize`, sizes and scales that are not constant.

mod enlarge;
mod taps;

use super::fold::{Folded, one};
use super::taps::adjoint;
use super::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType};
use taps::{Filter, Resample, clamped};

pub const OPERATORS: &[Operator] = &[Operator::differentiable(
    "Resize",
    &[
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
    ],
    infer,
    rule,
)
.folds(fold)];

/// What happens along each axis of the data.
fn plan(call: &Call<'_>) -> Result<Vec<Resample>, String> {
    let shape = &call.input(0)?.shape;
    let filter = Filter::read(call)?;
    let axes: Vec<usize> = match call.ints("axes")? {
        Some(axes) => axes.iter().map(|&axis| call.axis(axis, shape.len())).collect::<Result<_, _>>()?,
        None => (0..shape.len()).collect(),
    };
    let mut plan: Vec<Resample> =
        shape.iter().map(|&size| Resample { size, count: size, scale: 1.0, filter }).collect();
    let stated = scales(call)?;
    let lists = match &stated {
        Some(scales) => scales.len(),
        None => call.constant_ints(3)?.ok_or("lacks both scales and sizes")?.len(),
    };
    if lists != axes.len() {
        return Err(format!("has {lists} scales or sizes for {} axes", axes.len()));
    }
    match stated {
        Some(scales) => {
            for (&axis, scale) in axes.iter().zip(scales) {
                let count = (shape[axis] as f32 * scale).floor();
                plan[axis] = Resample { count: count as usize, scale, ..plan[axis] };
            }
        }
        None => by_sizes(call, &axes, &mut plan)?,
    }
    match plan.iter().find(|axis| axis.count == 0 || axis.size == 0 || !axis.scale.is_finite()) {
        Some(axis) => Err(format!("resizes {} entries to {}", axis.size, axis.count)),
        None => Ok(plan),
    }
}

/// The scales, where the node has them rather than sizes.
fn scales(call: &Call<'_>) -> Result<Option<Vec<f32>>, String> {
    if call.is_left_out(2) {
        return Ok(None);
    }
    let scales = call.constant(2)?.as_f32().ok_or("needs float32 scales")?;
    match scales.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
        Some(scale) => Err(format!("has the scale {scale}")),
        None => Ok((!scales.is_empty()).then(|| scales.to_vec())),
    }
}

/// Sizes give the scales; a policy may choose one scale for all axes.
fn by_sizes(call: &Call<'_>, axes: &[usize], plan: &mut [Resample]) -> Result<(), String> {
    let sizes = call.constant_ints(3)?.ok_or("lacks both scales and sizes")?;
    let policy = call.text("keep_aspect_ratio_policy", "stretch")?;
    let scale = |(&axis, &size): (&usize, &i64)| size as f32 / plan[axis].size as f32;
    let scales: Vec<f32> = axes.iter().zip(&sizes).map(scale).collect();
    let common = match policy {
        "stretch" => None,
        "not_larger" => Some(scales.iter().copied().fold(f32::INFINITY, f32::min)),
        "not_smaller" => Some(scales.iter().copied().fold(0.0, f32::max)),
        other => return Err(format!("has `keep_aspect_ratio_policy` {other}, which ONNX does not define")),
    };
    for ((&axis, &size), &own) in axes.iter().zip(&sizes).zip(&scales) {
        let scale = common.unwrap_or(own);
        let kept = (scale * plan[axis].size as f32 + 0.5).floor() as usize;
        let stated = usize::try_from(size).map_err(|_| format!("has the size {size}"))?;
        plan[axis] = Resample { count: common.map_or(stated, |_| kept), scale, ..plan[axis] };
    }
    Ok(())
}

fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let sizes: Vec<usize> = plan(call)?.iter().map(|axis| axis.count).collect();
    Ok(vec![TensorType::new(call.input(0)?.dtype, sizes)])
}

fn rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let plan = vjp.read(plan)?;
    let mut dx = vjp.cotangent()?;
    let enlarged = enlarge::periods(&plan);
    if !enlarged.is_empty() {
        dx = enlarge::undo(vjp, &dx, &plan, &enlarged)?;
    }
    let left = |axis: &usize| !plan[*axis].is_identity() && !enlarged.iter().any(|(at, _)| at == axis);
    for axis in (0..plan.len()).rev().filter(left) {
        dx = adjoint(vjp, &dx, axis, &plan[axis].taps(), plan[axis].size)?;
    }
    vjp.give(0, dx);
    Ok(())
}

fn fold(call: &Call<'_>) -> Folded {
    let Some(Array::Float(dtype, mut array)) = call.constant(0).ok().and_then(Array::of) else {
        return Ok(None);
    };
    for (axis, resample) in plan(call)?.iter().enumerate().filter(|(_, resample)| !resample.is_identity()) {
        array = taps::apply(&array, axis, &clamped(resample.rows(), resample.size));
    }
    one(&Array::Float(dtype, array))
}
