//! Tile, and Trilu's triangles.
//! <https://onnx.ai/onnx/operators/onnx__Tile.html>

use ndarray::{ArrayD, Axis};

use crate::onnx::Tensor;
use crate::rewrite::array::same_type;
use crate::rewrite::ops::call::same_as_input;
use crate::rewrite::ops::fold::{Folded, from_all, one};
use crate::rewrite::ops::geometry::ints;
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType};

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Tile", &[], infer_tile, tile).folds(fold_tile),
    Operator::differentiable("Trilu", &["upper"], same_as_input, trilu).folds(fold_trilu),
];

fn repeats(call: &Call<'_>) -> Result<Vec<usize>, String> {
    let stated = call.constant_ints(1)?.ok_or("lacks its repeats")?;
    let repeats: Option<Vec<usize>> = stated.iter().map(|&count| usize::try_from(count).ok()).collect();
    repeats
        .filter(|repeats| repeats.len() == call.input(0).map_or(0, TensorType::rank))
        .ok_or_else(|| format!("has the repeats {stated:?}, which do not fit its input"))
}

fn infer_tile(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let data = call.input(0)?;
    let sizes = data.shape.iter().zip(repeats(call)?).map(|(&size, count)| size.checked_mul(count));
    let sizes: Option<Vec<usize>> = sizes.collect();
    Ok(vec![TensorType::new(data.dtype, sizes.ok_or("repeats beyond any memory")?)])
}

/// dx is the sum of the copies of dy.
fn tile(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let repeats = vjp.read(repeats)?;
    let (dy, shape) = (vjp.cotangent()?, vjp.input(0)?.ty.shape);
    let (mut split, mut copies) = (Vec::new(), Vec::new());
    for (&size, &count) in shape.iter().zip(&repeats) {
        if count != 1 {
            copies.push(split.len());
            split.push(count);
        }
        split.push(size);
    }
    let mut dx = vjp.reshape(&dy, &split)?;
    if !copies.is_empty() {
        dx = vjp.reduce("ReduceSum", &dx, &ints(copies), false)?;
    }
    let dx = vjp.reshape(&dx, &shape)?;
    vjp.give(0, dx);
    Ok(())
}

fn fold_tile(call: &Call<'_>) -> Folded {
    let Some(array) = call.constant(0).ok().and_then(Array::of) else { return Ok(None) };
    let repeats = repeats(call)?;
    one(&same_type!(&array, a => tiled(a, &repeats)?))
}

fn tiled<T: Clone>(array: &ArrayD<T>, repeats: &[usize]) -> Result<ArrayD<T>, String> {
    let mut result = array.clone();
    for (axis, &count) in repeats.iter().enumerate().filter(|(_, count)| **count != 1) {
        let places: Vec<usize> = (0..count).flat_map(|_| 0..result.len_of(Axis(axis))).collect();
        result = result.select(Axis(axis), &places);
    }
    Ok(result.as_standard_layout().into_owned())
}

/// 1 where the triangle keeps an entry, else 0: the last two axes.
fn triangle(call: &Call<'_>) -> Result<([usize; 2], Vec<bool>), String> {
    let [.., rows, columns] = call.input(0)?.shape[..] else { return Err("needs a matrix".into()) };
    let diagonal = match call.is_left_out(1) {
        true => 0,
        false => call.constant_ints(1)?.and_then(|values| values.first().copied()).unwrap_or(0),
    };
    let upper = call.int("upper", 1)? != 0;
    let keeps = |row: usize, column: usize| {
        let above = column as i64 - row as i64;
        if upper { above >= diagonal } else { above <= diagonal }
    };
    let mask = (0..rows).flat_map(|row| (0..columns).map(move |column| keeps(row, column))).collect();
    Ok(([rows, columns], mask))
}

/// dx is dy in the triangle, zero outside it.
fn trilu(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (shape, mask) = vjp.read(triangle)?;
    let mask: Vec<f32> = mask.into_iter().map(|kept| f32::from(u8::from(kept))).collect();
    let mask = Tensor::f32(&shape, mask).map_err(|error| vjp.fail(error.to_string()))?;
    let mask = vjp.tensor("triangle", mask);
    let dy = vjp.cotangent()?;
    let dx = vjp.emit("Mul", &[&dy, &mask], [])?;
    vjp.give(0, dx);
    Ok(())
}

fn fold_trilu(call: &Call<'_>) -> Folded {
    let (_, mask) = triangle(call)?;
    from_all(call, |inputs| {
        let Some(array) = inputs.first() else { return Ok(None) };
        Ok(Some(same_type!(array, a => kept(a, &mask))))
    })
}

fn kept<T: Copy + Default>(array: &ArrayD<T>, mask: &[bool]) -> ArrayD<T> {
    let mut result = array.clone();
    result
        .iter_mut()
        .zip(mask.iter().cycle())
        .filter(|(_, kept)| !**kept)
        .for_each(|(a, _)| *a = T::default());
    result
}
