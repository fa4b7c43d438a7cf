//! Answers by one run of a session, and what is wrong with them.
//!
//! Deliberately absent: tiles, batches and pre-processing, which are made of these.

use ndarray::{Array4, ArrayD, ArrayView4, Axis, Ix4};

use super::models::objective_model;
use super::prepare::{forward_session, gradient_session};
use super::sessions::Sessions;
use super::{Oracle, OracleError};

impl Oracle {
    /// S(x) by one run of the model, which counts for nothing.
    pub(super) fn forward_whole(&mut self, x: ArrayView4<'_, f32>) -> Result<Array4<f32>, OracleError> {
        let Self { runtime, model, effort, unclipped, .. } = self;
        let prepare =
            |shape: &[usize]| forward_session(&**runtime, unclipped.as_ref().unwrap_or(model), shape);
        let mut outputs = self.forward.run(&[x.into_dyn()], &mut effort.inside, prepare)?;
        let mut image = self.image(outputs.swap_remove(0), "output", x.len_of(Axis(0)))?;
        if self.unclipped.is_some() {
            image.mapv_inplace(|value| value.clamp(0.0, 1.0));
        }
        Ok(image)
    }

    /// Value and gradient by one run of the gradient graph, which counts for nothing.
    pub(super) fn gradient_whole(
        &mut self,
        x: ArrayView4<'_, f32>,
        target: ArrayView4<'_, f32>,
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        let Self { runtime, model, objective, effort, gradients, at_hand, .. } = self;
        let prepare =
            |shape: &[usize]| gradient_session(&**runtime, model, objective, shape, at_hand.as_ref());
        let known = gradients.iter().position(|(of, _)| of == objective);
        let place = known.unwrap_or_else(|| {
            gradients.push((objective.clone(), Sessions::default()));
            gradients.len() - 1
        });
        let inputs = [x.into_dyn(), target.into_dyn()];
        let inputs = if objective.takes_target() { &inputs[..] } else { &inputs[..1] };
        let outputs = gradients[place].1.run(inputs, &mut effort.inside, prepare)?;
        let batch = x.len_of(Axis(0));
        let mut outputs = outputs.into_iter();
        let (value, gradient) = (outputs.next().unwrap_or_default(), outputs.next().unwrap_or_default());
        let values = outputs.next().unwrap_or(value);
        self.finite(&values, "objective")?;
        let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        Ok((values, self.image(gradient, "gradient", batch)?))
    }

    /// The objective of one image by its own graph: that of feature maps.
    pub(super) fn value_of_graph(&mut self, x: ArrayView4<'_, f32>) -> Result<f64, OracleError> {
        let Self { runtime, model, objective, effort, .. } = self;
        let prepare = |shape: &[usize]| -> Result<_, OracleError> {
            Ok(runtime.load(&objective_model(model, objective, shape)?)?)
        };
        let outputs = self.values.run(&[x.into_dyn()], &mut effort.inside, prepare)?;
        self.effort.forwards += 1;
        let value = outputs.into_iter().next().unwrap_or_default();
        self.finite(&value, "objective")?;
        Ok(value.first().copied().map_or(0.0, f64::from))
    }

    fn image(
        &self,
        array: ArrayD<f32>,
        what: &'static str,
        batch: usize,
    ) -> Result<Array4<f32>, OracleError> {
        self.finite(&array, what)?;
        let shape = array.shape().to_vec();
        let wrong = || OracleError::Shape { kind: self.kind(), what, shape: shape.clone() };
        let image = array.into_dimensionality::<Ix4>().map_err(|_| wrong())?;
        if image.len_of(Axis(0)) == batch { Ok(image) } else { Err(wrong()) }
    }

    pub(super) fn finite(&self, array: &ArrayD<f32>, what: &'static str) -> Result<(), OracleError> {
        match array.iter().filter(|value| !value.is_finite()).count() {
            0 => Ok(()),
            count => Err(OracleError::NotFinite { kind: self.kind(), what, count }),
        }
    }
}
