//! How the learning rate falls over a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of the fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It halves every so many steps.
    #[default]
    Step,
    /// A half cosine (Loshchilov and Hutter 2017, without restarts): to 0 at the last step.
    Cosine,
}

impl Schedule {
    /// The learning rate of step `step`, counted from 0, over that of the first.
    pub fn factor(self, step: u64, halve_every: u64, steps: u64) -> f64 {
        match self {
            Self::Step => 0.5f64.powi(i32::try_from(step / halve_every).unwrap_or(i32::MAX)),
            Self::Cosine => 0.5 * (1.0 + (PI * step.min(steps) as f64 / steps as f64).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_falls_from_one_to_nothing() {
        let factor = |step| Schedule::Cosine.factor(step, 1, 100);
        assert_eq!(factor(0), 1.0);
        assert!((factor(50) - 0.5).abs() < 1e-12 && (factor(25) - 0.853_553).abs() < 1e-6);
        assert!(factor(99) > 0.0 && factor(99) < 3e-4 && factor(100) < 1e-12);
        assert!((0..100).all(|step| factor(step + 1) < factor(step)));
    }
}
