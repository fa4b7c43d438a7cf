//! Relu LeakyRelu PRelu Sigmoid HardSigmoid Tanh Softmax.

use super::{Attributes, Kernel, Operator, Refusal, axis, binary, standard, unary};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] = &[
    standard("Relu", 1..=1, |_| unary(|x| Ok(x.f_relu()?))),
    standard("LeakyRelu", 1..=1, leaky_relu),
    standard("PRelu", 2..=2, |_| binary(|x, slope| bent_at_zero(x, &x.f_mul(slope)?))),
    standard("Sigmoid", 1..=1, |_| unary(|x| Ok(x.f_sigmoid()?))),
    standard("HardSigmoid", 1..=1, hard_sigmoid),
    standard("Tanh", 1..=1, |_| unary(|x| Ok(x.f_tanh()?))),
    standard("Softmax", 1..=1, softmax),
];

/// `x` where it is positive, else `negative`.
fn bent_at_zero(x: &Tensor, negative: &Tensor) -> Result<Tensor, Refusal> {
    Ok(x.f_where_self(&x.f_gt(0.0)?, negative)?)
}

fn leaky_relu(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let alpha = attributes.float("alpha")?.unwrap_or(0.01);
    unary(move |x| bent_at_zero(x, &x.f_mul_scalar(alpha)?))
}

fn hard_sigmoid(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (alpha, beta) = (attributes.float("alpha")?.unwrap_or(0.2), attributes.float("beta")?.unwrap_or(0.5));
    unary(move |x| Ok(x.f_mul_scalar(alpha)?.f_add_scalar(beta)?.f_clamp(0.0, 1.0)?))
}

/// Before opset 13 everything from `axis` (default 1) on is one vector; since, `axis` alone
/// (default -1).
fn softmax(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let given = attributes.int("axis")?;
    if attributes.opset >= 13 {
        let dim = given.unwrap_or(-1);
        return unary(move |x| Ok(x.f_softmax(axis(dim, x.dim())?, None)?));
    }
    let dim = given.unwrap_or(1);
    unary(move |x| {
        let dim = axis(dim, x.dim())?;
        let flat = x.f_flatten(dim, -1)?;
        Ok(flat.f_softmax(-1, None)?.f_view(x.size().as_slice())?)
    })
}
