//! BatchNormalization InstanceNormalization LayerNormalization GroupNormalization
//! RMSNormalization LpNormalization.

use super::{Attributes, Inputs, Kernel, Operator, Refusal, axis, one, standard, unary};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] = &[
    standard("BatchNormalization", 5..=5, batch),
    standard("InstanceNormalization", 3..=3, instance),
    standard("LayerNormalization", 2..=3, layer),
    standard("GroupNormalization", 3..=3, group),
    standard("RMSNormalization", 2..=2, rms),
    standard("LpNormalization", 1..=1, lp),
];

fn epsilon(attributes: &Attributes<'_>) -> Result<f64, Refusal> {
    Ok(attributes.float("epsilon")?.unwrap_or(f64::from(1e-5_f32)))
}

/// In training, running mean and variance are written in place.
fn batch(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let epsilon = epsilon(attributes)?;
    // The share of a running statistic that stays, where libtorch wants the share that is new.
    let momentum = 1.0 - attributes.float("momentum")?.unwrap_or(f64::from(0.9_f32));
    // Before opset 9.
    attributes.int("spatial")?;
    if attributes.flag("training_mode", false)? || attributes.outputs() > 1 {
        return Err(Refusal::new("is in training mode; export the model for inference"));
    }
    one(move |inputs| {
        let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|index| inputs.optional(index));
        let training = inputs.training;
        Ok(inputs.get(0)?.f_batch_norm(scale, bias, mean, variance, training, momentum, epsilon, false)?)
    })
}

fn instance(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let epsilon = epsilon(attributes)?;
    one(move |inputs| {
        let (scale, bias) = (inputs.optional(1), inputs.optional(2));
        let none = None::<&Tensor>;
        Ok(inputs.get(0)?.f_instance_norm(scale, bias, none, none, true, 0.0, epsilon, false)?)
    })
}

/// `value` times the scale that is input 1, plus the bias that may be input 2.
fn scaled(value: &Tensor, inputs: &Inputs<'_>) -> Result<Tensor, Refusal> {
    let scaled = value.f_mul(inputs.get(1)?)?;
    match inputs.optional(2) {
        Some(bias) => Ok(scaled.f_add(bias)?),
        None => Ok(scaled),
    }
}

/// The parameters may be smaller than the layer, which libtorch's own function does not take.
fn layer(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (epsilon, from) = (epsilon(attributes)?, attributes.int("axis")?.unwrap_or(-1));
    // The precision of the statistics; everything here is of one kind.
    attributes.int("stash_type")?;
    let outputs = attributes.outputs();
    Ok(Box::new(move |inputs| {
        let x = inputs.get(0)?;
        let from = axis(from, x.dim())?;
        let shape = x.size().split_off(from as usize);
        let none = None::<&Tensor>;
        let (normal, _, _) = x.f_native_layer_norm(shape, none, none, epsilon)?;
        let mut results = vec![scaled(&normal, inputs)?];
        if outputs > 1 {
            // The statistics that libtorch gives beside it carry no gradient.
            let over: Vec<i64> = (from..x.dim() as i64).collect();
            let mean = x.f_mean_dim(over.as_slice(), true, None)?;
            let variance = x.f_sub(&mean)?.f_square()?.f_mean_dim(over, true, None)?;
            results.extend([mean, variance.f_add_scalar(epsilon)?.f_rsqrt()?]);
        }
        results.truncate(outputs);
        Ok(results)
    }))
}

fn rms(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (epsilon, from) = (epsilon(attributes)?, attributes.int("axis")?.unwrap_or(-1));
    attributes.int("stash_type")?;
    one(move |inputs| {
        let x = inputs.get(0)?;
        let over: Vec<i64> = (axis(from, x.dim())?..x.dim() as i64).collect();
        let variance = x.f_square()?.f_mean_dim(over, true, None)?.f_add_scalar(epsilon)?;
        scaled(&x.f_mul(&variance.f_rsqrt()?)?, inputs)
    })
}

/// Parameters are one per group in opset 18 and one per channel since 21.
fn group(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let epsilon = epsilon(attributes)?;
    attributes.int("stash_type")?;
    let groups = attributes.int("num_groups")?.filter(|&groups| groups > 0);
    let groups = groups.ok_or_else(|| Refusal::new("attribute `num_groups` is missing or not positive"))?;
    let per_group = attributes.opset < 21;
    one(move |inputs| {
        let x = inputs.get(0)?;
        let channels = x.size().get(1).copied().unwrap_or(0);
        let parameter = |index: usize| -> Result<Tensor, Refusal> {
            let given = inputs.get(index)?;
            if per_group {
                return Ok(given.f_repeat_interleave_self_int(channels / groups, 0, None)?);
            }
            Ok(given.shallow_clone())
        };
        Ok(x.f_group_norm(groups, Some(parameter(1)?), Some(parameter(2)?), epsilon, false)?)
    })
}

fn lp(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (dim, p) = (attributes.int("axis")?.unwrap_or(-1), attributes.int("p")?.unwrap_or(2));
    unary(move |x| {
        let dim = axis(dim, x.dim())?;
        let norm = x.f_norm_scalaropt_dim(p, [dim], true)?;
        Ok(x.f_div(&norm.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?)
    })
}
