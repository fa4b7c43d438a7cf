//! Pad: constant, edge, reflect and wrap; pads may cut where they are negative.
//! <https://onnx.ai/onnx/operators/onnx__Pad.html>
//!
//! Along one axis every entry of the result is an entry of the data, or the constant: the adjoint
//! adds each entry's readers up (see `taps`). The constant's readers are all entries that were added.
//!
//! Refused: pads and axes that are not constant, reflection beyond the data's size, and one axis both
//! cut and padded from its own entries.

use ndarray::{ArrayD, Axis, IxDyn};

use super::fold::{Folded, one};
use super::taps::{Taps, adjoint};
use super::{Call, Operator, Vjp};
use crate::rewrite::array::same_type;
use crate::rewrite::{Array, RewriteError, TensorType, Value};

pub const OPERATORS: &[Operator] = &[Operator::differentiable("Pad", &["mode"], infer, rule).folds(fold)];

/// No axis of an image is longer.
const LONGEST: i64 = 1 << 26;

/// Entries added before (cut off, where negative) and after, per axis.
fn padding(call: &Call<'_>) -> Result<Vec<(i64, i64)>, String> {
    let rank = call.input(0)?.rank();
    let pads = call.constant_ints(1)?.ok_or("lacks its pads")?;
    let axes = call.constant_ints(3)?.unwrap_or_else(|| (0..rank as i64).collect());
    if pads.len() != 2 * axes.len() {
        return Err(format!("has {} pads for {} axes", pads.len(), axes.len()));
    }
    let mut padding = vec![(0, 0); rank];
    for (index, &axis) in axes.iter().enumerate() {
        padding[call.axis(axis, rank)?] = (pads[index], pads[index + axes.len()]);
    }
    Ok(padding)
}

fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let data = call.input(0)?;
    let padded = |(&size, (before, after)): (&usize, (i64, i64))| {
        let size = i64::try_from(size).ok()?.checked_add(before)?.checked_add(after)?;
        usize::try_from(size).ok()
    };
    let sizes: Option<Vec<usize>> = data.shape.iter().zip(padding(call)?).map(padded).collect();
    let sizes = sizes.ok_or("cuts off more than there is")?;
    if call.text("mode", "constant")? != "constant" {
        for (axis, &size) in data.shape.iter().enumerate() {
            sources(call, axis, size)?;
        }
    }
    Ok(vec![TensorType::new(data.dtype, sizes)])
}

/// Which entry of an axis of `size` each entry of the result shows; `None` for the constant.
fn sources(call: &Call<'_>, axis: usize, size: usize) -> Result<Vec<Option<usize>>, String> {
    let mode = call.text("mode", "constant")?;
    let (before, after) = padding(call)?[axis];
    let size = i64::try_from(size).map_err(|_| "pads an axis larger than memory")?;
    if mode != "constant" && size + before + after > LONGEST {
        return Err(format!("pads axis {axis} to {} entries; use a smaller image", size + before + after));
    }
    if size == 0 && mode != "constant" && (before, after) != (0, 0) {
        return Err("pads an axis of no entries from its own entries".into());
    }
    if mode != "constant" && before.min(after) < 0 && before.max(after) > 0 {
        return Err(format!("cuts and pads axis {axis} at once in mode `{mode}`, where runtimes differ"));
    }
    if mode == "reflect" && before.max(after) >= size.max(1) {
        return Err(format!("reflects {} entries of an axis of {size}", before.max(after)));
    }
    let source = |index: i64| {
        Ok(match mode {
            "constant" => Some(index).filter(|index| (0..size).contains(index)),
            "edge" => Some(index.clamp(0, size - 1)),
            "reflect" => Some(if index < 0 { -index } else { index.min(2 * (size - 1) - index) }),
            "wrap" => Some(index.rem_euclid(size)),
            other => return Err(format!("pads in mode `{other}`, which ONNX does not define")),
        }
        .map(|index| index as usize))
    };
    (-before..size + after).map(source).collect()
}

/// Axis by axis, each of those that change.
fn rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (padding, mode) = vjp.read(|call| Ok((padding(call)?, call.text("mode", "constant")?.to_owned())))?;
    let shape = vjp.input(0)?.ty.shape;
    let mut dx = vjp.cotangent()?;
    if mode == "constant" {
        let kept = without_added(vjp, &dx, &padding)?;
        if vjp.wants(2) {
            let value = sum_of_added(vjp, &dx, &kept, &padding)?;
            vjp.give(2, value);
        }
        dx = zeros_for_cut(vjp, kept, &padding)?;
    } else {
        for (axis, &size) in shape.iter().enumerate().rev() {
            let sources = vjp.read(|call| sources(call, axis, size))?;
            let taps: Taps = sources.into_iter().map(|s| s.map(|s| (s, 1.0)).into_iter().collect()).collect();
            dx = adjoint(vjp, &dx, axis, &taps, size)?;
        }
    }
    vjp.give(0, dx);
    Ok(())
}

/// dy without what was added.
fn without_added(vjp: &mut Vjp<'_>, dy: &Value, padding: &[(i64, i64)]) -> Result<Value, RewriteError> {
    let added: Vec<usize> =
        (0..padding.len()).filter(|&axis| padding[axis].0.max(padding[axis].1) > 0).collect();
    if added.is_empty() {
        return Ok(dy.clone());
    }
    let start = |axis: &usize| padding[*axis].0.max(0);
    let end = |axis: &usize| dy.shape()[*axis] as i64 - padding[*axis].1.max(0);
    let (starts, ends): (Vec<i64>, Vec<i64>) = added.iter().map(|axis| (start(axis), end(axis))).unzip();
    let axes: Vec<i64> = added.iter().map(|&axis| axis as i64).collect();
    let (starts, ends, axes) = (vjp.ints(&starts), vjp.ints(&ends), vjp.ints(&axes));
    vjp.emit("Slice", &[dy, &starts, &ends, &axes], [])
}

/// Zeros where padding cut off. (A Pad that cuts, as negative pads do, would say it and what `without_added` does in one
/// node; tract does not run it.)
fn zeros_for_cut(vjp: &mut Vjp<'_>, kept: Value, padding: &[(i64, i64)]) -> Result<Value, RewriteError> {
    match padding.iter().any(|&(before, after)| before < 0 || after < 0) {
        true => surrounded(vjp, &kept, padding, |side| (-side).max(0)),
        false => Ok(kept),
    }
}

/// The sum of dy over the entries that were added, in the shape of the constant.
fn sum_of_added(
    vjp: &mut Vjp<'_>,
    dy: &Value,
    kept: &Value,
    padding: &[(i64, i64)],
) -> Result<Value, RewriteError> {
    let inside = surrounded(vjp, kept, padding, |side| side.max(0))?;
    let added = vjp.emit("Sub", &[dy, &inside], [])?;
    let sum = vjp.reduce("ReduceSum", &added, &[], false)?;
    let shape = vjp.input(2)?.ty.shape;
    vjp.reshape(&sum, &shape)
}

/// Zeros around a value, on each side as many as are made of its padding.
fn surrounded(
    vjp: &mut Vjp<'_>,
    value: &Value,
    padding: &[(i64, i64)],
    zeros: fn(i64) -> i64,
) -> Result<Value, RewriteError> {
    let before = padding.iter().map(|pad| zeros(pad.0));
    let pads: Vec<i64> = before.chain(padding.iter().map(|pad| zeros(pad.1))).collect();
    let pads = vjp.ints(&pads);
    vjp.emit("Pad", &[value, &pads], [])
}

fn fold(call: &Call<'_>) -> Folded {
    let Some(array) = call.constant(0).ok().and_then(Array::of) else { return Ok(None) };
    let value = match call.is_left_out(2) {
        true => None,
        false => match call.constant(2).ok().and_then(Array::of) {
            Some(value) => Some(value),
            None => return Ok(None),
        },
    };
    let axes = call.input(0)?.shape.iter().enumerate();
    let sources = axes.map(|(axis, &size)| sources(call, axis, size)).collect::<Result<Vec<_>, _>>()?;
    let filled = match (&array, &value) {
        (Array::Int(dtype, a), Some(Array::Int(_, v))) => {
            Array::Int(*dtype, padded(a, &sources, v.first().copied().unwrap_or_default())?)
        }
        (Array::Float(dtype, a), Some(Array::Float(_, v))) => {
            Array::Float(*dtype, padded(a, &sources, v.first().copied().unwrap_or_default())?)
        }
        (array, None) => same_type!(array, a => padded(a, &sources, Default::default())?),
        _ => return Ok(None),
    };
    one(&filled)
}

fn padded<T: Copy>(array: &ArrayD<T>, sources: &[Vec<Option<usize>>], value: T) -> Result<ArrayD<T>, String> {
    let mut result = array.clone();
    for (axis, sources) in sources.iter().enumerate() {
        let mut shape = result.shape().to_vec();
        shape[axis] = sources.len();
        let mut next = ArrayD::from_elem(IxDyn(&shape), value);
        for (to, from) in sources.iter().enumerate().filter_map(|(to, from)| Some((to, (*from)?))) {
            next.index_axis_mut(Axis(axis), to).assign(&result.index_axis(Axis(axis), from));
        }
        result = next;
    }
    Ok(result)
}
