//! Gather along one axis by constant indices.
//! <https://onnx.ai/onnx/operators/onnx__Gather.html>
//!
//! The adjoint adds up, for every entry of the data, the cotangents of the places that read it. It
//! is written as gathers too: as many as the most-read entry has readers, each fetching one reader
//! per entry, or a zero that is appended for entries with fewer. Indices that repeat seldom cost
//! one gather, and no scatter, which runtimes disagree about, is needed.
//!
//! Refused: indices that depend on the image.

use ndarray::{ArrayD, Axis, IxDyn};

use crate::onnx::{Attribute, Tensor};
use crate::rewrite::array::same_type;
use crate::rewrite::ops::fold::{Folded, one};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType, Value};

pub const OPERATORS: &[Operator] =
    &[Operator::differentiable("Gather", &["axis"], infer, gather).folds(fold)];

fn axis(call: &Call<'_>) -> Result<usize, String> {
    call.axis(call.int("axis", 0)?, call.input(0)?.rank())
}

fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (axis, data, indices) = (axis(call)?, call.input(0)?, call.input(1)?);
    let mut shape = data.shape[..axis].to_vec();
    shape.extend(&indices.shape);
    shape.extend(&data.shape[axis + 1..]);
    Ok(vec![TensorType::new(data.dtype, shape)])
}

/// The indices, counted from the start.
fn indices(call: &Call<'_>) -> Result<Vec<usize>, String> {
    let size = call.input(0)?.shape[axis(call)?];
    let stated = call.constant_ints(1)?.ok_or("lacks its indices")?;
    let place = |&index: &i64| {
        let from_start = if index < 0 { index + size as i64 } else { index };
        let found = usize::try_from(from_start).ok().filter(|&index| index < size);
        found.ok_or_else(|| format!("reads entry {index} of {size}"))
    };
    stated.iter().map(place).collect()
}

fn gather(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (axis, indices) = vjp.read(|call| Ok((axis(call)?, indices(call)?)))?;
    let data = vjp.input(0)?;
    let dy = vjp.cotangent()?;
    // The indices' own axes become one.
    let mut shape = data.shape().to_vec();
    shape[axis] = indices.len();
    let dy = vjp.reshape(&dy, &shape)?;
    let dx = scatter(vjp, &dy, axis, &indices, data.shape()[axis])?;
    vjp.give(0, dx);
    Ok(())
}

/// The adjoint of reading entries `indices` of an axis of `size` entries: `dy` added up by entry.
pub fn scatter(
    vjp: &mut Vjp<'_>,
    dy: &Value,
    axis: usize,
    indices: &[usize],
    size: usize,
) -> Result<Value, RewriteError> {
    let mut readers = vec![Vec::new(); size];
    for (place, &index) in indices.iter().enumerate() {
        readers[index].push(place as i64);
    }
    let most = readers.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let zero_at = indices.len() as i64;
    let padded = if readers.iter().all(|places| places.len() == most) {
        dy.clone()
    } else {
        let mut pads = vec![0_i64; 2 * dy.shape().len()];
        pads[dy.shape().len() + axis] = 1;
        let pads = vjp.ints(&pads);
        vjp.emit("Pad", &[dy, &pads], [])?
    };
    let mut sum: Option<Value> = None;
    for round in 0..most {
        let places: Vec<i64> =
            readers.iter().map(|places| places.get(round).copied().unwrap_or(zero_at)).collect();
        let places = vjp.tensor("readers", Tensor::ints(&places));
        let part = vjp.emit("Gather", &[&padded, &places], [("axis", Attribute::Int(axis as i64))])?;
        sum = Some(match sum {
            Some(sum) => vjp.emit("Add", &[&sum, &part], [])?,
            None => part,
        });
    }
    sum.ok_or_else(|| vjp.fail("reads nothing"))
}

fn fold(call: &Call<'_>) -> Folded {
    let Some(array) = call.constant(0).ok().and_then(Array::of) else { return Ok(None) };
    if call.constant(1).is_err() {
        return Ok(None);
    }
    let (axis, indices) = (axis(call)?, indices(call)?);
    let shape = infer(call)?.remove(0).shape;
    one(&same_type!(&array, a => read(a, axis, &indices, &shape)?))
}

fn read<T: Clone>(
    array: &ArrayD<T>,
    axis: usize,
    indices: &[usize],
    shape: &[usize],
) -> Result<ArrayD<T>, String> {
    let picked = array.select(Axis(axis), indices);
    // An axis other than the first comes out in another order of memory.
    let picked = picked.as_standard_layout().into_owned();
    picked.into_shape_with_order(IxDyn(shape)).map_err(|error| error.to_string())
}
