//! Relu LeakyRelu PRelu ThresholdedRelu Elu Celu Selu Sigmoid HardSigmoid HardSwish Tanh Softplus
//! Softsign Gelu Swish Mish Softmax LogSoftmax, and Dropout, which rests outside training.

use super::{Attributes, Kernel, Operator, Refusal, axis, binary, standard, unary};
use crate::torch::{Kind, TchError, Tensor, to_vec};

pub(super) const OPERATORS: &[Operator] = &[
    standard("Relu", 1..=1, |_| unary(|x| Ok(x.f_relu()?))),
    standard("LeakyRelu", 1..=1, leaky_relu),
    standard("PRelu", 2..=2, |_| binary(parametric)),
    standard("ThresholdedRelu", 1..=1, thresholded_relu),
    standard("Elu", 1..=1, |node| exponential(node.float("alpha")?.unwrap_or(1.0), 1.0)),
    standard("Celu", 1..=1, celu),
    standard("Selu", 1..=1, |node| {
        let alpha = node.float("alpha")?.unwrap_or(f64::from(1.673_263_2_f32));
        exponential(alpha, node.float("gamma")?.unwrap_or(f64::from(1.050_701_f32)))
    }),
    standard("Sigmoid", 1..=1, |_| unary(|x| Ok(x.f_sigmoid()?))),
    standard("HardSigmoid", 1..=1, hard_sigmoid),
    standard("HardSwish", 1..=1, |_| unary(|x| Ok(x.f_hardswish()?))),
    standard("Tanh", 1..=1, |_| unary(|x| Ok(x.f_tanh()?))),
    standard("Softplus", 1..=1, |_| unary(|x| Ok(x.f_neg()?.f_log_sigmoid()?.f_neg()?))),
    standard("Softsign", 1..=1, |_| unary(|x| Ok(x.f_div(&x.f_abs()?.f_add_scalar(1.0)?)?))),
    standard("Gelu", 1..=1, gelu),
    standard("Swish", 1..=1, |node| {
        let alpha = node.float("alpha")?.unwrap_or(1.0);
        unary(move |x| Ok(x.f_mul(&x.f_mul_scalar(alpha)?.f_sigmoid()?)?))
    }),
    standard("Mish", 1..=1, |_| unary(|x| Ok(x.f_mish()?))),
    standard("Softmax", 1..=1, |node| softmax(node, |x, dim| x.f_softmax(dim, None))),
    standard("LogSoftmax", 1..=1, |node| softmax(node, |x, dim| x.f_log_softmax(dim, None))),
    standard("Dropout", 1..=3, dropout),
];

/// `x` where it is positive, else `negative`.
fn bent_at_zero(x: &Tensor, negative: &Tensor) -> Result<Tensor, Refusal> {
    Ok(x.f_where_self(&x.f_gt(0.0)?, negative)?)
}

/// One slope, or one per channel, is what libtorch's own function takes, which is faster to train.
fn parametric(x: &Tensor, slope: &Tensor) -> Result<Tensor, Refusal> {
    let channels = x.size().get(1).copied();
    let along_channels = x.dim() >= slope.dim()
        && slope.dim() + 1 >= x.dim()
        && slope.size().get(slope.dim() + 1 - x.dim()).copied() == channels
        && channels == Some(slope.numel() as i64);
    if slope.numel() == 1 || along_channels {
        return Ok(x.f_prelu(&slope.f_reshape([-1])?)?);
    }
    bent_at_zero(x, &x.f_mul(slope)?)
}

fn leaky_relu(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let alpha = attributes.float("alpha")?.unwrap_or(0.01);
    unary(move |x| bent_at_zero(x, &x.f_mul_scalar(alpha)?))
}

fn thresholded_relu(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let alpha = attributes.float("alpha")?.unwrap_or(1.0);
    unary(move |x| Ok(x.f_where_self(&x.f_gt(alpha)?, &x.f_zeros_like()?)?))
}

/// gamma x where x is positive, else gamma alpha (e^x - 1).
fn exponential(alpha: f64, gamma: f64) -> Result<Kernel, Refusal> {
    unary(move |x| {
        let negative = x.f_clamp_max(0.0)?.f_expm1()?.f_mul_scalar(alpha)?;
        Ok(bent_at_zero(x, &negative)?.f_mul_scalar(gamma)?)
    })
}

fn celu(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let alpha = attributes.float("alpha")?.unwrap_or(1.0);
    unary(move |x| {
        let negative = x.f_clamp_max(0.0)?.f_div_scalar(alpha)?.f_expm1()?.f_mul_scalar(alpha)?;
        bent_at_zero(x, &negative)
    })
}

fn gelu(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let by = if attributes.choice("approximate", &["none", "tanh"])? == "tanh" { "tanh" } else { "none" };
    unary(move |x| Ok(x.f_gelu(by)?))
}

/// The input as it is, and where it was kept: everywhere.
fn dropout(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    // They matter in training alone.
    attributes.int("seed")?;
    attributes.float("ratio")?;
    let outputs = attributes.outputs();
    Ok(Box::new(move |inputs| {
        let trains = inputs.optional(2).map(to_vec::<i64>).transpose()?;
        if trains.is_some_and(|flag| flag.iter().any(|&flag| flag != 0)) {
            return Err(Refusal::new("is in training mode; export the model for inference"));
        }
        let x = inputs.get(0)?;
        let mut results = vec![x.shallow_clone()];
        if outputs > 1 {
            results.push(x.f_ones_like()?.f_to_kind(Kind::Bool)?);
        }
        Ok(results)
    }))
}

fn hard_sigmoid(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (alpha, beta) = (attributes.float("alpha")?.unwrap_or(0.2), attributes.float("beta")?.unwrap_or(0.5));
    unary(move |x| Ok(x.f_mul_scalar(alpha)?.f_add_scalar(beta)?.f_clamp(0.0, 1.0)?))
}

/// Before opset 13 everything from `axis` (default 1) on is one vector; since, `axis` alone
/// (default -1).
fn softmax(
    attributes: &Attributes<'_>,
    compute: fn(&Tensor, i64) -> Result<Tensor, TchError>,
) -> Result<Kernel, Refusal> {
    let given = attributes.int("axis")?;
    if attributes.opset >= 13 {
        let dim = given.unwrap_or(-1);
        return unary(move |x| Ok(compute(x, axis(dim, x.dim())?)?));
    }
    let dim = given.unwrap_or(1);
    unary(move |x| {
        let dim = axis(dim, x.dim())?;
        let flat = x.f_flatten(dim, -1)?;
        Ok(compute(&flat, -1)?.f_view(x.size().as_slice())?)
    })
}
