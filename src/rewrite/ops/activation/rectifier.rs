//! Activations with a bend: Relu, LeakyRelu, PRelu, ThresholdedRelu, Elu, Celu, Selu, HardSigmoid,
//! HardSwish.
//!
//! Where the sign of the result tells the sign of the input, a rule looks at the result: the input
//! is then needed by nobody, and a runtime may fuse the activation into the layer before it.

use crate::onnx::Attribute;
use crate::rewrite::ops::call::{broadcast, same_as_input, same_dtype};
use crate::rewrite::ops::fold::unary;
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType, Value};

/// Near the largest float32.
const STEEP: f32 = 3e38;
/// An attribute in place of 0, which OpenVINO's processor plugin (2025.4, 2026.4) takes for the default. No result differs
/// by it, but below 1e-30.
const NEARLY_ZERO: f32 = -1e-30;

type Result<T = ()> = std::result::Result<T, RewriteError>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Relu", &[], same_as_input, relu).folds(|call| unary(call, |a| a.max(0.0))),
    Operator::differentiable("LeakyRelu", &["alpha"], same_as_input, leaky_relu),
    Operator::differentiable("PRelu", &[], infer_prelu, prelu),
    Operator::differentiable("ThresholdedRelu", &["alpha"], same_as_input, thresholded_relu),
    Operator::differentiable("Elu", &["alpha"], same_as_input, elu),
    Operator::differentiable("Celu", &["alpha"], same_as_input, celu),
    Operator::differentiable("Selu", &["alpha", "gamma"], same_as_input, selu),
    Operator::differentiable("HardSigmoid", &["alpha", "beta"], same_as_input, hard_sigmoid),
    Operator::differentiable("HardSwish", &[], same_as_input, hard_swish),
];

/// min(max(alpha x + beta, 0), 1).
fn ramp(vjp: &mut Vjp<'_>, x: &Value, alpha: f32, beta: f32) -> Result<Value> {
    let [alpha, beta] =
        [alpha, beta].map(|value| Attribute::Float(if value == 0.0 { NEARLY_ZERO } else { value }));
    vjp.emit("HardSigmoid", &[x], [("alpha", alpha), ("beta", beta)])
}

/// 1 where x > 0, else 0.
///
/// It is a HardSigmoid steep enough to be 1 for every normal x > 0 (below 3e-39 it falls short of
/// 1): ONNX Runtime keeps HardSigmoid and Mul, unlike Greater and Where, in the blocked layout of
/// the convolutions around them, which measured a third of the time; tract does not care.
fn step(vjp: &mut Vjp<'_>, x: &Value) -> Result<Value> {
    ramp(vjp, x, STEEP, 0.0)
}

/// dx = dy slope.
fn by(vjp: &mut Vjp<'_>, slope: &Value) -> Result {
    let dy = vjp.cotangent()?;
    let dx = vjp.emit("Mul", &[&dy, slope], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = max(x, 0): dx = dy where y > 0.
fn relu(vjp: &mut Vjp<'_>) -> Result {
    let y = vjp.output(0)?;
    let slope = step(vjp, &y)?;
    by(vjp, &slope)
}

/// y = x > 0 ? x : alpha x: dx = x > 0 ? dy : alpha dy.
///
/// For alpha in [0, 1] the slope is (1 - alpha) step(y) + alpha, which is a ramp too.
fn leaky_relu(vjp: &mut Vjp<'_>) -> Result {
    let alpha = vjp.read(|call| call.float("alpha", 0.01))?;
    if (0.0..=1.0).contains(&alpha) {
        let y = vjp.output(0)?;
        let positive = step(vjp, &y)?;
        let slope = ramp(vjp, &positive, 1.0 - alpha, alpha)?;
        return by(vjp, &slope);
    }
    let x = vjp.input(0)?;
    let (zero, one, alpha) = (vjp.scalar(0.0), vjp.scalar(1.0), vjp.scalar(alpha));
    let positive = vjp.emit("Greater", &[&x, &zero], [])?;
    let slope = vjp.emit("Where", &[&positive, &one, &alpha], [])?;
    by(vjp, &slope)
}

fn infer_prelu(call: &Call<'_>) -> std::result::Result<Vec<TensorType>, String> {
    let (data, slope) = (call.input(0)?, call.input(1)?);
    same_dtype(data.dtype, slope.dtype)?;
    if broadcast(&data.shape, &slope.shape)? != data.shape {
        return Err(format!("has a slope of shape {:?}, larger than its input", slope.shape));
    }
    Ok(vec![data.clone()])
}

/// y = x > 0 ? x : s x: dx = x > 0 ? dy : s dy, ds = x > 0 ? 0 : x dy.
fn prelu(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let zero = vjp.scalar(0.0);
    let positive = vjp.emit("Greater", &[&x, &zero], [])?;
    if vjp.wants(0) {
        let slope = vjp.input(1)?;
        let bent = vjp.emit("Mul", &[&dy, &slope], [])?;
        let dx = vjp.emit("Where", &[&positive, &dy, &bent], [])?;
        vjp.give(0, dx);
    }
    if vjp.wants(1) {
        let along = vjp.emit("Mul", &[&dy, &x], [])?;
        let ds = vjp.emit("Where", &[&positive, &zero, &along], [])?;
        vjp.give(1, ds);
    }
    Ok(())
}

/// y = x > alpha ? x : 0: dx = dy where x > alpha.
fn thresholded_relu(vjp: &mut Vjp<'_>) -> Result {
    let alpha = vjp.read(|call| call.float("alpha", 1.0))?;
    if alpha >= 0.0 {
        return relu(vjp);
    }
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let (zero, alpha) = (vjp.scalar(0.0), vjp.scalar(alpha));
    let above = vjp.emit("Greater", &[&x, &alpha], [])?;
    let dx = vjp.emit("Where", &[&above, &dy, &zero], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = x > 0 ? x : alpha (e^x - 1): dx = dy (x > 0 ? 1 : y + alpha), for alpha = 1 a ramp of y.
fn elu(vjp: &mut Vjp<'_>) -> Result {
    let alpha = vjp.read(|call| call.float("alpha", 1.0))?;
    if alpha == 1.0 {
        return ramp_of_result(vjp, 1.0);
    }
    bent_exponential(vjp, 1.0, alpha)
}

/// y = max(0, x) + min(0, alpha (e^(x / alpha) - 1)): dx = dy (x > 0 ? 1 : y / alpha + 1).
fn celu(vjp: &mut Vjp<'_>) -> Result {
    let alpha = vjp.read(|call| call.float("alpha", 1.0))?;
    if alpha.is_nan() || alpha <= 0.0 {
        return Err(
            vjp.fail(format!("cannot be differentiated: its `alpha` is {alpha} and should be positive"))
        );
    }
    ramp_of_result(vjp, 1.0 / alpha)
}

/// y = gamma (x > 0 ? x : alpha (e^x - 1)): dx = dy (x > 0 ? gamma : y + gamma alpha).
fn selu(vjp: &mut Vjp<'_>) -> Result {
    let alpha = vjp.read(|call| call.float("alpha", 1.673_263_2))?;
    let gamma = vjp.read(|call| call.float("gamma", 1.050_701))?;
    bent_exponential(vjp, gamma, gamma * alpha)
}

/// dx = dy min(max(rate y + 1, 0), 1).
fn ramp_of_result(vjp: &mut Vjp<'_>, rate: f32) -> Result {
    let y = vjp.output(0)?;
    let slope = ramp(vjp, &y, rate, 1.0)?;
    by(vjp, &slope)
}

/// dx = dy (x > 0 ? linear : y + depth).
fn bent_exponential(vjp: &mut Vjp<'_>, linear: f32, depth: f32) -> Result {
    let (x, y) = (vjp.input(0)?, vjp.output(0)?);
    let (zero, linear, depth) = (vjp.scalar(0.0), vjp.scalar(linear), vjp.scalar(depth));
    let positive = vjp.emit("Greater", &[&x, &zero], [])?;
    let curved = vjp.emit("Add", &[&y, &depth], [])?;
    let slope = vjp.emit("Where", &[&positive, &linear, &curved], [])?;
    by(vjp, &slope)
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

/// y = x h, h = min(max(x / 6 + 1 / 2, 0), 1): dx = dy (|x| < 3 ? x / 3 + 1 / 2 : h).
fn hard_swish(vjp: &mut Vjp<'_>) -> Result {
    let x = vjp.input(0)?;
    let (three, third, half) = (vjp.scalar(3.0), vjp.scalar(1.0 / 3.0), vjp.scalar(0.5));
    let size = vjp.emit("Abs", &[&x], [])?;
    let inside = vjp.emit("Less", &[&size, &three], [])?;
    let scaled = vjp.emit("Mul", &[&x, &third], [])?;
    let curved = vjp.emit("Add", &[&scaled, &half], [])?;
    let outside = step(vjp, &x)?;
    let slope = vjp.emit("Where", &[&inside, &curved, &outside], [])?;
    by(vjp, &slope)
}
