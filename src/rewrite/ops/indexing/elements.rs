//! Entries read and written by constant indices: GatherElements, GatherND, ScatterElements,
//! ScatterND.
//! <https://onnx.ai/onnx/operators/onnx__GatherND.html>
//!
//! Each is a Gather from, or an assignment to, the data's blocks laid out in one row: single
//! entries for the `Elements` forms, slices for the `ND` forms. So both have the adjoints of that
//! row's maps (see `taps`), and no scatter, which runtimes disagree about, is emitted.
//!
//! Refused: indices that depend on the image, and reductions other than `add`.

use crate::onnx::{Attribute, Tensor};
use crate::rewrite::array::same_type;
use crate::rewrite::ops::fold::{Folded, one};
use crate::rewrite::ops::geometry::ints;
use crate::rewrite::ops::taps::{Taps, adjoint};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType, Value};
use ndarray::{ArrayD, IxDyn};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("GatherElements", &["axis"], infer_gather, gather).folds(fold_gather),
    Operator::differentiable("GatherND", &["batch_dims"], infer_gather, gather).folds(fold_gather),
    Operator::differentiable("ScatterElements", &["axis", "reduction"], infer_scatter, scatter)
        .folds(fold_scatter),
    Operator::differentiable("ScatterND", &["reduction"], infer_scatter, scatter).folds(fold_scatter),
];

/// The data as `count` blocks of `block` entries, and the block that each index names.
struct Row {
    count: usize,
    block: usize,
    places: Vec<usize>,
    /// The shape of what is read, or of the updates.
    shape: Vec<usize>,
}

fn row(call: &Call<'_>) -> Result<Row, String> {
    if call.op().ends_with("ND") { by_tuples(call) } else { by_elements(call) }
}

fn inside(index: i64, size: usize) -> Result<usize, String> {
    let from_start = if index < 0 { index + size as i64 } else { index };
    let found = usize::try_from(from_start).ok().filter(|&index| index < size);
    found.ok_or_else(|| format!("names entry {index} of {size}"))
}

/// The steps from one entry of each axis to the next.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// Along `axis` an entry stands where its index says, along the others where it is.
fn by_elements(call: &Call<'_>) -> Result<Row, String> {
    let (data, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(call.int("axis", 0)?, data.rank())?;
    let fits = |at: usize| at == axis || indices.shape[at] <= data.shape[at];
    if indices.rank() != data.rank() || !(0..data.rank()).all(fits) {
        return Err(format!("has indices {indices} for data {data}"));
    }
    let (to, from) = (strides(&data.shape), strides(&indices.shape));
    let stated = call.constant_ints(1)?.ok_or("lacks its indices")?;
    let place = |(flat, &index): (usize, &i64)| {
        let along = inside(index, data.shape[axis])?;
        let own = |at: usize| if at == axis { along } else { flat / from[at] % indices.shape[at] };
        Ok((0..data.rank()).map(|at| own(at) * to[at]).sum())
    };
    let places = stated.iter().enumerate().map(place).collect::<Result<_, String>>()?;
    Ok(Row { count: data.len(), block: 1, places, shape: indices.shape.clone() })
}

/// Each row of the indices names a slice of the data by its first coordinates, after those of the
/// batch.
fn by_tuples(call: &Call<'_>) -> Result<Row, String> {
    let (data, indices) = (call.input(0)?, call.input(1)?);
    let batch = usize::try_from(call.int("batch_dims", 0)?).unwrap_or(usize::MAX);
    let Some((&width, outer)) = indices.shape.split_last() else {
        return Err("has a scalar of indices".into());
    };
    let named = batch.saturating_add(width);
    if named > data.rank()
        || batch > outer.len()
        || data.shape.get(..batch) != outer.get(..batch)
        || width == 0
    {
        return Err(format!("has indices {indices} for data {data}"));
    }
    let steps = strides(&data.shape[..named]);
    let stated = call.constant_ints(1)?.ok_or("lacks its indices")?;
    let per_batch = outer[batch..].iter().product::<usize>().max(1);
    let within = strides(&outer[..batch]);
    let place = |(flat, tuple): (usize, &[i64])| {
        let at = flat / per_batch;
        let before: usize = (0..batch).map(|axis| at / within[axis] % outer[axis] * steps[axis]).sum();
        tuple.iter().enumerate().try_fold(before, |sum, (axis, &index)| {
            Ok(sum + inside(index, data.shape[batch + axis])? * steps[batch + axis])
        })
    };
    let places = stated.chunks(width).enumerate().map(place).collect::<Result<_, String>>()?;
    let (count, block) = (data.shape[..named].iter().product(), data.shape[named..].iter().product());
    Ok(Row { count, block, places, shape: [outer, &data.shape[named..]].concat() })
}

fn infer_gather(call: &Call<'_>) -> Types {
    Ok(vec![TensorType::new(call.input(0)?.dtype, row(call)?.shape)])
}

fn gather(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let Row { count, block, places, .. } = vjp.read(row)?;
    let (dy, shape) = (vjp.cotangent()?, vjp.input(0)?.ty.shape);
    let dy = vjp.reshape(&dy, &[places.len(), block])?;
    let taps: Taps = places.iter().map(|&place| vec![(place, 1.0)]).collect();
    let dx = adjoint(vjp, &dy, 0, &taps, count)?;
    let dx = vjp.reshape(&dx, &shape)?;
    vjp.give(0, dx);
    Ok(())
}

/// Whether updates are added to what is there, rather than put in its place.
fn adds(call: &Call<'_>) -> Result<bool, String> {
    match call.text("reduction", "none")? {
        "none" => Ok(false),
        "add" => Ok(true),
        other => Err(format!("has the reduction `{other}`; `none` and `add` are read")),
    }
}

fn infer_scatter(call: &Call<'_>) -> Types {
    let (data, updates, row) = (call.input(0)?, call.input(2)?, row(call)?);
    adds(call)?;
    match updates.shape == row.shape {
        true => Ok(vec![data.clone()]),
        false => Err(format!("has updates {updates} where {:?} are needed", row.shape)),
    }
}

/// The data passes where nothing was put in its place; each update passes where it went.
fn scatter(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (row, adds) = vjp.read(|call| Ok((row(call)?, adds(call)?)))?;
    let dy = vjp.cotangent()?;
    let flat = vjp.reshape(&dy, &[row.count, row.block])?;
    if vjp.wants(0) {
        let dx = if adds { dy } else { unwritten(vjp, &flat, &row)? };
        let shape = vjp.input(0)?.ty.shape;
        let dx = vjp.reshape(&dx, &shape)?;
        vjp.give(0, dx);
    }
    if vjp.wants(2) {
        let written = row.places.iter().copied();
        let places = vjp.tensor("places", Tensor::ints(&ints(written)));
        let read = vjp.emit("Gather", &[&flat, &places], [("axis", Attribute::Int(0))])?;
        let updates = vjp.reshape(&read, &row.shape)?;
        vjp.give(2, updates);
    }
    Ok(())
}

fn unwritten(vjp: &mut Vjp<'_>, dy: &Value, row: &Row) -> Result<Value, RewriteError> {
    let mut mask = vec![1.0; row.count];
    row.places.iter().for_each(|&place| mask[place] = 0.0);
    let mask = Tensor::f32(&[row.count, 1], mask).map_err(|error| vjp.fail(error.to_string()))?;
    let mask = vjp.tensor("unwritten", mask);
    vjp.emit("Mul", &[dy, &mask], [])
}

fn fold_gather(call: &Call<'_>) -> Folded {
    let Some(array) = call.constant(0).ok().and_then(Array::of).filter(|_| call.constant(1).is_ok()) else {
        return Ok(None);
    };
    let row = row(call)?;
    one(&same_type!(&array, a => read(a, &row)?))
}

fn read<T: Clone>(array: &ArrayD<T>, row: &Row) -> Result<ArrayD<T>, String> {
    let entries: Vec<&T> = array.iter().collect();
    let block = |&place: &usize| entries[place * row.block..(place + 1) * row.block].iter().copied().cloned();
    let read: Vec<T> = row.places.iter().flat_map(block).collect();
    ArrayD::from_shape_vec(IxDyn(&row.shape), read).map_err(|error| error.to_string())
}

fn fold_scatter(call: &Call<'_>) -> Folded {
    let array = |index: usize| call.constant(index).ok().and_then(Array::of);
    let (Some(data), Some(updates)) = (array(0), array(2)) else { return Ok(None) };
    if call.constant(1).is_err() || adds(call)? {
        return Ok(None);
    }
    let row = row(call)?;
    let written = match (&data, &updates) {
        (Array::Int(dtype, a), Array::Int(_, b)) => Array::Int(*dtype, written(a, b, &row)),
        (Array::Float(dtype, a), Array::Float(_, b)) => Array::Float(*dtype, written(a, b, &row)),
        (Array::Bool(a), Array::Bool(b)) => Array::Bool(written(a, b, &row)),
        _ => return Ok(None),
    };
    one(&written)
}

fn written<T: Clone>(data: &ArrayD<T>, updates: &ArrayD<T>, row: &Row) -> ArrayD<T> {
    let mut result = data.as_standard_layout().into_owned();
    if let Some(entries) = result.as_slice_mut() {
        for (update, value) in updates.iter().enumerate() {
            entries[row.places[update / row.block] * row.block + update % row.block] = value.clone();
        }
    }
    result
}
