//! Values of shapes alone: Shape, Size, Range, ConstantOfShape.
//!
//! At a fixed size these are known before anything runs, and are folded away.

use ndarray::ArrayD;

use super::fold::{Folded, one};
use super::{Call, Operator};
use crate::onnx::{Attribute, DType, Tensor};
use crate::rewrite::{Array, TensorType};

type Types = Result<Vec<TensorType>, String>;

const INTEGERS: &str = "it gives integers that depend on shapes alone";

pub const OPERATORS: &[Operator] = &[
    Operator::zero("Shape", &["start", "end"], infer_shape, INTEGERS).folds(fold_shape),
    Operator::zero("Size", &[], infer_size, INTEGERS).folds(fold_size),
    Operator::zero("Range", &[], infer_range, INTEGERS).folds(fold_range),
    Operator::zero("ConstantOfShape", &["value"], infer_constant_of_shape, INTEGERS)
        .folds(fold_constant_of_shape),
];

/// The dimensions that Shape takes: all, or from `start` to `end`.
fn dims(call: &Call<'_>) -> Result<Vec<i64>, String> {
    let shape = &call.input(0)?.shape;
    let rank = shape.len() as i64;
    let place = |value: i64| (if value < 0 { value + rank } else { value }).clamp(0, rank) as usize;
    let (start, end) = (place(call.int("start", 0)?), place(call.int("end", rank)?));
    Ok(shape.get(start..end).unwrap_or_default().iter().map(|&size| size as i64).collect())
}

fn infer_shape(call: &Call<'_>) -> Types {
    Ok(vec![TensorType::new(DType::I64, [dims(call)?.len()])])
}

fn fold_shape(call: &Call<'_>) -> Folded {
    Ok(Some(vec![Tensor::ints(&dims(call)?)]))
}

fn infer_size(call: &Call<'_>) -> Types {
    call.input(0)?;
    Ok(vec![TensorType::new(DType::I64, [])])
}

fn fold_size(call: &Call<'_>) -> Folded {
    let size = call.input(0)?.len() as i64;
    Ok(Tensor::i64(&[], vec![size]).ok().map(|tensor| vec![tensor]))
}

/// The entries of a Range over constants.
fn range(call: &Call<'_>) -> Result<Array, String> {
    let bounds = (0..3).map(|index| call.constant(index)).collect::<Result<Vec<_>, _>>()?;
    let arrays: Option<Vec<Array>> = bounds.into_iter().map(Array::of).collect();
    let arrays = arrays.ok_or("needs numbers as its bounds")?;
    let values: Vec<f64> = arrays.iter().filter_map(|array| array.to_float().first().copied()).collect();
    let [start, limit, delta] = values[..] else { return Err("needs three numbers as its bounds".into()) };
    let count = ((limit - start) / delta).ceil().max(0.0);
    if !count.is_finite() || count > 1e8 {
        return Err(format!(
            "runs from {start} to {limit} in steps of {delta}, which never ends or is too long"
        ));
    }
    let entries = (0..count as usize).map(|index| start + index as f64 * delta);
    Array::Float(
        DType::F64,
        ArrayD::from_shape_vec(vec![count as usize], entries.collect()).map_err(|e| e.to_string())?,
    )
    .cast(arrays[0].dtype())
    .ok_or_else(|| "gives a type that has no numbers".into())
}

fn infer_range(call: &Call<'_>) -> Types {
    let range = range(call)?;
    Ok(vec![TensorType::new(range.dtype(), range.shape())])
}

fn fold_range(call: &Call<'_>) -> Folded {
    one(&range(call)?)
}

fn filled(call: &Call<'_>) -> Result<(Vec<usize>, Tensor), String> {
    let wanted = call.constant_ints(0)?.ok_or("lacks its shape")?;
    let shape: Result<Vec<usize>, _> = wanted.iter().map(|&size| usize::try_from(size)).collect();
    let shape = shape.map_err(|_| format!("has the shape {wanted:?}"))?;
    let value = match call.attribute("value") {
        None => Tensor::scalar(0.0),
        Some(Attribute::Tensor(tensor)) if tensor.len() == 1 => tensor.clone(),
        Some(_) => return Err("has a `value` that is not a single number".into()),
    };
    Ok((shape, value))
}

fn infer_constant_of_shape(call: &Call<'_>) -> Types {
    let (shape, value) = filled(call)?;
    Ok(vec![TensorType::new(value.dtype(), shape)])
}

fn fold_constant_of_shape(call: &Call<'_>) -> Folded {
    let (shape, value) = filled(call)?;
    let Some(array) = Array::of(&value) else { return Ok(None) };
    let shape = ndarray::IxDyn(&shape);
    let array = match array {
        Array::Int(dtype, a) => Array::Int(dtype, ArrayD::from_elem(shape, a.first().copied().unwrap_or(0))),
        Array::Float(dtype, a) => {
            Array::Float(dtype, ArrayD::from_elem(shape, a.first().copied().unwrap_or(0.0)))
        }
        Array::Bool(a) => Array::Bool(ArrayD::from_elem(shape, a.first().copied().unwrap_or(false))),
    };
    one(&array)
}
