//! Element by element: Add, Sub, Mul, Div, Neg, Sqrt, Max, Relu, HardSigmoid,
//! Identity.
//!
//! Each rule is one line of calculus; where an operator broadcasts, the reverse pass sums its
//! gradients back to the inputs' shapes.

use super::call::{broadcast_inputs, same_as_input};
use super::fold::{Folded, binary, from_all, unary};
use super::{Call, Operator, Vjp};
use crate::onnx::Attribute;
use crate::rewrite::Array;
use crate::rewrite::RewriteError;

/// Near the largest float32.
const STEEP: f32 = 3e38;

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
    Operator::differentiable("Max", &[], broadcast_inputs, max)
        .folds(|call| binary(call, |a, b| Some(a.max(b)), f64::max)),
    Operator::differentiable("Neg", &[], same_as_input, neg).folds(fold_neg),
    Operator::differentiable("Sqrt", &[], same_as_input, sqrt).folds(|call| unary(call, f64::sqrt)),
    Operator::differentiable("Relu", &[], same_as_input, relu).folds(|call| unary(call, |a| a.max(0.0))),
    Operator::differentiable("HardSigmoid", &["alpha", "beta"], same_as_input, hard_sigmoid),
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

/// y = max(a, b, ...): dy goes to each input that is the maximum. Ties, where max has no
/// derivative, give it to all of them.
fn max(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let y = vjp.output(0)?;
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

/// y = -a: da = -dy.
fn neg(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let da = vjp.emit("Neg", &[&dy], [])?;
    vjp.give(0, da);
    Ok(())
}

/// y = sqrt(a): da = dy / (2 y).
fn sqrt(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let y = vjp.output(0)?;
    let half = vjp.scalar(0.5);
    let halved = vjp.emit("Mul", &[&dy, &half], [])?;
    let da = vjp.emit("Div", &[&halved, &y], [])?;
    vjp.give(0, da);
    Ok(())
}

/// y = max(a, 0): da = dy where y > 0.
///
/// The mask is a HardSigmoid steep enough to be 1 for every normal y > 0 (below 3e-39 it falls
/// short of 1): ONNX Runtime keeps HardSigmoid and Mul, unlike Greater and Where, in the blocked
/// layout of the convolutions around them, which measured a third of the time; tract does not care.
fn relu(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    let y = vjp.output(0)?;
    let steep = [("alpha", Attribute::Float(STEEP)), ("beta", Attribute::Float(0.0))];
    let positive = vjp.emit("HardSigmoid", &[&y], steep)?;
    let da = vjp.emit("Mul", &[&dy, &positive], [])?;
    vjp.give(0, da);
    Ok(())
}

/// y = min(max(alpha a + beta, 0), 1): da = alpha dy where 0 < y < 1.
fn hard_sigmoid(vjp: &mut Vjp<'_>) -> Result {
    let alpha = vjp.read(|call| call.float("alpha", 0.2))?;
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let (zero, one, alpha) = (vjp.scalar(0.0), vjp.scalar(1.0), vjp.scalar(alpha));
    let above = vjp.emit("Greater", &[&y, &zero], [])?;
    let below = vjp.emit("Less", &[&y, &one], [])?;
    let inside = vjp.emit("And", &[&above, &below], [])?;
    let scaled = vjp.emit("Mul", &[&dy, &alpha], [])?;
    let da = vjp.emit("Where", &[&inside, &scaled, &zero], [])?;
    vjp.give(0, da);
    Ok(())
}

/// y = a: da = dy.
fn identity(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    vjp.give(0, dy);
    Ok(())
}

fn fold_neg(call: &Call<'_>) -> Folded {
    from_all(call, |inputs| match inputs {
        [Array::Int(dtype, a)] => Ok(Some(Array::Int(*dtype, a.mapv(i64::wrapping_neg)))),
        [Array::Float(dtype, a)] => Ok(Some(Array::Float(*dtype, a.mapv(|a| -a)))),
        _ => Ok(None),
    })
}

fn fold_identity(call: &Call<'_>) -> Folded {
    Ok(call.constant(0).ok().map(|tensor| vec![tensor.clone()]))
}
