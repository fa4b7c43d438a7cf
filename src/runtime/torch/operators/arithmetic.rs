//! Element by element, with broadcasting: Add Sub Mul Div Pow Mod Max Min Sum Mean, Neg Abs Sign
//! Floor Ceil Round Sqrt Exp Log Reciprocal Erf Sin Cos Tan Atan Sinh Cosh Asinh Clip Identity.

use super::{Attributes, Inputs, Kernel, MANY, Operator, Refusal, binary, one, standard, unary};
use crate::torch::{Kind, TchError, Tensor};

pub(super) const OPERATORS: &[Operator] = &[
    standard("Add", 2..=2, |_| binary(|a, b| Ok(a.f_add(b)?))),
    standard("Sub", 2..=2, |_| binary(|a, b| Ok(a.f_sub(b)?))),
    standard("Mul", 2..=2, |_| binary(|a, b| Ok(a.f_mul(b)?))),
    standard("Div", 2..=2, |_| binary(div)),
    standard("Pow", 2..=2, |_| binary(pow)),
    standard("Mod", 2..=2, modulo),
    standard("Max", 1..=MANY, |_| one(|inputs| fold(inputs, Tensor::f_maximum))),
    standard("Min", 1..=MANY, |_| one(|inputs| fold(inputs, Tensor::f_minimum))),
    standard("Sum", 1..=MANY, |_| one(|inputs| fold(inputs, Tensor::f_add))),
    standard("Mean", 1..=MANY, |_| one(mean)),
    standard("Neg", 1..=1, |_| unary(|x| Ok(x.f_neg()?))),
    standard("Abs", 1..=1, |_| unary(|x| Ok(x.f_abs()?))),
    standard("Sign", 1..=1, |_| unary(|x| Ok(x.f_sign()?))),
    standard("Floor", 1..=1, |_| unary(|x| Ok(x.f_floor()?))),
    standard("Ceil", 1..=1, |_| unary(|x| Ok(x.f_ceil()?))),
    standard("Round", 1..=1, |_| unary(|x| Ok(x.f_round()?))),
    standard("Sqrt", 1..=1, |_| unary(|x| Ok(x.f_sqrt()?))),
    standard("Exp", 1..=1, |_| unary(|x| Ok(x.f_exp()?))),
    standard("Log", 1..=1, |_| unary(|x| Ok(x.f_log()?))),
    standard("Reciprocal", 1..=1, |_| unary(|x| Ok(x.f_reciprocal()?))),
    standard("Erf", 1..=1, |_| unary(|x| Ok(x.f_erf()?))),
    standard("Sin", 1..=1, |_| unary(|x| Ok(x.f_sin()?))),
    standard("Cos", 1..=1, |_| unary(|x| Ok(x.f_cos()?))),
    standard("Tan", 1..=1, |_| unary(|x| Ok(x.f_tan()?))),
    standard("Atan", 1..=1, |_| unary(|x| Ok(x.f_atan()?))),
    standard("Sinh", 1..=1, |_| unary(|x| Ok(x.f_sinh()?))),
    standard("Cosh", 1..=1, |_| unary(|x| Ok(x.f_cosh()?))),
    standard("Asinh", 1..=1, |_| unary(|x| Ok(x.f_asinh()?))),
    standard("Clip", 1..=3, clip),
    standard("Identity", 1..=1, |_| unary(|x| Ok(x.shallow_clone()))),
];

/// Integers are divided towards zero, as ONNX has it.
fn div(a: &Tensor, b: &Tensor) -> Result<Tensor, Refusal> {
    if a.is_floating_point() { Ok(a.f_div(b)?) } else { Ok(a.f_div_tensor_mode(b, "trunc")?) }
}

/// The sign is the divisor's, as in Python; with `fmod` the dividend's, as in C.
fn modulo(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let as_in_c = attributes.flag("fmod", false)?;
    binary(move |a, b| Ok(if as_in_c { a.f_fmod_tensor(b)? } else { a.f_remainder_tensor(b)? }))
}

/// The exponent may be of another type; the result has the base's.
fn pow(base: &Tensor, exponent: &Tensor) -> Result<Tensor, Refusal> {
    let kind: Kind = base.f_kind()?;
    Ok(base.f_pow(&exponent.f_to_device(base.device())?.f_to_kind(kind)?)?)
}

fn fold(
    inputs: &Inputs<'_>,
    join: impl Fn(&Tensor, &Tensor) -> Result<Tensor, TchError>,
) -> Result<Tensor, Refusal> {
    let all = inputs.all()?;
    let mut result = all[0].shallow_clone();
    for input in &all[1..] {
        result = join(&result, input)?;
    }
    Ok(result)
}

fn mean(inputs: &Inputs<'_>) -> Result<Tensor, Refusal> {
    Ok(fold(inputs, Tensor::f_add)?.f_div_scalar(inputs.values.len() as f64)?)
}

/// Limits are attributes before opset 11 and inputs since. At a limit the gradient passes.
fn clip(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    if attributes.opset < 11 {
        let low = attributes.float("min")?.unwrap_or(f64::NEG_INFINITY);
        let high = attributes.float("max")?.unwrap_or(f64::INFINITY);
        return unary(move |x| Ok(x.f_clamp(low, high)?));
    }
    one(|inputs| {
        let (low, high) = (inputs.optional(1), inputs.optional(2));
        let x = inputs.get(0)?;
        if low.is_none() && high.is_none() {
            return Ok(x.shallow_clone());
        }
        Ok(x.f_clamp_tensor(low, high)?)
    })
}
