//! Smooth activations: Sigmoid, Tanh, Softplus, Softsign, Gelu, Swish, Mish.
//!
//! Slopes are computed from the result where that is possible: it is at hand, and what it cannot
//! tell it never overflows.

use crate::onnx::Attribute;
use crate::rewrite::ops::call::same_as_input;
use crate::rewrite::ops::fold::unary;
use crate::rewrite::ops::{Operator, Vjp};
use crate::rewrite::{RewriteError, Value};

type Result<T = ()> = std::result::Result<T, RewriteError>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Sigmoid", &[], same_as_input, sigmoid)
        .folds(|call| unary(call, |x| 1.0 / (1.0 + (-x).exp()))),
    Operator::differentiable("Tanh", &[], same_as_input, tanh).folds(|call| unary(call, f64::tanh)),
    Operator::differentiable("Softplus", &[], same_as_input, softplus),
    Operator::differentiable("Softsign", &[], same_as_input, softsign),
    Operator::differentiable("Gelu", &["approximate"], same_as_input, gelu),
    Operator::differentiable("Swish", &["alpha"], same_as_input, swish),
    Operator::differentiable("Mish", &[], same_as_input, mish),
];

/// dx = dy slope.
fn by(vjp: &mut Vjp<'_>, slope: &Value) -> Result {
    let dy = vjp.cotangent()?;
    let dx = vjp.emit("Mul", &[&dy, slope], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// 1 - value, for values in [0, 1]: ONNX Runtime keeps a HardSigmoid, unlike a Sub, in the blocked
/// layout of the convolutions around it.
fn rest(vjp: &mut Vjp<'_>, value: &Value) -> Result<Value> {
    vjp.emit("HardSigmoid", &[value], [("alpha", Attribute::Float(-1.0)), ("beta", Attribute::Float(1.0))])
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

/// x, no further from 0 than `limit`: beyond it the slope is constant to float32, and products of
/// something large with something that should be 0, and that a runtime rounds, are kept away.
fn near(vjp: &mut Vjp<'_>, limit: f32) -> Result<Value> {
    let (x, low, high) = (vjp.input(0)?, vjp.scalar(-limit), vjp.scalar(limit));
    vjp.emit("Clip", &[&x, &low, &high], [])
}

/// y = x s, s = sigmoid(w), w = a x + b x^3, a = 2 sqrt(2 / pi), b = 0.044715 a:
/// dx = dy (s + s (1 - s) x w'), x w' = 3 w - 2 a x.
fn gelu_by_tanh(vjp: &mut Vjp<'_>) -> Result {
    let a = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
    let [linear, cubic, twice, three] =
        [a, 0.044_715 * a, 2.0 * a, 3.0].map(|value| vjp.scalar(value as f32));
    let x = near(vjp, 5.5)?;
    let square = vjp.emit("Mul", &[&x, &x], [])?;
    let bend = vjp.emit("Mul", &[&square, &cubic], [])?;
    let factor = vjp.emit("Add", &[&bend, &linear], [])?;
    let w = vjp.emit("Mul", &[&x, &factor], [])?;
    let s = vjp.emit("Sigmoid", &[&w], [])?;
    let rest = rest(vjp, &s)?;
    let ds = vjp.emit("Mul", &[&s, &rest], [])?;
    let thrice = vjp.emit("Mul", &[&w, &three], [])?;
    let straight = vjp.emit("Mul", &[&x, &twice], [])?;
    let along = vjp.emit("Sub", &[&thrice, &straight], [])?;
    let tail = vjp.emit("Mul", &[&ds, &along], [])?;
    let slope = vjp.emit("Add", &[&s, &tail], [])?;
    by(vjp, &slope)
}

/// y = x s, s = sigmoid(w), w = alpha x: dx = dy s (1 + w (1 - s)).
fn swish(vjp: &mut Vjp<'_>) -> Result {
    let alpha = vjp.read(|call| call.float("alpha", 1.0))?;
    let one = vjp.scalar(1.0);
    let mut w = near(vjp, 18.0 / alpha.abs())?;
    if alpha != 1.0 {
        let alpha = vjp.scalar(alpha);
        w = vjp.emit("Mul", &[&w, &alpha], [])?;
    }
    let s = vjp.emit("Sigmoid", &[&w], [])?;
    let rest = rest(vjp, &s)?;
    let tail = vjp.emit("Mul", &[&w, &rest], [])?;
    let factor = vjp.emit("Add", &[&tail, &one], [])?;
    let slope = vjp.emit("Mul", &[&s, &factor], [])?;
    by(vjp, &slope)
}

/// y = x t, t = tanh(ln(1 + e^x)): dx = dy (t + x sigmoid(x) (1 - t^2)).
fn mish(vjp: &mut Vjp<'_>) -> Result {
    let x = near(vjp, 18.0)?;
    let softplus = vjp.emit("Softplus", &[&x], [])?;
    let t = vjp.emit("Tanh", &[&softplus], [])?;
    let sigmoid = vjp.emit("Sigmoid", &[&x], [])?;
    let dt = one_minus_square(vjp, &t)?;
    let gate = vjp.emit("Mul", &[&x, &sigmoid], [])?;
    let tail = vjp.emit("Mul", &[&gate, &dt], [])?;
    let slope = vjp.emit("Add", &[&t, &tail], [])?;
    by(vjp, &slope)
}
