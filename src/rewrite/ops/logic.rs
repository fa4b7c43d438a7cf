//! Comparisons, boolean operators and choices: Equal, Greater, Less, And, Or, Not, Where, Cast.

use std::cmp::Ordering;

use ndarray::ArrayD;

use super::call::{broadcast, same_as_input, same_dtype};
use super::fold::{Folded, compare, from_all, stretched, zip};
use super::{Call, Operator, STEPS, Vjp};
use crate::onnx::DType;
use crate::rewrite::{Array, RewriteError, TensorType};

pub const OPERATORS: &[Operator] = &[
    Operator::zero("Equal", &[], comparison, STEPS).folds(|call| compare(call, Ordering::is_eq)),
    Operator::zero("Greater", &[], comparison, STEPS).folds(|call| compare(call, Ordering::is_gt)),
    Operator::zero("GreaterOrEqual", &[], comparison, STEPS).folds(|call| compare(call, Ordering::is_ge)),
    Operator::zero("Less", &[], comparison, STEPS).folds(|call| compare(call, Ordering::is_lt)),
    Operator::zero("LessOrEqual", &[], comparison, STEPS).folds(|call| compare(call, Ordering::is_le)),
    Operator::zero("And", &[], infer_logic, STEPS).folds(|call| logic(call, |a, b| a && b)),
    Operator::zero("Or", &[], infer_logic, STEPS).folds(|call| logic(call, |a, b| a || b)),
    Operator::zero("Not", &[], same_as_input, STEPS).folds(fold_not),
    Operator::differentiable("Where", &[], infer_where, where_rule).folds(fold_where),
    Operator::differentiable("Cast", &["to"], infer_cast, cast).folds(fold_cast),
];

fn comparison(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    same_dtype(a.dtype, b.dtype)?;
    Ok(vec![TensorType::new(DType::Bool, broadcast(&a.shape, &b.shape)?)])
}

fn infer_where(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    same_dtype(condition.dtype, DType::Bool)?;
    same_dtype(a.dtype, b.dtype)?;
    let shape = broadcast(&broadcast(&condition.shape, &a.shape)?, &b.shape)?;
    Ok(vec![TensorType::new(a.dtype, shape)])
}

/// y = c ? a : b: da = c ? dy : 0, db = c ? 0 : dy.
fn where_rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    let condition = vjp.input(0)?;
    let zero = vjp.scalar(0.0);
    if vjp.wants(1) {
        let da = vjp.emit("Where", &[&condition, &dy, &zero], [])?;
        vjp.give(1, da);
    }
    if vjp.wants(2) {
        let db = vjp.emit("Where", &[&condition, &zero, &dy], [])?;
        vjp.give(2, db);
    }
    Ok(())
}

fn infer_cast(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let code = call.int("to", 0)?;
    let dtype = i32::try_from(code).ok().and_then(DType::from_code);
    let dtype = dtype.ok_or_else(|| format!("casts to element type {code}, which ONNX does not define"))?;
    Ok(vec![TensorType::new(dtype, call.input(0)?.shape.clone())])
}

/// y = a in another float type: da = dy in a's. Quantised integers become floats exactly, and
/// their gradients are floats already.
fn cast(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    let from = vjp.input(0)?.ty.dtype;
    if !from.is_float() {
        vjp.give(0, dy);
        return Ok(());
    }
    let da = vjp.emit("Cast", &[&dy], [("to", (from as i64).into())])?;
    vjp.give(0, da);
    Ok(())
}

fn fold_where(call: &Call<'_>) -> Folded {
    from_all(call, |inputs| match inputs {
        [Array::Bool(condition), Array::Int(dtype, a), Array::Int(_, b)] => {
            Ok(Some(Array::Int(*dtype, choose(call, condition, a, b)?)))
        }
        [Array::Bool(condition), Array::Float(dtype, a), Array::Float(_, b)] => {
            Ok(Some(Array::Float(*dtype, choose(call, condition, a, b)?)))
        }
        [Array::Bool(condition), Array::Bool(a), Array::Bool(b)] => {
            Ok(Some(Array::Bool(choose(call, condition, a, b)?)))
        }
        _ => Ok(None),
    })
}

fn choose<T: Copy>(
    call: &Call<'_>,
    condition: &ArrayD<bool>,
    a: &ArrayD<T>,
    b: &ArrayD<T>,
) -> Result<ArrayD<T>, String> {
    let shape = infer_where(call)?.remove(0).shape;
    let (a, b) = (stretched(a, &shape)?, stretched(b, &shape)?);
    Ok(ndarray::Zip::from(stretched(condition, &shape)?)
        .and(a)
        .and(b)
        .map_collect(|&c, &a, &b| if c { a } else { b }))
}

fn fold_cast(call: &Call<'_>) -> Folded {
    let dtype = infer_cast(call)?.remove(0).dtype;
    from_all(call, |inputs| Ok(inputs.first().and_then(|array| array.cast(dtype))))
}

fn infer_logic(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    Ok(vec![TensorType::new(DType::Bool, broadcast(&a.shape, &b.shape)?)])
}

fn logic(call: &Call<'_>, holds: fn(bool, bool) -> bool) -> Folded {
    from_all(call, |inputs| match inputs {
        [Array::Bool(a), Array::Bool(b)] => Ok(Some(Array::Bool(zip(a, b, |a, b| holds(*a, *b))?))),
        _ => Ok(None),
    })
}

fn fold_not(call: &Call<'_>) -> Folded {
    from_all(call, |inputs| match inputs {
        [Array::Bool(a)] => Ok(Some(Array::Bool(a.mapv(|value| !value)))),
        _ => Ok(None),
    })
}
