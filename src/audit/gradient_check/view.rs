//! A number of the output whose slope at a point is the objective's, and that goes on evenly where the
//! objective itself has a kink or jumps.

use ndarray::{Array4, Axis};

use crate::oracle::Objective;

/// Such a number.
pub enum View<'a> {
    /// The projection of the output on a direction: that of a norm's gradient.
    Along(Array4<f32>),
    /// The objective itself.
    Itself(Objective, &'a Array4<f32>),
}

impl<'a> View<'a> {
    /// For an objective at the point whose output is `output`.
    pub fn of(objective: &Objective, output: &Array4<f32>, target: &'a Array4<f32>) -> Self {
        let sign = match objective {
            Objective::Distance => 1.0,
            Objective::Targeted => -1.0,
            _ => return View::Itself(objective.clone(), target),
        };
        let mut away = output - target;
        let distance = length(&away).max(f64::MIN_POSITIVE);
        away.mapv_inplace(|value| (sign * f64::from(value) / distance) as f32);
        View::Along(away)
    }

    /// Its value for an output.
    pub fn value(&self, output: &Array4<f32>) -> f64 {
        match self {
            View::Along(direction) => dot(output, direction),
            View::Itself(objective, target) => {
                let (output, target) = (output.index_axis(Axis(0), 0), target.index_axis(Axis(0), 0));
                objective.measure(output, target).unwrap_or(f64::NAN)
            }
        }
    }
}

/// The sum of products, in f64.
pub fn dot(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The Euclidean norm, in f64.
pub fn length<'a>(values: impl IntoIterator<Item = &'a f32>) -> f64 {
    values.into_iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}
