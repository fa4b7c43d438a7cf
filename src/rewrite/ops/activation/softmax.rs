//! Softmax and LogSoftmax along one axis, as since opset 13; older ones are brought up before.

use crate::rewrite::ops::call::same_as_input;
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType};

type Result = std::result::Result<(), RewriteError>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Softmax", &["axis"], infer, softmax),
    Operator::differentiable("LogSoftmax", &["axis"], infer, log_softmax),
];

fn axis(call: &Call<'_>) -> std::result::Result<i64, String> {
    Ok(call.axis(call.int("axis", -1)?, call.input(0)?.rank())? as i64)
}

fn infer(call: &Call<'_>) -> std::result::Result<Vec<TensorType>, String> {
    axis(call)?;
    same_as_input(call)
}

/// y = e^x / sum e^x: dx = y (dy - sum dy y).
fn softmax(vjp: &mut Vjp<'_>) -> Result {
    let axis = vjp.read(axis)?;
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let along = vjp.emit("Mul", &[&dy, &y], [])?;
    let sum = vjp.reduce("ReduceSum", &along, &[axis], true)?;
    let apart = vjp.emit("Sub", &[&dy, &sum], [])?;
    let dx = vjp.emit("Mul", &[&apart, &y], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = x - ln sum e^x: dx = dy - e^y sum dy.
fn log_softmax(vjp: &mut Vjp<'_>) -> Result {
    let axis = vjp.read(axis)?;
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let shares = vjp.emit("Exp", &[&y], [])?;
    let sum = vjp.reduce("ReduceSum", &dy, &[axis], true)?;
    let mean = vjp.emit("Mul", &[&shares, &sum], [])?;
    let dx = vjp.emit("Sub", &[&dy, &mean], [])?;
    vjp.give(0, dx);
    Ok(())
}
