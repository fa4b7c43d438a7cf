//! The larger, the smaller, the limited: Max, Min, Clip.

use crate::rewrite::ops::call::{broadcast_inputs, same_dtype};
use crate::rewrite::ops::fold::{Folded, arrays, one, variadic, zip};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType};

type Result = std::result::Result<(), RewriteError>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Max", &[], broadcast_inputs, extremum)
        .folds(|call| variadic(call, |a, b| Some(a.max(b)), f64::max)),
    Operator::differentiable("Min", &[], broadcast_inputs, extremum)
        .folds(|call| variadic(call, |a, b| Some(a.min(b)), f64::min)),
    Operator::differentiable("Clip", &[], infer_clip, clip).folds(fold_clip),
];

/// y = max(a, b, ...) or min: dy goes to each input that is y. Ties, where there is no derivative,
/// give it to all of them.
fn extremum(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let zero = vjp.scalar(0.0);
    let count = vjp.read(|call| Ok(call.input_count()))?;
    for index in 0..count {
        if vjp.wants(index) {
            let input = vjp.input(index)?;
            let chosen = vjp.emit("Equal", &[&input, &y], [])?;
            let gradient = vjp.emit("Where", &[&chosen, &dy, &zero], [])?;
            vjp.give(index, gradient);
        }
    }
    Ok(())
}

fn infer_clip(call: &Call<'_>) -> std::result::Result<Vec<TensorType>, String> {
    let data = call.input(0)?;
    for index in [1, 2] {
        if let Some(bound) = call.optional(index)? {
            same_dtype(data.dtype, bound.dtype)?;
            if bound.len() != 1 {
                return Err(format!("has a bound of shape {:?}; one number is needed", bound.shape));
            }
        }
    }
    Ok(vec![data.clone()])
}

/// y = min(max(x, low), high): dy goes to x where y is x, limits included, and to the bound that
/// took its place elsewhere.
fn clip(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let zero = vjp.scalar(0.0);
    let inside = vjp.emit("Equal", &[&x, &y], [])?;
    if vjp.wants(0) {
        let dx = vjp.emit("Where", &[&inside, &dy, &zero], [])?;
        vjp.give(0, dx);
    }
    for index in [1, 2] {
        if vjp.wants(index) {
            let bound = vjp.input(index)?;
            let at_bound = vjp.emit("Equal", &[&y, &bound], [])?;
            let cut = vjp.emit("Where", &[&inside, &zero, &dy], [])?;
            let gradient = vjp.emit("Where", &[&at_bound, &cut, &zero], [])?;
            vjp.give(index, gradient);
        }
    }
    Ok(())
}

fn fold_clip(call: &Call<'_>) -> Folded {
    let Some(inputs) = arrays(call) else { return Ok(None) };
    let mut inputs = inputs.into_iter();
    let Some(Some(mut result)) = inputs.next() else { return Ok(None) };
    for (bound, is_lower) in inputs.zip([true, false]) {
        let int = |a: &i64, b: &i64| if is_lower { *a.max(b) } else { *a.min(b) };
        let float = |a: &f64, b: &f64| if is_lower { a.max(*b) } else { a.min(*b) };
        result = match (result, bound) {
            (result, None) => result,
            (Array::Int(dtype, a), Some(Array::Int(_, b))) => Array::Int(dtype, zip(&a, &b, int)?),
            (Array::Float(dtype, a), Some(Array::Float(_, b))) => Array::Float(dtype, zip(&a, &b, float)?),
            _ => return Ok(None),
        };
    }
    one(&result)
}
