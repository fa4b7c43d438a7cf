//! Functions of one number, and powers: Exp, Log, Pow, Erf, Sin, Cos, Tan, Atan, Sinh, Cosh, Asinh.

use crate::onnx::{DType, Tensor};
use crate::rewrite::ops::arithmetic::elementary::half_over_root;
use crate::rewrite::ops::call::{broadcast, same_as_input};
use crate::rewrite::ops::fold::{Folded, from_all, unary, zip};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType, Value};

type Result<T = ()> = std::result::Result<T, RewriteError>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("Exp", &[], same_as_input, exp).folds(|call| unary(call, f64::exp)),
    Operator::differentiable("Log", &[], same_as_input, log).folds(|call| unary(call, f64::ln)),
    Operator::differentiable("Pow", &[], infer_pow, pow).folds(fold_pow),
    Operator::differentiable("Erf", &[], same_as_input, erf),
    Operator::differentiable("Sin", &[], same_as_input, sin).folds(|call| unary(call, f64::sin)),
    Operator::differentiable("Cos", &[], same_as_input, cos).folds(|call| unary(call, f64::cos)),
    Operator::differentiable("Tan", &[], same_as_input, tan).folds(|call| unary(call, f64::tan)),
    Operator::differentiable("Atan", &[], same_as_input, atan).folds(|call| unary(call, f64::atan)),
    Operator::differentiable("Sinh", &[], same_as_input, |vjp| by(vjp, "Cosh")),
    Operator::differentiable("Cosh", &[], same_as_input, |vjp| by(vjp, "Sinh")),
    Operator::differentiable("Asinh", &[], same_as_input, asinh).folds(|call| unary(call, f64::asinh)),
];

/// y = f(x) whose derivative is an operator of its own: dx = dy f'(x).
fn by(vjp: &mut Vjp<'_>, derivative: &str) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let slope = vjp.emit(derivative, &[&x], [])?;
    let dx = vjp.emit("Mul", &[&dy, &slope], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = e^x: dx = dy y.
fn exp(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let dx = vjp.emit("Mul", &[&dy, &y], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = ln x: dx = dy / x.
fn log(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let dx = vjp.emit("Div", &[&dy, &x], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = sin x: dx = dy cos x.
fn sin(vjp: &mut Vjp<'_>) -> Result {
    by(vjp, "Cos")
}

/// y = cos x: dx = -dy sin x.
fn cos(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let sine = vjp.emit("Sin", &[&x], [])?;
    let scaled = vjp.emit("Mul", &[&dy, &sine], [])?;
    let dx = vjp.emit("Neg", &[&scaled], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = tan x: dx = dy (1 + y^2).
fn tan(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let slope = one_plus_square(vjp, &y)?;
    let dx = vjp.emit("Mul", &[&dy, &slope], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = atan x: dx = dy / (1 + x^2).
fn atan(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let below = one_plus_square(vjp, &x)?;
    let dx = vjp.emit("Div", &[&dy, &below], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = asinh x: dx = dy / sqrt(1 + x^2).
fn asinh(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let square = one_plus_square(vjp, &x)?;
    let root = vjp.emit("Sqrt", &[&square], [])?;
    let dx = vjp.emit("Div", &[&dy, &root], [])?;
    vjp.give(0, dx);
    Ok(())
}

fn one_plus_square(vjp: &mut Vjp<'_>, value: &Value) -> Result<Value> {
    let one = vjp.scalar(1.0);
    let square = vjp.emit("Mul", &[value, value], [])?;
    vjp.emit("Add", &[&square, &one], [])
}

/// y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x: dx = dy e^(ln(2 / sqrt(pi)) - x^2).
fn erf(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let peak = vjp.scalar(std::f32::consts::FRAC_2_SQRT_PI.ln());
    let square = vjp.emit("Mul", &[&x, &x], [])?;
    let exponent = vjp.emit("Sub", &[&peak, &square], [])?;
    let slope = vjp.emit("Exp", &[&exponent], [])?;
    let dx = vjp.emit("Mul", &[&dy, &slope], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// The exponent may be of another type; the result has the base's.
fn infer_pow(call: &Call<'_>) -> std::result::Result<Vec<TensorType>, String> {
    let (base, exponent) = (call.input(0)?, call.input(1)?);
    Ok(vec![TensorType::new(base.dtype, broadcast(&base.shape, &exponent.shape)?)])
}

/// y = x^e: dx = dy e x^(e - 1), de = dy y ln x.
fn pow(vjp: &mut Vjp<'_>) -> Result {
    if vjp.wants(0) {
        let exponent = vjp.constant(1).ok().as_ref().and_then(Array::of).map(|array| array.to_float());
        match exponent {
            Some(exponent) => constant_power(vjp, &exponent)?,
            None => computed_power(vjp)?,
        }
    }
    if vjp.wants(1) {
        power_of_exponent(vjp)?;
    }
    Ok(())
}

fn constant_power(vjp: &mut Vjp<'_>, exponent: &ndarray::ArrayD<f64>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let first = exponent.first().copied().unwrap_or(0.0);
    let uniform = exponent.iter().all(|&value| value == first);
    let dx = match first {
        0.0 if uniform => return Ok(()),
        1.0 if uniform => dy,
        0.5 if uniform => half_over_root(vjp, &dy)?,
        2.0 if uniform => {
            let two = vjp.scalar(2.0);
            let scaled = vjp.emit("Mul", &[&dy, &x], [])?;
            vjp.emit("Mul", &[&scaled, &two], [])?
        }
        _ => {
            let (factor, below) = if uniform {
                (vjp.scalar(first as f32), vjp.scalar((first - 1.0) as f32))
            } else {
                // An exponent of 0 has the slope 0, at a base of 0 too.
                let below = exponent.mapv(|e| if e == 0.0 { 0.0 } else { e - 1.0 });
                (array(vjp, exponent)?, array(vjp, &below)?)
            };
            let power = vjp.emit("Pow", &[&x, &below], [])?;
            let slope = vjp.emit("Mul", &[&power, &factor], [])?;
            vjp.emit("Mul", &[&dy, &slope], [])?
        }
    };
    vjp.give(0, dx);
    Ok(())
}

fn array(vjp: &mut Vjp<'_>, values: &ndarray::ArrayD<f64>) -> Result<Value> {
    let values32: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let tensor = Tensor::f32(values.shape(), values32).map_err(|error| vjp.fail(error.to_string()))?;
    Ok(vjp.tensor("exponent", tensor))
}

/// With an exponent that is not known before it runs.
fn computed_power(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x, mut e) = (vjp.cotangent()?, vjp.input(0)?, vjp.input(1)?);
    if e.ty.dtype != x.ty.dtype {
        e = vjp.emit("Cast", &[&e], [("to", (x.ty.dtype as i64).into())])?;
    }
    let (zero, one) = (vjp.scalar(0.0), vjp.scalar(1.0));
    let below = vjp.emit("Sub", &[&e, &one], [])?;
    let power = vjp.emit("Pow", &[&x, &below], [])?;
    let slope = vjp.emit("Mul", &[&e, &power], [])?;
    let flat = vjp.emit("Equal", &[&e, &zero], [])?;
    let slope = vjp.emit("Where", &[&flat, &zero, &slope], [])?;
    let dx = vjp.emit("Mul", &[&dy, &slope], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// A base that is not positive has no logarithm; there the exponent's gradient is zero, as it is
/// in the limit at 0.
fn power_of_exponent(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let zero = vjp.scalar(0.0);
    let positive = vjp.emit("Greater", &[&x, &zero], [])?;
    let log = vjp.emit("Log", &[&x], [])?;
    let log = vjp.emit("Where", &[&positive, &log, &zero], [])?;
    let slope = vjp.emit("Mul", &[&y, &log], [])?;
    let de = vjp.emit("Mul", &[&dy, &slope], [])?;
    vjp.give(1, de);
    Ok(())
}

fn fold_pow(call: &Call<'_>) -> Folded {
    from_all(call, |inputs| {
        let [base, exponent] = inputs else { return Ok(None) };
        let result = zip(&base.to_float(), &exponent.to_float(), |a, b| a.powf(*b))?;
        Ok(Array::Float(DType::F64, result).cast(base.dtype()))
    })
}
