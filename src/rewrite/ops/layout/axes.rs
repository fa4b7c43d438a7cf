//! Axes of size 1 put in and taken out: Squeeze, Unsqueeze, Flatten.
//!
//! The elements keep their order, so the adjoint of each is a Reshape back.

use crate::rewrite::ops::fold::Folded;
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Squeeze", &["axes"], infer_squeeze, reshaped)
        .folds(|call| fold(call, infer_squeeze)),
    Operator::differentiable("Unsqueeze", &["axes"], infer_unsqueeze, reshaped)
        .folds(|call| fold(call, infer_unsqueeze)),
    Operator::differentiable("Flatten", &["axis"], infer_flatten, reshaped)
        .folds(|call| fold(call, infer_flatten)),
];

/// The axes, as an input (since opset 13) or as the attribute it was before.
fn axes(call: &Call<'_>) -> Result<Option<Vec<i64>>, String> {
    match call.ints("axes")? {
        Some(axes) => Ok(Some(axes.to_vec())),
        None => call.constant_ints(1),
    }
}

fn infer_squeeze(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let gone: Vec<usize> = match axes(call)? {
        Some(axes) => axes.iter().map(|&axis| call.axis(axis, data.rank())).collect::<Result<_, _>>()?,
        None => (0..data.rank()).filter(|&axis| data.shape[axis] == 1).collect(),
    };
    if let Some(axis) = gone.iter().find(|&&axis| data.shape[axis] != 1) {
        return Err(format!("cannot take out axis {axis} of size {}", data.shape[*axis]));
    }
    let left = data.shape.iter().enumerate().filter(|(axis, _)| !gone.contains(axis));
    Ok(vec![TensorType::new(data.dtype, left.map(|(_, &size)| size).collect::<Vec<_>>())])
}

fn infer_unsqueeze(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let axes = axes(call)?.ok_or("lacks its axes")?;
    let rank = data.rank() + axes.len();
    let mut new = axes.iter().map(|&axis| call.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    new.sort_unstable();
    new.dedup();
    if new.len() != axes.len() {
        return Err(format!("names an axis twice: {axes:?}"));
    }
    let mut old = data.shape.iter();
    let sizes: Option<Vec<usize>> =
        (0..rank).map(|axis| if new.contains(&axis) { Some(1) } else { old.next().copied() }).collect();
    Ok(vec![TensorType::new(data.dtype, sizes.ok_or("has axes that do not fit its input")?)])
}

fn infer_flatten(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let stated = call.int("axis", 1)?;
    // The axis may also stand behind the last one.
    let axis =
        if stated == data.rank() as i64 { data.rank() } else { call.axis(stated, data.rank().max(1))? };
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let (outer, inner) = data.shape.split_at(axis.min(data.rank()));
    Ok(vec![TensorType::new(data.dtype, [product(outer), product(inner)])])
}

fn reshaped(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (dy, shape) = (vjp.cotangent()?, vjp.input(0)?.ty.shape);
    let dx = vjp.reshape(&dy, &shape)?;
    vjp.give(0, dx);
    Ok(())
}

fn fold(call: &Call<'_>, infer: fn(&Call<'_>) -> Types) -> Folded {
    let Ok(tensor) = call.constant(0) else { return Ok(None) };
    let shape = infer(call)?.remove(0).shape;
    Ok(tensor.reshaped(&shape).ok().map(|tensor| vec![tensor]))
}
