//! Comparisons and choices: Equal, Greater, Less, Where, Sign, Cast.

use super::call::{broadcast, same_as_input, same_dtype};
use super::{Call, Operator, Vjp};
use crate::onnx::DType;
use crate::rewrite::{RewriteError, TensorType};

const STEPS: &str = "it is constant between its steps";

pub const OPERATORS: &[Operator] = &[
    Operator::zero("Equal", &[], comparison, STEPS),
    Operator::zero("Greater", &[], comparison, STEPS),
    Operator::zero("Less", &[], comparison, STEPS),
    Operator::zero("Sign", &[], same_as_input, STEPS),
    Operator::differentiable("Where", &[], infer_where, where_rule),
    Operator::differentiable("Cast", &["to"], infer_cast, cast),
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

/// y = a in another float type: da = dy in a's.
fn cast(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    let from = vjp.input(0)?.ty.dtype;
    let da = vjp.emit("Cast", &[&dy], [("to", (from as i64).into())])?;
    vjp.give(0, da);
    Ok(())
}
