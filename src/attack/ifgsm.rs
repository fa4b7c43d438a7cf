//! I-FGSM: steps of equal size along the sign of the gradient. Eq. (14) of Choi et al., ACCV 2020:
//! x <- clip(x + alpha / T sgn(grad ||S(x) - S(x0)||_2)), within alpha of x0.
//!
//! At x0 itself the norm has no gradient, so the first point is x0 plus seeded uniform noise of at
//! most alpha / T.

use ndarray::{Array4, Zip};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ball::Ball;
use super::template::Steps;

/// I-FGSM with its step size, alpha / T on [0, 1].
#[derive(Debug)]
pub struct Ifgsm {
    step: f32,
}

impl Ifgsm {
    /// For a ball of radius alpha and T iterations.
    pub fn new(alpha: f64, iterations: usize) -> Self {
        Self { step: (alpha / iterations.max(1) as f64) as f32 }
    }
}

impl Steps for Ifgsm {
    fn start(&self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
        ball.centre().mapv(|x0| x0 + rng.random_range(-self.step..=self.step))
    }

    fn step(&mut self, x: &Array4<f32>, gradient: &Array4<f32>, _: &Ball) -> Array4<f32> {
        Zip::from(x).and(gradient).map_collect(|&x, &slope| x + self.step * sign(slope))
    }
}

/// sgn, with sgn(0) = 0.
fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value.signum() }
}
