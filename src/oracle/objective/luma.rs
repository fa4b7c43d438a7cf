//! How far the output's luma is from the target's: ||Y(S(x)) - Y(target)||_2 of every image.
//!
//! BT.601 as in `metric::luma`, over 255. An output of one channel is luma already.

use ndarray::{ArrayView3, Axis};

use super::{Fragment, difference, distance, norms, summed};
use crate::onnx::{Problem, Tensor};
use crate::rewrite::{Emitter, RewriteError, Value};

/// What R, G and B on [0, 1] weigh in luma over 255.
const WEIGHTS: [f64; 3] = [65.481 / 255.0, 128.553 / 255.0, 24.966 / 255.0];

pub fn append(emitter: &mut Emitter, output: &Value) -> Result<Fragment, RewriteError> {
    let channels = output.shape().get(1).copied().unwrap_or(0);
    let (_, mut difference) = difference(emitter, output)?;
    if channels == WEIGHTS.len() {
        let weights = Tensor::f32(&[1, 3, 1, 1], WEIGHTS.map(|weight| weight as f32).to_vec())
            .map_err(|error| Problem::new("luma's weights", error.to_string()))?;
        let weights = emitter.constant("objective/weights", weights);
        let weighted = emitter.emit("Mul", "objective/weighted", &[&difference, &weights], [])?;
        difference = emitter.reduce("ReduceSum", "objective/luma", &weighted, &[1], true)?;
    }
    let norms = norms(emitter, &difference)?;
    summed(emitter, norms)
}

pub fn measure(output: ArrayView3<'_, f32>, target: ArrayView3<'_, f32>) -> f64 {
    if output.len_of(Axis(0)) != WEIGHTS.len() {
        return distance::measure_l2(output, target);
    }
    let pixels = output.lanes(Axis(0)).into_iter().zip(target.lanes(Axis(0)));
    let luma = pixels.map(|(a, b)| {
        let colours = a.iter().zip(b).zip(WEIGHTS);
        colours.map(|((&a, &b), weight)| weight * (f64::from(a) - f64::from(b))).sum::<f64>()
    });
    luma.map(|luma| luma * luma).sum::<f64>().sqrt()
}
