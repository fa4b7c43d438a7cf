//! Value and gradient of an objective at an image, on a runtime.
//!
//! An attack sees only this: it knows no runtime, and a runtime knows no attack. Sessions are
//! prepared once per size, and the most recent few are kept. Deliberately absent: budgets, steps and anything random.

mod models;
mod objective;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array4, ArrayD, ArrayView4, Ix4};

pub use models::{GRADIENT, VALUE, gradient_model, image_input, objective_model};
pub use objective::{Objective, TARGET};

use crate::onnx::Model;
use crate::rewrite::{RewriteError, is_quantised, promote, specialise};
use crate::runtime::{Kind, Runtime, RuntimeError, Session};
use sessions::Sessions;

/// Why an oracle has no answer.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// The model cannot be given this size, or cannot be differentiated.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The runtime is not there, or failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A result that is no number.
    #[error(
        "on runtime {kind}, the {what} holds {count} values that are not finite numbers; \
         look for weights or operators of the model that overflow"
    )]
    NotFinite {
        /// The runtime.
        kind: Kind,
        /// The output, the objective or its gradient.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A result of another shape than an image batch.
    #[error(
        "on runtime {kind}, the {what} has the shape {shape:?}; export the model with an output of \
         N x C x H x W"
    )]
    Shape {
        /// The runtime.
        kind: Kind,
        /// The output or the gradient.
        what: &'static str,
        /// What it has.
        shape: Vec<usize>,
    },
}

/// What an oracle has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Forward runs.
    pub forwards: u64,
    /// Runs that gave value and gradient.
    pub gradients: u64,
    /// Time spent inside the runtime.
    pub inside: Duration,
}

/// A model and an objective on one runtime.
pub struct Oracle {
    runtime: Arc<dyn Runtime>,
    model: Arc<Model>,
    objective: Objective,
    forward: Sessions,
    gradient: Sessions,
    effort: Effort,
}

impl Oracle {
    /// An oracle; nothing is prepared until it is asked.
    pub fn new(runtime: Arc<dyn Runtime>, model: Arc<Model>, objective: Objective) -> Self {
        let (forward, gradient) = (Sessions::default(), Sessions::default());
        Self { runtime, model, objective, forward, gradient, effort: Effort::default() }
    }

    /// The runtime behind it.
    pub fn kind(&self) -> Kind {
        self.runtime.kind()
    }

    /// Whether gradients pass straight through roundings of the model.
    pub fn is_quantised(&self) -> bool {
        is_quantised(&self.model)
    }

    /// What has been asked of it.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Gives the memory of its sessions back; they are prepared anew when it is asked again.
    pub fn rest(&mut self) {
        (self.forward, self.gradient) = (Sessions::default(), Sessions::default());
    }

    /// S(x): the model's output for a batch, as it comes (not clipped).
    pub fn forward(&mut self, x: ArrayView4<'_, f32>) -> Result<Array4<f32>, OracleError> {
        let Self { runtime, model, effort, .. } = self;
        let prepare = |shape: &[usize]| forwards(&**runtime, model, shape);
        let mut outputs = self.forward.run(&[x.into_dyn()], &mut effort.inside, prepare)?;
        self.effort.forwards += 1;
        self.image(outputs.swap_remove(0), "output")
    }

    /// The objective at `x` against `target`, and its gradient with respect to `x`.
    pub fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        target: ArrayView4<'_, f32>,
    ) -> Result<(f64, Array4<f32>), OracleError> {
        let Self { runtime, model, objective, effort, .. } = self;
        let prepare = |shape: &[usize]| with_gradient(&**runtime, model, *objective, shape);
        let inputs = [x.into_dyn(), target.into_dyn()];
        let outputs = self.gradient.run(&inputs, &mut effort.inside, prepare)?;
        self.effort.gradients += 1;
        let mut outputs = outputs.into_iter();
        let (value, gradient) = (outputs.next().unwrap_or_default(), outputs.next().unwrap_or_default());
        self.finite(&value, "objective")?;
        let value = value.first().copied().unwrap_or_default();
        Ok((f64::from(value), self.image(gradient, "gradient")?))
    }

    fn image(&self, array: ArrayD<f32>, what: &'static str) -> Result<Array4<f32>, OracleError> {
        self.finite(&array, what)?;
        let shape = array.shape().to_vec();
        array.into_dimensionality::<Ix4>().map_err(|_| OracleError::Shape { kind: self.kind(), what, shape })
    }

    fn finite(&self, array: &ArrayD<f32>, what: &'static str) -> Result<(), OracleError> {
        match array.iter().filter(|value| !value.is_finite()).count() {
            0 => Ok(()),
            count => Err(OracleError::NotFinite { kind: self.kind(), what, count }),
        }
    }
}

/// The model as it is, or in float32 where the runtime does not serve half precision.
fn forwards(runtime: &dyn Runtime, model: &Model, shape: &[usize]) -> Result<Box<dyn Session>, OracleError> {
    let fixed = specialise(model, &[shape])?;
    Ok(runtime.load(&if runtime.half_precision() { fixed } else { promote(&fixed).0 })?)
}

/// The runtime's own differentiation where it has one, else the gradient graph.
fn with_gradient(
    runtime: &dyn Runtime,
    model: &Model,
    objective: Objective,
    shape: &[usize],
) -> Result<Box<dyn Session>, OracleError> {
    let image = image_input(model)?;
    let with_objective = objective_model(model, objective, shape)?;
    if let Some(session) = runtime.autograd(&with_objective, &image) {
        return Ok(session?);
    }
    let (graph, _) = gradient_model(model, objective, shape)?;
    Ok(runtime.load(&graph)?)
}
