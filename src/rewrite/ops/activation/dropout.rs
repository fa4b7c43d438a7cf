//! Dropout at inference, where it passes its input on. In training it is random, and refused.

use crate::onnx::DType;
use crate::rewrite::ops::fold::Folded;
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType};

pub const OPERATORS: &[Operator] = &[Operator::differentiable("Dropout", &["seed"], infer, rule).folds(fold)];

/// Whether the node says that it trains, in which case every run differs.
fn trains(call: &Call<'_>) -> Result<bool, String> {
    if call.is_left_out(2) {
        return Ok(false);
    }
    let training = call.constant(2)?;
    let flag = training.as_bool().and_then(<[bool]>::first);
    flag.copied().ok_or_else(|| format!("needs a truth value as its input 2, not {}", training.dtype()))
}

/// The result, and the mask of what was kept.
fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let data = call.input(0)?;
    Ok(vec![data.clone(), TensorType::new(DType::Bool, data.shape.clone())])
}

/// y = x: dx = dy.
fn rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    if vjp.read(trains)? {
        return Err(vjp.fail(
            "cannot be differentiated: it is in training mode, so every run differs; export for inference",
        ));
    }
    let dy = vjp.cotangent()?;
    vjp.give(0, dy);
    Ok(())
}

fn fold(call: &Call<'_>) -> Folded {
    if call.output_count() > 1 || !matches!(trains(call), Ok(false)) {
        return Ok(None);
    }
    Ok(call.constant(0).ok().map(|tensor| vec![tensor.clone()]))
}
