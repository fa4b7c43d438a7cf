//! Smooth activations: Sigmoid, Tanh, Softplus, Softsign, Gelu, Mish.
//!
//! Slopes are computed from the result where that is possible: it is at hand, and what it cannot
//! tell it never overflows.

use super::call::same_as_input;
use super::{Operator, Vjp};
use crate::onnx::Attribute;
use crate::rewrite::{RewriteError, Value};

type Result<T = ()> = std::result::Result<T, RewriteError>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Sigmoid", &[], same_as_input, sigmoid),
    Operator::differentiable("Tanh", &[], same_as_input, tanh),
    Operator::differentiable("Softplus", &[], same_as_input, softplus),
    Operator::differentiable("Softsign", &[], same_as_input, softsign),
    Operator::differentiable("Gelu", &["approximate"], same_as_input, gelu),
    Operator::differentiable("Mish", &[], same_as_input, mish),
];

/// dx = dy slope.
fn by(vjp: &mut Vjp<'_>, slope: &Value) -> Result {
    let dy = vjp.cotangent()?;
    let dx = vjp.emit("Mul", &[&dy, slope], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// 1 - value.
fn rest(vjp: &mut Vjp<'_>, value: &Value) -> Result<Value> {
    let one = vjp.scalar(1.0);
    vjp.emit("Sub", &[&one, value], [])
}

/// y = 1 / (1 + e^-x): dx = dy y (1 - y).
fn sigmoid(vjp: &mut Vjp<'_>) -> Result {
    let y = vjp.output(0)?;
    let rest = rest(vjp, &y)?;
    let slope = vjp.emit("Mul", &[&y, &rest], [])?;
    by(vjp, &slope)
}

/// y = tanh x: dx = dy (1 - y^2).
fn tanh(vjp: &mut Vjp<'_>) -> Result {
    let y = vjp.output(0)?;
    let slope = one_minus_square(vjp, &y)?;
    by(vjp, &slope)
}

fn one_minus_square(vjp: &mut Vjp<'_>, y: &Value) -> Result<Value> {
    let square = vjp.emit("Mul", &[y, y], [])?;
    rest(vjp, &square)
}

/// y = ln(1 + e^x): dx = dy sigmoid(x).
fn softplus(vjp: &mut Vjp<'_>) -> Result {
    let x = vjp.input(0)?;
    let slope = vjp.emit("Sigmoid", &[&x], [])?;
    by(vjp, &slope)
}

/// y = x / (1 + |x|): dx = dy (1 - |y|)^2.
fn softsign(vjp: &mut Vjp<'_>) -> Result {
    let y = vjp.output(0)?;
    let size = vjp.emit("Abs", &[&y], [])?;
    let rest = rest(vjp, &size)?;
    let slope = vjp.emit("Mul", &[&rest, &rest], [])?;
    by(vjp, &slope)
}

fn gelu(vjp: &mut Vjp<'_>) -> Result {
    let by_tanh = vjp.read(|call| match call.text("approximate", "none")? {
        "none" => Ok(false),
        "tanh" => Ok(true),
        other => Err(format!("has `approximate` {other}, which ONNX does not define")),
    })?;
    if by_tanh { gelu_by_tanh(vjp) } else { gelu_exact(vjp) }
}

/// y = x P(x), P the normal distribution and p its density: dx = dy (P(x) + x p(x)), where with
/// u = x / sqrt(2), P = (1 + erf u) / 2 and p = e^(-u^2 - ln sqrt(2 pi)).
fn gelu_exact(vjp: &mut Vjp<'_>) -> Result {
    let x = vjp.input(0)?;
    let root = vjp.scalar(std::f32::consts::FRAC_1_SQRT_2);
    let peak = vjp.scalar(-0.5 * std::f32::consts::TAU.ln());
    let u = vjp.emit("Mul", &[&x, &root], [])?;
    let erf = vjp.emit("Erf", &[&u], [])?;
    let halves = [("alpha", Attribute::Float(0.5)), ("beta", Attribute::Float(0.5))];
    let distribution = vjp.emit("HardSigmoid", &[&erf], halves)?;
    let square = vjp.emit("Mul", &[&u, &u], [])?;
    let exponent = vjp.emit("Sub", &[&peak, &square], [])?;
    let density = vjp.emit("Exp", &[&exponent], [])?;
    let along = vjp.emit("Mul", &[&x, &density], [])?;
    let slope = vjp.emit("Add", &[&distribution, &along], [])?;
    by(vjp, &slope)
}

/// y = x s, s = sigmoid(w), w = 2 k x (1 + c x^2), k = sqrt(2 / pi), c = 0.044715:
/// dx = dy (s + y (1 - s) w'), w' = 2 k + 6 k c x^2.
fn gelu_by_tanh(vjp: &mut Vjp<'_>) -> Result {
    let (x, y) = (vjp.input(0)?, vjp.output(0)?);
    let linear = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
    let cubic = linear * 0.044_715;
    let [linear, cubic, steep] = [linear, cubic, 3.0 * cubic].map(|value| vjp.scalar(value as f32));
    let square = vjp.emit("Mul", &[&x, &x], [])?;
    let bend = vjp.emit("Mul", &[&square, &cubic], [])?;
    let factor = vjp.emit("Add", &[&bend, &linear], [])?;
    let w = vjp.emit("Mul", &[&x, &factor], [])?;
    let s = vjp.emit("Sigmoid", &[&w], [])?;
    let bend = vjp.emit("Mul", &[&square, &steep], [])?;
    let dw = vjp.emit("Add", &[&bend, &linear], [])?;
    let rest = rest(vjp, &s)?;
    let tail = vjp.emit("Mul", &[&y, &rest], [])?;
    let tail = vjp.emit("Mul", &[&tail, &dw], [])?;
    let slope = vjp.emit("Add", &[&s, &tail], [])?;
    by(vjp, &slope)
}

/// y = x t, t = tanh(ln(1 + e^x)): dx = dy (t + x sigmoid(x) (1 - t^2)).
fn mish(vjp: &mut Vjp<'_>) -> Result {
    let x = vjp.input(0)?;
    let softplus = vjp.emit("Softplus", &[&x], [])?;
    let t = vjp.emit("Tanh", &[&softplus], [])?;
    let sigmoid = vjp.emit("Sigmoid", &[&x], [])?;
    let dt = one_minus_square(vjp, &t)?;
    let gate = vjp.emit("Mul", &[&x, &sigmoid], [])?;
    let tail = vjp.emit("Mul", &[&gate, &dt], [])?;
    let slope = vjp.emit("Add", &[&t, &tail], [])?;
    by(vjp, &slope)
}
