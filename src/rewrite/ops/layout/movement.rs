//! The same elements elsewhere: Reshape, Transpose, Slice, Expand.

use ndarray::SliceInfoElem;

use crate::onnx::Attribute;
use crate::rewrite::array::same_type;
use crate::rewrite::ops::call::broadcast;
use crate::rewrite::ops::fold::{Folded, from_all, one, stretched};
use crate::rewrite::ops::taps::adjoint;
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Reshape", &["allowzero"], infer_reshape, reshape).folds(fold_reshape),
    Operator::differentiable("Transpose", &["perm"], infer_transpose, transpose).folds(fold_transpose),
    Operator::differentiable("Slice", &[], infer_slice, slice).folds(fold_slice),
    Operator::differentiable("Expand", &[], infer_expand, expand).folds(fold_expand),
];

fn infer_reshape(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let wanted = call.constant_ints(1)?.ok_or("lacks its new shape")?;
    let keep_zero = call.int("allowzero", 0)? != 0;
    let mut sizes = Vec::with_capacity(wanted.len());
    for (axis, &size) in wanted.iter().enumerate() {
        sizes.push(match size {
            0 if !keep_zero => *data.shape.get(axis).ok_or("copies a dimension that its input lacks")?,
            -1 => 1,
            size => usize::try_from(size).map_err(|_| format!("has a new shape with the size {size}"))?,
        });
    }
    let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    let known = product(&sizes).ok_or("has a new shape larger than memory")?;
    let mut free = (0..wanted.len()).filter(|&axis| wanted[axis] == -1);
    if let Some(axis) = free.next() {
        if free.next().is_some() || known == 0 || data.len() % known != 0 {
            return Err(format!("cannot give {} elements the shape {wanted:?}", data.len()));
        }
        sizes[axis] = data.len() / known;
    }
    if product(&sizes) != Some(data.len()) {
        return Err(format!("cannot give {} elements the shape {wanted:?}", data.len()));
    }
    Ok(vec![TensorType::new(data.dtype, sizes)])
}

fn reshape(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    let shape = vjp.input(0)?.ty.shape;
    let dx = vjp.reshape(&dy, &shape)?;
    vjp.give(0, dx);
    Ok(())
}

fn permutation(call: &Call<'_>) -> Result<Vec<usize>, String> {
    let rank = call.input(0)?.rank();
    let Some(perm) = call.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let axes: Vec<usize> = perm.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect();
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if sorted.into_iter().eq(0..rank) {
        Ok(axes)
    } else {
        Err(format!("has `perm` {perm:?}, which is no permutation of {rank} axes"))
    }
}

fn infer_transpose(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let sizes: Vec<usize> = permutation(call)?.into_iter().map(|axis| data.shape[axis]).collect();
    Ok(vec![TensorType::new(data.dtype, sizes)])
}

fn transpose(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let perm = vjp.read(permutation)?;
    let mut inverse = vec![0; perm.len()];
    for (to, &from) in perm.iter().enumerate() {
        inverse[from] = to as i64;
    }
    let dy = vjp.cotangent()?;
    let dx = vjp.emit("Transpose", &[&dy], [("perm", Attribute::Ints(inverse))])?;
    vjp.give(0, dx);
    Ok(())
}

/// What a Slice keeps of one axis: `count` entries from `start`, `step` apart.
#[derive(Clone, Copy)]
struct Kept {
    start: usize,
    count: usize,
    step: i64,
}

fn kept(call: &Call<'_>) -> Result<Vec<Kept>, String> {
    let shape = &call.input(0)?.shape;
    let starts = call.constant_ints(1)?.ok_or("lacks its starts")?;
    let ends = call.constant_ints(2)?.ok_or("lacks its ends")?;
    let axes = call.constant_ints(3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.constant_ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("has starts, ends, axes and steps of different lengths".into());
    }
    let mut kept: Vec<Kept> = shape.iter().map(|&count| Kept { start: 0, count, step: 1 }).collect();
    for (index, &axis) in axes.iter().enumerate() {
        let axis = call.axis(axis, shape.len())?;
        kept[axis] = range(starts[index], ends[index], steps[index], shape[axis])?;
    }
    Ok(kept)
}

/// Python's rules for `start:end:step` over `size` entries.
fn range(start: i64, end: i64, step: i64, size: usize) -> Result<Kept, String> {
    let size = i64::try_from(size).map_err(|_| "slices an axis larger than memory")?;
    let from_start = |value: i64| if value < 0 { value.saturating_add(size) } else { value };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let (start, end) = (from_start(start).clamp(low, high), from_start(end).clamp(low, high));
    let span = if step > 0 { end - start } else { start - end };
    match step {
        0 => Err("has a step of 0".into()),
        _ => {
            let count = if span > 0 { span.unsigned_abs().div_ceil(step.unsigned_abs()) } else { 0 };
            Ok(Kept { start: start.max(0) as usize, count: count as usize, step })
        }
    }
}

fn infer_slice(call: &Call<'_>) -> Types {
    let sizes: Vec<usize> = kept(call)?.into_iter().map(|kept| kept.count).collect();
    Ok(vec![TensorType::new(call.input(0)?.dtype, sizes)])
}

/// dx is dy with zeros where the slice cut off; the adjoint of steps is taken axis by axis first.
fn slice(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let kept = vjp.read(kept)?;
    let sizes = vjp.input(0)?.ty.shape;
    let mut dx = vjp.cotangent()?;
    let stepped = |axis: &usize| kept[*axis].step != 1 && kept[*axis].count > 0;
    for axis in (0..kept.len()).filter(stepped) {
        let Kept { start, count, step } = kept[axis];
        let read = |index: usize| vec![((start as i64 + index as i64 * step) as usize, 1.0)];
        dx = adjoint(vjp, &dx, axis, &(0..count).map(read).collect(), sizes[axis])?;
    }
    let cut = |axis: usize| if stepped(&axis) { 0 } else { sizes[axis] - kept[axis].count };
    let before: Vec<i64> =
        (0..kept.len()).map(|axis| if cut(axis) > 0 { kept[axis].start as i64 } else { 0 }).collect();
    let after = (0..kept.len()).map(|axis| cut(axis) as i64 - before[axis]);
    let pads: Vec<i64> = before.iter().copied().chain(after).collect();
    if pads.iter().any(|&pad| pad != 0) {
        let pads = vjp.ints(&pads);
        dx = vjp.emit("Pad", &[&dx, &pads], [])?;
    }
    vjp.give(0, dx);
    Ok(())
}

fn infer_expand(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let wanted = call.constant_ints(1)?.ok_or("lacks its new shape")?;
    let sizes: Result<Vec<usize>, _> = wanted.iter().map(|&size| usize::try_from(size)).collect();
    let sizes = sizes.map_err(|_| format!("has the new shape {wanted:?}"))?;
    Ok(vec![TensorType::new(data.dtype, broadcast(&data.shape, &sizes)?)])
}

/// dy as it is: the reverse pass sums what was stretched.
fn expand(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    vjp.give(0, dy);
    Ok(())
}

fn fold_reshape(call: &Call<'_>) -> Folded {
    let Ok(tensor) = call.constant(0) else { return Ok(None) };
    let shape = infer_reshape(call)?.remove(0).shape;
    Ok(tensor.reshaped(&shape).ok().map(|tensor| vec![tensor]))
}

fn fold_transpose(call: &Call<'_>) -> Folded {
    let perm = permutation(call)?;
    from_all(call, |inputs| Ok(Some(same_type!(&inputs[0], a => a.clone().permuted_axes(perm)))))
}

fn fold_slice(call: &Call<'_>) -> Folded {
    let Ok(tensor) = call.constant(0) else { return Ok(None) };
    let Some(array) = Array::of(tensor) else { return Ok(None) };
    let elements: Vec<SliceInfoElem> = kept(call)?.into_iter().map(element).collect();
    one(&same_type!(&array, a => a.slice(elements.as_slice()).to_owned()))
}

/// ndarray takes the range to go through first, and turns it round where the step is negative.
fn element(kept: Kept) -> SliceInfoElem {
    let (start, count, step) = (kept.start as isize, kept.count as isize, kept.step as isize);
    let reach = (count - 1).max(0) * step;
    let (first, last) = if step > 0 { (start, start + reach) } else { (start + reach, start) };
    let end = if count == 0 { first } else { last + 1 };
    SliceInfoElem::Slice { start: first, end: Some(end), step }
}

fn fold_expand(call: &Call<'_>) -> Folded {
    let Some(array) = call.constant(0).ok().and_then(Array::of) else { return Ok(None) };
    let shape = infer_expand(call)?.remove(0).shape;
    one(&same_type!(&array, a => stretched(a, &shape)?.to_owned()))
}
