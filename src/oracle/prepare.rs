//! The sessions that an oracle runs: S(x) as the runtime serves it, and an objective with its gradient.

use super::error::OracleError;
use super::models::{GradientGraph, gradient_model, image_input, objective_model};
use super::objective::Objective;
use crate::onnx::Model;
use crate::rewrite::{RewriteError, promote, resized, specialise};
use crate::runtime::{Runtime, Session};

/// The model as it is, or in float32 where the runtime does not serve half precision. One with an
/// operator that is not known here is handed to the runtime unread.
pub fn forward_session(
    runtime: &dyn Runtime,
    model: &Model,
    shape: &[usize],
) -> Result<Box<dyn Session>, OracleError> {
    let fixed = match specialise(model, &[shape]) {
        Ok(fixed) => fixed,
        Err(unknown @ RewriteError::Node { .. }) => {
            return runtime.load(&resized(model.clone(), &[shape])?).map_err(|_| unknown.into());
        }
        Err(error) => return Err(error.into()),
    };
    Ok(runtime.load(&if runtime.half_precision() { fixed } else { promote(&fixed).0 })?)
}

/// The runtime's own differentiation where it has one, else the gradient graph: the one at hand where it is for
/// this objective and size.
pub fn gradient_session(
    runtime: &dyn Runtime,
    model: &Model,
    objective: &Objective,
    shape: &[usize],
    at_hand: Option<&GradientGraph>,
) -> Result<Box<dyn Session>, OracleError> {
    let image = image_input(model)?;
    let with_objective = objective_model(model, objective, shape)?;
    if let Some(session) = runtime.autograd(&with_objective, &image) {
        return Ok(session?);
    }
    match at_hand.filter(|built| built.is_for(objective, shape)) {
        Some(built) => Ok(runtime.load(&built.model)?),
        None => Ok(runtime.load(&gradient_model(model, objective, shape)?.0)?),
    }
}
