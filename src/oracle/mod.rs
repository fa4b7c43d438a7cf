//! Value and gradient of an objective J(S(x), t) at images x (N, C, H, W) on \[0, 1\], on one runtime.
//!
//! This is the only interface between attacks and runtimes: neither knows the other. Sessions are prepared once
//! per objective and input shape, and those of the two most recent shapes are kept. A batch goes through in one
//! run where the model gives every image what it gives that image alone, which is tested on the first batch; else
//! image by image. Values are computed in float64 from the output, gradients in float32 by the gradient graph or
//! the runtime's own autograd. Deliberately absent: budgets, steps and randomness.

mod any_size;
mod batch;
mod error;
mod models;
mod objective;
mod prepare;
mod preprocess;
mod sessions;
mod single_run;
mod tiles;

use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array4, ArrayD, ArrayView4, Axis, CowArray, Ix4, s};

pub use any_size::{of_any_size, other_sizes};
pub use batch::{UnevenOutputs, stacked};
pub use error::OracleError;
pub use models::{
    GRADIENT, GradientGraph, VALUE, VALUES, gradient_model, gradient_of_fixed, image_input, objective_model,
};
pub use objective::{Fragment, Objective, TARGET};
pub use preprocess::Preprocess;
pub use tiles::{TileError, Tiles};

use crate::onnx::Model;
use crate::rewrite::{is_quantised, promote, specialise};
use crate::runtime::{Kind, Runtime};
use models::features_model;
use sessions::Sessions;

/// What an oracle has done so far, in images: a run on a batch of four counts as four.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Images run forwards.
    pub forwards: u64,
    /// Images whose value and gradient were taken.
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
    /// Gradient sessions of every objective so far.
    gradients: Vec<(Objective, Sessions)>,
    /// Sessions of objectives that cannot be taken from an output.
    values: Sessions,
    /// Whether a batch goes through in one run; known once one was tried.
    batches: Option<bool>,
    effort: Effort,
    /// Sessions of the feature maps of the present objective.
    features: Sessions,
    /// What images pass before the model.
    front: Option<Arc<dyn Preprocess>>,
    /// The draw of it that answers are for, where it is random.
    draw: u64,
    /// The model before its output is clipped to [0, 1], where it is. Forward runs use this one and clip here, after
    /// the check for NaN and infinity: a runtime's `Clip` may turn those into ordinary numbers.
    unclipped: Option<Arc<Model>>,
    /// A gradient graph of the model that was built before.
    at_hand: Option<GradientGraph>,
    /// How images that are too large are cut.
    tiles: Option<Tiles>,
}

impl Oracle {
    /// An oracle; nothing is prepared until it is asked.
    pub fn new(runtime: Arc<dyn Runtime>, model: Arc<Model>, objective: Objective) -> Self {
        Self {
            runtime,
            model,
            objective,
            forward: Sessions::default(),
            gradients: Vec::new(),
            values: Sessions::default(),
            features: Sessions::default(),
            batches: None,
            effort: Effort::default(),
            front: None,
            draw: 0,
            unclipped: None,
            at_hand: None,
            tiles: None,
        }
    }

    /// An oracle that need not build this gradient graph of its model again.
    #[must_use]
    pub fn with_gradient_graph(self, built: Option<GradientGraph>) -> Self {
        Self { at_hand: built, ..self }
    }

    /// The model behind a pre-processing: images pass it first, and gradients last.
    #[must_use]
    pub fn behind(self, front: Arc<dyn Preprocess>) -> Self {
        Self { front: Some(front), ..self }
    }

    /// An oracle of a model that clips its output to [0, 1]; `unclipped` is the same model without.
    #[must_use]
    pub fn clipping(self, unclipped: Arc<Model>) -> Self {
        Self { unclipped: Some(unclipped), ..self }
    }

    /// An oracle of another model on the same runtime, behind the same pre-processing at the same draw.
    #[must_use]
    pub fn beside(&self, model: Arc<Model>) -> Self {
        let other = Self::new(Arc::clone(&self.runtime), model, Objective::Distance);
        Self { front: self.front.clone(), draw: self.draw, tiles: self.tiles, ..other }
    }

    /// Draws of its pre-processing that an expectation should be taken over; 1 where nothing is random.
    pub fn draws(&self) -> usize {
        self.front.as_ref().map_or(1, |front| front.draws().max(1))
    }

    /// Answers at another draw of its pre-processing from now on.
    pub fn at_draw(&mut self, draw: u64) {
        self.draw = draw;
    }

    /// Answers at a draw that it did not answer at since [`Self::at_draw`]; gives its number.
    pub fn next_draw(&mut self) -> u64 {
        self.draw = self.draw.wrapping_add(1);
        self.draw
    }

    /// The runtime behind it.
    pub fn kind(&self) -> Kind {
        self.runtime.kind()
    }

    /// The objective that it answers for.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Answers for another objective from now on; sessions of the others are kept.
    pub fn set_objective(&mut self, objective: &Objective) {
        if self.objective != *objective {
            self.objective = objective.clone();
            (self.values, self.features) = (Sessions::default(), Sessions::default());
        }
    }

    /// Whether S(x) is computed in half precision, wholly or in part; gradients never are.
    pub fn computes_in_half(&self) -> bool {
        self.runtime.half_precision() && promote(&self.model).1
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
    pub fn release_sessions(&mut self) {
        (self.forward, self.values) = (Sessions::default(), Sessions::default());
        self.features = Sessions::default();
        self.gradients.clear();
    }

    /// S(x): the model's output for a batch, as it comes (not clipped).
    ///
    /// # Errors
    /// A size that the model does not take, a runtime that failed, an output that holds no numbers.
    pub fn forward(&mut self, x: ArrayView4<'_, f32>) -> Result<Array4<f32>, OracleError> {
        let fed = self.fed(x);
        if !self.takes_batch(fed.view())? {
            return batch::one_by_one(fed.view(), |x| self.forward_at_once(x));
        }
        self.forward_at_once(fed.view())
    }

    /// The feature maps that the objective is taken of, for one image, in float32; none where it is taken of
    /// the output.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub fn features(&mut self, x: ArrayView4<'_, f32>) -> Result<Vec<ArrayD<f32>>, OracleError> {
        let fed = self.fed(x).into_owned();
        let Self { runtime, model, objective, effort, features, .. } = self;
        let prepare = |shape: &[usize]| -> Result<_, OracleError> {
            Ok(runtime.load(&features_model(model, objective, shape)?)?)
        };
        let found = features.run(&[fed.view().into_dyn()], &mut effort.inside, prepare)?;
        self.effort.forwards += 1;
        found.iter().try_for_each(|map| self.finite(map, "feature map"))?;
        Ok(found)
    }

    /// What the model is fed for these images.
    fn fed<'a>(&self, x: ArrayView4<'a, f32>) -> CowArray<'a, f32, Ix4> {
        match &self.front {
            None => x.into(),
            Some(front) => preprocess::each(x, |image| front.apply(image, self.draw)).into(),
        }
    }

    /// The objective of every image of a batch against its target.
    ///
    /// Computed in f64 from the output, without the gradient graph, unless it is an objective on feature maps.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub fn values(
        &mut self,
        x: ArrayView4<'_, f32>,
        target: ArrayView4<'_, f32>,
    ) -> Result<Vec<f64>, OracleError> {
        if !self.objective.takes_target() {
            let fed = self.fed(x);
            return batch::each(fed.view(), |x| self.value_of_graph(x));
        }
        let output = self.forward(x)?;
        Ok(self.measured(output.view(), target))
    }

    /// The objective of every image, from outputs computed before; 0 for an objective on feature maps.
    pub fn measured(&self, output: ArrayView4<'_, f32>, target: ArrayView4<'_, f32>) -> Vec<f64> {
        let pairs = output.outer_iter().zip(target.outer_iter());
        pairs.map(|(output, target)| self.objective.measure(output, target).unwrap_or(0.0)).collect()
    }

    /// The objective of every image of a batch against its target, and the gradient with respect
    /// to `x`.
    ///
    /// # Errors
    /// As for [`Self::forward`], and a model that cannot be differentiated.
    pub fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        target: ArrayView4<'_, f32>,
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        let Some(front) = self.front.clone() else { return self.model_gradient(x, target) };
        let (values, gradient) = self.model_gradient(self.fed(x).view(), target)?;
        let mut gradient = preprocess::each(gradient.view(), |image| front.pull_back(image, self.draw));
        // What a rounding took back gives the target itself, where a distance has no slope and an attack
        // would stay for ever. The model alone tells where to then.
        let stuck = |value: f64| value == 0.0 && !front.has_derivative() && self.objective.takes_target();
        let stuck: Vec<usize> = (0..values.len()).filter(|&index| stuck(values[index])).collect();
        for index in stuck {
            let place = s![index..=index, .., .., ..];
            let (_, alone) = self.model_gradient(x.slice(place), target_of(target, index))?;
            gradient.slice_mut(place).assign(&alone);
        }
        Ok((values, gradient))
    }

    /// [`Self::value_and_gradient`] with respect to what the model is fed.
    fn model_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        target: ArrayView4<'_, f32>,
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        if self.takes_batch(x)? {
            return self.gradient_at_once(x, target);
        }
        let mut values = Vec::with_capacity(x.len_of(Axis(0)));
        let mut index = 0;
        let gradient = batch::one_by_one(x, |x| {
            let (value, gradient) = self.gradient_at_once(x, target_of(target, index))?;
            values.extend(value);
            index += 1;
            Ok::<_, OracleError>(gradient)
        })?;
        Ok((values, gradient))
    }

    /// Whether these images go through in one run.
    fn takes_batch(&mut self, x: ArrayView4<'_, f32>) -> Result<bool, OracleError> {
        if x.len_of(Axis(0)) == 1 {
            return Ok(true);
        }
        if let Some(known) = self.batches {
            return Ok(known);
        }
        let found = self.try_batch(x)?;
        self.batches = Some(found);
        Ok(found)
    }

    /// Runs a batch at once and its first and last image alone: operators may mix images.
    fn try_batch(&mut self, x: ArrayView4<'_, f32>) -> Result<bool, OracleError> {
        if specialise(&self.model, &[x.shape()]).is_err() {
            return Ok(false);
        }
        let Ok(all) = self.forward_at_once(x) else { return Ok(false) };
        for index in [0, x.len_of(Axis(0)) - 1] {
            let alone = self.forward_at_once(x.slice(s![index..=index, .., .., ..]))?;
            if !batch::same(all.index_axis(Axis(0), index), alone.index_axis(Axis(0), 0)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn forward_at_once(&mut self, x: ArrayView4<'_, f32>) -> Result<Array4<f32>, OracleError> {
        let output = match self.cut(x) {
            Some((tiles, parts)) => self.forward_by_tiles(x, tiles, &parts),
            None => self.forward_whole(x),
        }?;
        self.effort.forwards += x.len_of(Axis(0)) as u64;
        Ok(output)
    }

    fn gradient_at_once(
        &mut self,
        x: ArrayView4<'_, f32>,
        target: ArrayView4<'_, f32>,
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        let answer = match self.cut(x) {
            Some((tiles, parts)) => self.gradient_by_tiles(x, target, tiles, &parts),
            None => self.gradient_whole(x, target),
        }?;
        self.effort.gradients += x.len_of(Axis(0)) as u64;
        Ok(answer)
    }
}

/// The target of one image of a batch; nothing where there are fewer.
fn target_of(target: ArrayView4<'_, f32>, index: usize) -> ArrayView4<'_, f32> {
    let last = target.len_of(Axis(0));
    target.slice_move(s![index.min(last)..(index + 1).min(last), .., .., ..])
}
