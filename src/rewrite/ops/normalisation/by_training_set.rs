//! BatchNormalization at inference: by statistics of the training set, so that nothing but a scale
//! per channel is left.
//!
//! Refused: training mode, where the statistics are the batch's, and parameters that depend on the
//! image.

use crate::onnx::Tensor;
use crate::rewrite::ops::normalisation::by_image::{EPSILON, along_channels, fixed_parameters, one_each};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType};

pub const OPERATORS: &[Operator] =
    &[Operator::differentiable("BatchNormalization", &["epsilon", "momentum", "training_mode"], infer, rule)];

/// The result, and what training would write: running statistics, and before opset 14 saved ones.
fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (data, mean) = (call.input(0)?, call.input(3)?);
    let channels = *data.shape.get(1).ok_or("needs an input of channels")?;
    (1..5).try_for_each(|index| one_each(call, index, channels))?;
    let mut types = vec![mean.clone(); call.output_count().max(1)];
    types[0] = data.clone();
    Ok(types)
}

/// y = s (x - m) / sqrt(v + epsilon) + b: dx = dy s / sqrt(v + epsilon).
fn rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let trains = vjp.read(|call| Ok(call.int("training_mode", 0)? != 0 || call.output_count() > 1))?;
    if trains {
        return Err(vjp.fail("cannot be differentiated: it is in training mode; export for inference"));
    }
    fixed_parameters(vjp, 1..=4)?;
    let epsilon = vjp.read(|call| call.float("epsilon", EPSILON))?;
    let shape = along_channels(vjp.input(1)?.ty.len(), vjp.input(0)?.ty.rank());
    let factor = match constant_factor(vjp, epsilon, &shape) {
        Some(factor) => vjp.tensor("factor", factor),
        None => {
            let (scale, variance, epsilon) = (vjp.input(1)?, vjp.input(4)?, vjp.scalar(epsilon));
            let variance = vjp.emit("Add", &[&variance, &epsilon], [])?;
            let deviation = vjp.emit("Sqrt", &[&variance], [])?;
            let factor = vjp.emit("Div", &[&scale, &deviation], [])?;
            vjp.reshape(&factor, &shape)?
        }
    };
    let dy = vjp.cotangent()?;
    let dx = vjp.emit("Mul", &[&dy, &factor], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// s / sqrt(v + epsilon) of constants, computed in f64.
fn constant_factor(vjp: &Vjp<'_>, epsilon: f32, shape: &[usize]) -> Option<Tensor> {
    let array = |index: usize| Array::of(&vjp.constant(index).ok()?);
    let (scale, variance) = (array(1)?, array(4)?);
    let deviation = variance.to_float().mapv(|variance| (variance + f64::from(epsilon)).sqrt());
    let factor = Array::Float(scale.dtype(), scale.to_float() / deviation);
    factor.tensor()?.reshaped(shape).ok()
}
