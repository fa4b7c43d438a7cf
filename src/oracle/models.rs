//! The models that an oracle runs: the network at a fixed size, with an objective behind it, and
//! with the objective's gradient.

use std::sync::Arc;

use super::objective::{Fragment, Objective, TARGET};
use crate::onnx::{DType, Model, Problem};
use crate::rewrite::{Emitter, RewriteError, Stop, Value, gradient, promote, specialise};

/// The names of the outputs of a gradient model.
pub const VALUE: &str = "value";
/// See [`VALUE`].
pub const GRADIENT: &str = "gradient";
/// The name of the output that holds one value per image, in models of several images.
pub const VALUES: &str = "values";

/// A gradient graph ([`gradient_model`]) with what it was built for.
#[derive(Clone, Debug)]
pub struct GradientGraph {
    objective: Objective,
    shape: Vec<usize>,
    /// The graph, of the input shape that it was built for.
    pub model: Arc<Model>,
}

impl GradientGraph {
    /// Builds the graph for inputs of `shape` (N, C, H, W), and gives the nodes through which only a zero
    /// gradient passes.
    ///
    /// # Errors
    /// As for [`gradient_model`].
    pub fn build(
        model: &Model,
        objective: &Objective,
        shape: &[usize],
    ) -> Result<(Self, Vec<Stop>), RewriteError> {
        let (built, stopped) = gradient_model(model, objective, shape)?;
        let graph = Self { objective: objective.clone(), shape: shape.to_vec(), model: Arc::new(built) };
        Ok((graph, stopped))
    }

    /// Whether it gives this objective's gradient for inputs of this shape.
    pub fn is_for(&self, objective: &Objective, shape: &[usize]) -> bool {
        self.objective == *objective && self.shape == shape
    }
}

/// A model with the objective as its first output; where the batch has several images, the
/// objective of each is its second.
///
/// # Errors
/// A size that the model does not take, or an operator that is not known.
pub fn objective_model(model: &Model, objective: &Objective, shape: &[usize]) -> Result<Model, RewriteError> {
    let (emitter, Fragment { each, sum }) = with_objective(&specialise(model, &[shape])?, objective)?;
    if shape[0] == 1 {
        return emitter.finish(&[(VALUE, &sum)]);
    }
    emitter.finish(&[(VALUE, &sum), (VALUES, &each)])
}

/// A model that takes an image (the network's own input) and a `target`, and gives the objective
/// and its gradient with respect to the image: a standard ONNX model of fixed size. Where there are several images,
/// the objective of each is the third output. Beside it, the nodes through which only a zero gradient passes.
///
/// # Errors
/// A size that the model does not take, or an operator without a rule.
pub fn gradient_model(
    model: &Model,
    objective: &Objective,
    shape: &[usize],
) -> Result<(Model, Vec<Stop>), RewriteError> {
    image_input(model)?;
    gradient_of_fixed(&specialise(model, &[shape])?, objective, shape)
}

/// As [`gradient_model`], of a model that is specialised to `shape` already.
///
/// # Errors
/// As for [`gradient_model`].
pub fn gradient_of_fixed(
    fixed: &Model,
    objective: &Objective,
    shape: &[usize],
) -> Result<(Model, Vec<Stop>), RewriteError> {
    let image = image_input(fixed)?;
    let (mut emitter, Fragment { each, sum }) = with_objective(fixed, objective)?;
    let found = gradient(&mut emitter, &sum, &image)?;
    let mut outputs = vec![(VALUE, &sum), (GRADIENT, &found.value)];
    if shape[0] > 1 {
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

/// A model of fixed size with the objective behind it.
fn with_objective(fixed: &Model, objective: &Objective) -> Result<(Emitter, Fragment), RewriteError> {
    // A gradient in half precision would underflow.
    let (fixed, _) = promote(fixed);
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
