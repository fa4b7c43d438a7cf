//! Element by element: Add, Sub, Mul, Div, Sum, Mean, Neg, Abs, Reciprocal, Sqrt, Identity.
//!
//! Each rule is one line of calculus; where an operator broadcasts, the reverse pass sums its
//! gradients back to the inputs' shapes.

use crate::onnx::DType;
use crate::rewrite::ops::call::{broadcast_inputs, same_as_input};
use crate::rewrite::ops::fold::{Folded, binary, from_all, number, unary, variadic, zip};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, Value};

/// Below any root that float32 tells from 0 among pixels.
const LEAST_ROOT: f32 = 1e-12;

type Result = std::result::Result<(), RewriteError>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Add", &[], broadcast_inputs, add)
        .folds(|call| binary(call, i64::checked_add, |a, b| a + b)),
    Operator::differentiable("Sub", &[], broadcast_inputs, sub)
        .folds(|call| binary(call, i64::checked_sub, |a, b| a - b)),
    Operator::differentiable("Mul", &[], broadcast_inputs, mul)
        .folds(|call| binary(call, i64::checked_mul, |a, b| a * b)),
    Operator::differentiable("Div", &[], broadcast_inputs, div)
        .folds(|call| binary(call, i64::checked_div, |a, b| a / b)),
    Operator::differentiable("Sum", &[], broadcast_inputs, sum)
        .folds(|call| variadic(call, i64::checked_add, |a, b| a + b)),
    Operator::differentiable("Mean", &[], broadcast_inputs, mean).folds(fold_mean),
    Operator::differentiable("Neg", &[], same_as_input, neg)
        .folds(|call| number(call, i64::wrapping_neg, |a| -a)),
    Operator::differentiable("Abs", &[], same_as_input, abs)
        .folds(|call| number(call, i64::wrapping_abs, f64::abs)),
    Operator::differentiable("Reciprocal", &[], same_as_input, reciprocal)
        .folds(|call| unary(call, |a| 1.0 / a)),
    Operator::differentiable("Sqrt", &[], same_as_input, sqrt).folds(|call| unary(call, f64::sqrt)),
    Operator::differentiable("Identity", &[], same_as_input, identity).folds(fold_identity),
];

/// y = a + b: da = dy, db = dy.
fn add(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    vjp.give(0, dy.clone());
    vjp.give(1, dy);
    Ok(())
}

/// y = a - b: da = dy, db = -dy.
fn sub(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    vjp.give(0, dy.clone());
    if vjp.wants(1) {
        let db = vjp.emit("Neg", &[&dy], [])?;
        vjp.give(1, db);
    }
    Ok(())
}

/// y = a b: da = dy b, db = dy a.
fn mul(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    for (index, other) in [(0, 1), (1, 0)] {
        if vjp.wants(index) {
            let other = vjp.input(other)?;
            let gradient = vjp.emit("Mul", &[&dy, &other], [])?;
            vjp.give(index, gradient);
        }
    }
    Ok(())
}

/// y = a / b: da = dy / b, db = -dy y / b.
fn div(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let b = vjp.input(1)?;
    let da = vjp.emit("Div", &[&dy, &b], [])?;
    if vjp.wants(1) {
        let y = vjp.output(0)?;
        let scaled = vjp.emit("Mul", &[&da, &y], [])?;
        let db = vjp.emit("Neg", &[&scaled], [])?;
        vjp.give(1, db);
    }
    vjp.give(0, da);
    Ok(())
}

/// y = a + b + ...: each is given dy.
fn sum(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let count = vjp.read(|call| Ok(call.input_count()))?;
    (0..count).for_each(|index| vjp.give(index, dy.clone()));
    Ok(())
}

/// y = (a + b + ...) / n: each is given dy / n.
fn mean(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let count = vjp.read(|call| Ok(call.input_count()))?;
    let share = vjp.scalar(1.0 / count as f32);
    let each = vjp.emit("Mul", &[&dy, &share], [])?;
    (0..count).for_each(|index| vjp.give(index, each.clone()));
    Ok(())
}

/// y = -a: da = -dy.
fn neg(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let da = vjp.emit("Neg", &[&dy], [])?;
    vjp.give(0, da);
    Ok(())
}

/// y = |a|: da = dy sign a, zero at zero.
fn abs(vjp: &mut Vjp<'_>) -> Result {
    let (dy, a) = (vjp.cotangent()?, vjp.input(0)?);
    let sign = vjp.emit("Sign", &[&a], [])?;
    let da = vjp.emit("Mul", &[&dy, &sign], [])?;
    vjp.give(0, da);
    Ok(())
}

/// y = 1 / a: da = -dy y^2.
fn reciprocal(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let square = vjp.emit("Mul", &[&y, &y], [])?;
    let scaled = vjp.emit("Mul", &[&dy, &square], [])?;
    let da = vjp.emit("Neg", &[&scaled], [])?;
    vjp.give(0, da);
    Ok(())
}

/// y = sqrt(a): da = dy / (2 y).
fn sqrt(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let da = half_over_root(vjp, &dy)?;
    vjp.give(0, da);
    Ok(())
}

/// dy / (2 y) for the root y. At 0, where the slope is infinite, a steep one stands in for it: times a
/// gradient of 0 it gives 0, as the deviation of an even patch must, and not a NaN.
pub fn half_over_root(vjp: &mut Vjp<'_>, dy: &Value) -> std::result::Result<Value, RewriteError> {
    let y = vjp.output(0)?;
    let (half, least) = (vjp.scalar(0.5), vjp.scalar(LEAST_ROOT));
    let halved = vjp.emit("Mul", &[dy, &half], [])?;
    let y = vjp.emit("Max", &[&y, &least], [])?;
    vjp.emit("Div", &[&halved, &y], [])
}

/// y = a: da = dy.
fn identity(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    vjp.give(0, dy);
    Ok(())
}

fn fold_identity(call: &Call<'_>) -> Folded {
    Ok(call.constant(0).ok().map(|tensor| vec![tensor.clone()]))
}

/// The sum is rounded once, after the division.
fn fold_mean(call: &Call<'_>) -> Folded {
    from_all(call, |inputs| {
        let Some((first, rest)) = inputs.split_first() else { return Ok(None) };
        let mut sum = first.to_float();
        for input in rest {
            sum = zip(&sum, &input.to_float(), |a, b| a + b)?;
        }
        Ok(Array::Float(DType::F64, sum / inputs.len() as f64).cast(first.dtype()))
    })
}
