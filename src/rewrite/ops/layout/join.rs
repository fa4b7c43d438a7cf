//! Concat and Split: each is the other's adjoint.

use ndarray::{ArrayViewD, Axis};

use crate::onnx::{Attribute, Tensor};
use crate::rewrite::array::same_type;
use crate::rewrite::ops::fold::{Folded, from_all};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType, Value};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Concat", &["axis"], infer_concat, concat).folds(fold_concat),
    Operator::differentiable("Split", &["axis", "split", "num_outputs"], infer_split, split)
        .folds(fold_split),
];

fn concat_axis(call: &Call<'_>) -> Result<usize, String> {
    call.axis(call.int("axis", i64::MIN / 2)?, call.input(0)?.rank())
}

fn infer_concat(call: &Call<'_>) -> Types {
    let (axis, first) = (concat_axis(call)?, call.input(0)?);
    let mut shape = first.shape.clone();
    for index in 1..call.input_count() {
        let other = call.input(index)?;
        let fits = |(at, size): (usize, &usize)| at == axis || other.shape.get(at) == Some(size);
        if other.rank() != first.rank() || other.dtype != first.dtype || !shape.iter().enumerate().all(fits) {
            return Err(format!("joins {first} with {other} along axis {axis}"));
        }
        shape[axis] += other.shape[axis];
    }
    Ok(vec![TensorType::new(first.dtype, shape)])
}

/// Each input gets its slice of dy.
fn concat(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let axis = vjp.read(concat_axis)?;
    let dy = vjp.cotangent()?;
    let count = vjp.read(|call| Ok(call.input_count()))?;
    let mut start = 0;
    for index in 0..count {
        let size = vjp.input(index)?.shape()[axis];
        if vjp.wants(index) {
            let part = vjp.slice(&dy, axis, start, start + size)?;
            vjp.give(index, part);
        }
        start += size;
    }
    Ok(())
}

fn fold_concat(call: &Call<'_>) -> Folded {
    let axis = concat_axis(call)?;
    from_all(call, |inputs| {
        macro_rules! joined {
            ($variant:ident($($dtype:ident)?)) => {{
                let views: Option<Vec<ArrayViewD<'_, _>>> = inputs
                    .iter()
                    .map(|input| match input {
                        Array::$variant($($dtype,)? a) => { $(let _ = $dtype;)? Some(a.view()) }
                        _ => None,
                    })
                    .collect();
                views.and_then(|views| ndarray::concatenate(Axis(axis), &views).ok())
            }};
        }
        Ok(match inputs.first() {
            Some(Array::Int(dtype, _)) => joined!(Int(kind)).map(|a| Array::Int(*dtype, a)),
            Some(Array::Float(dtype, _)) => joined!(Float(kind)).map(|a| Array::Float(*dtype, a)),
            Some(Array::Bool(_)) => joined!(Bool()).map(Array::Bool),
            None => None,
        })
    })
}

/// The axis and the sizes of the parts.
fn parts(call: &Call<'_>) -> Result<(usize, Vec<usize>), String> {
    let data = call.input(0)?;
    let axis = call.axis(call.int("axis", 0)?, data.rank())?;
    let (size, count) = (data.shape[axis], call.output_count());
    let stated = match call.ints("split")? {
        Some(sizes) => Some(sizes.to_vec()),
        None => call.constant_ints(1)?,
    };
    let Some(stated) = stated else {
        // Equal parts, the last one smaller (since opset 18) where they do not come out even.
        let each = size.div_ceil(count.max(1));
        let sizes = (0..count).map(|index| each.min(size.saturating_sub(index * each))).collect();
        return Ok((axis, sizes));
    };
    let sizes: Option<Vec<usize>> = stated.iter().map(|&size| usize::try_from(size).ok()).collect();
    let fits = |sizes: &Vec<usize>| sizes.len() == count && sizes.iter().sum::<usize>() == size;
    sizes
        .filter(fits)
        .map(|sizes| (axis, sizes))
        .ok_or_else(|| format!("cuts {size} entries into {stated:?}"))
}

fn infer_split(call: &Call<'_>) -> Types {
    let ((axis, sizes), data) = (parts(call)?, call.input(0)?);
    let part = |size| {
        let mut shape = data.shape.clone();
        shape[axis] = size;
        TensorType::new(data.dtype, shape)
    };
    Ok(sizes.into_iter().map(part).collect())
}

/// dx is the dy of all parts joined, zeros where the objective does not depend on a part.
fn split(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (axis, sizes) = vjp.read(parts)?;
    let mut joined = Vec::new();
    for (index, &size) in sizes.iter().enumerate().filter(|(_, size)| **size > 0) {
        joined.push(match vjp.cotangent_of(index)? {
            Some(dy) => dy,
            None => zeros(vjp, axis, size)?,
        });
    }
    let inputs: Vec<&Value> = joined.iter().collect();
    let dx = vjp.emit("Concat", &inputs, [("axis", Attribute::Int(axis as i64))])?;
    vjp.give(0, dx);
    Ok(())
}

fn zeros(vjp: &mut Vjp<'_>, axis: usize, size: usize) -> Result<Value, RewriteError> {
    let mut shape = vjp.input(0)?.ty.shape;
    shape[axis] = size;
    let count = shape.iter().product();
    let zeros = Tensor::f32(&shape, vec![0.0; count]).map_err(|error| vjp.fail(error.to_string()))?;
    Ok(vjp.tensor("zeros", zeros))
}

fn fold_split(call: &Call<'_>) -> Folded {
    let (axis, sizes) = parts(call)?;
    let Some(array) = call.constant(0).ok().and_then(Array::of) else { return Ok(None) };
    let mut start = 0;
    let mut tensors = Vec::with_capacity(sizes.len());
    for size in sizes {
        let range = ndarray::Slice::from(start..start + size);
        start += size;
        let part = same_type!(&array, a => a.slice_axis(Axis(axis), range).to_owned());
        tensors.extend(part.tensor());
    }
    Ok(Some(tensors))
}
