//! The models that an oracle runs: the network at a fixed size, with an objective behind it, and
//! with the objective's gradient.

use super::objective::{Fragment, Objective, TARGET};
use crate::onnx::{DType, Model, Problem};
use crate::rewrite::{Emitter, RewriteError, Stop, Value, gradient, promote, specialise};

/// The names of the outputs of a gradient model.
pub const VALUE: &str = "value";
/// See [`VALUE`].
pub const GRADIENT: &str = "gradient";
/// The name of the output that holds one value per image, in models of several images.
pub const VALUES: &str = "values";

/// A model with the objective as its first output; where the batch has several images, the
/// objective of each is its second.
///
/// # Errors
/// A size that the model does not take, or an operator that is not known.
pub fn objective_model(model: &Model, objective: &Objective, shape: &[usize]) -> Result<Model, RewriteError> {
    let (emitter, Fragment { each, sum }) = with_objective(model, objective, shape)?;
    if shape[0] == 1 {
        return emitter.finish(&[(VALUE, &sum)]);
    }
    emitter.finish(&[(VALUE, &sum), (VALUES, &each)])
}

/// A model that takes an image (the network's own input) and a `target`, and gives the objective
/// and its gradient with respect to the image: a standard ONNX model of fixed size. Beside it, the
/// nodes through which only a zero gradient passes.
///
/// # Errors
/// A size that the model does not take, or an operator without a rule.
pub fn gradient_model(
    model: &Model,
    objective: &Objective,
    shape: &[usize],
) -> Result<(Model, Vec<Stop>), RewriteError> {
    differentiated(model, objective, shape, false)
}

/// [`gradient_model`], with the objective of each image as a third output where there are several.
///
/// # Errors
/// As for [`gradient_model`].
pub(super) fn step_model(
    model: &Model,
    objective: &Objective,
    shape: &[usize],
) -> Result<Model, RewriteError> {
    Ok(differentiated(model, objective, shape, shape[0] > 1)?.0)
}

fn differentiated(
    model: &Model,
    objective: &Objective,
    shape: &[usize],
    each_too: bool,
) -> Result<(Model, Vec<Stop>), RewriteError> {
    let image = image_input(model)?;
    let (mut emitter, Fragment { each, sum }) = with_objective(model, objective, shape)?;
    let found = gradient(&mut emitter, &sum, &image)?;
    let mut outputs = vec![(VALUE, &sum), (GRADIENT, &found.value)];
    if each_too {
        outputs.push((VALUES, &each));
    }
    let mut made = emitter.finish(&outputs)?;
    made.graph.name = format!("gradient of {}", made.graph.name);
    made.doc = format!(
        "Made by temper: `{VALUE}` is {} and `{GRADIENT}` its gradient with respect to `{image}`{}",
        objective.name(),
        if objective.takes_target() { format!("; `{TARGET}` takes S(x0).") } else { ".".into() }
    );
    made.producer = ("temper".into(), env!("CARGO_PKG_VERSION").into());
    Ok((made, found.stopped))
}

/// A model in float32 whose outputs are the feature maps that an objective is taken of.
///
/// # Errors
/// As for [`objective_model`].
pub(super) fn features_model(
    model: &Model,
    objective: &Objective,
    shape: &[usize],
) -> Result<Model, RewriteError> {
    let emitter = Emitter::open(promote(&specialise(model, &[shape])?).0)?;
    let maps = objective.maps(&emitter, shape[0])?;
    let outputs: Vec<(&str, &Value)> = maps.iter().map(|map| ("features", map)).collect();
    emitter.finish(&outputs)
}

/// The name of a model's one input.
pub fn image_input(model: &Model) -> Result<String, RewriteError> {
    let names: Vec<&str> = model.graph.required_inputs().map(|input| input.name.as_str()).collect();
    match names[..] {
        [name] => Ok(name.to_owned()),
        _ => {
            let what = format!(
                "takes {} inputs ({}), and one image is expected; make the others constants of the model",
                names.len(),
                names.join(", ")
            );
            Err(Problem::new("the model", what).into())
        }
    }
}

fn with_objective(
    model: &Model,
    objective: &Objective,
    shape: &[usize],
) -> Result<(Emitter, Fragment), RewriteError> {
    // A gradient in half precision would underflow.
    let (fixed, _) = promote(&specialise(model, &[shape])?);
    let Some(output) = fixed.graph.outputs.first().map(|output| output.name.clone()) else {
        return Err(Problem::new("the model", "has no output").into());
    };
    let mut emitter = Emitter::open(fixed)?;
    let output = emitter.value(&output)?;
    if output.ty.dtype != DType::F32 {
        let what = format!("is {}; export the model with a float32 output", output.ty.dtype);
        return Err(Problem::new(format!("output `{}`", output.name), what).into());
    }
    let fragment = objective.append(&mut emitter, &output)?;
    Ok((emitter, fragment))
}
