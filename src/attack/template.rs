//! The loop that every gradient attack shares: start, ask for the gradient, step, project.
//!
//! An attack fills in where to start and how to step. The ball is handed in and is checked again by
//! the caller, outside. Deliberately absent: runtimes (an oracle answers) and judging.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use super::ball::Ball;
use crate::oracle::{Oracle, OracleError};

/// What an attack decides.
pub trait Steps {
    /// The first point; it need not lie inside the ball.
    fn start(&self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32>;

    /// The next point, before it is projected.
    fn step(&mut self, x: &Array4<f32>, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32>;
}

/// An attacked image and how the attack went.
#[derive(Clone, Debug)]
pub struct Attacked {
    /// The last iterate.
    pub image: Array4<f32>,
    /// The objective before each step.
    pub values: Vec<f64>,
}

/// Stops an attack between two steps, or lets it go on and hears of it.
pub type OnStep<'a> = dyn FnMut() -> Result<(), Interrupted> + 'a;

/// The user asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Why an attack has no result.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    /// No gradient.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// Stopped from outside.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Climbs the objective for `iterations` steps, and gives the last point.
pub fn climb(
    steps: &mut dyn Steps,
    oracle: &mut Oracle,
    target: &Array4<f32>,
    ball: &Ball,
    iterations: usize,
    rng: &mut ChaCha8Rng,
    on_step: &mut OnStep<'_>,
) -> Result<Attacked, AttackError> {
    let mut image = steps.start(ball, rng);
    ball.project(&mut image);
    let mut values = Vec::with_capacity(iterations);
    for _ in 0..iterations {
        let (value, gradient) = oracle.value_and_gradient(image.view(), target.view())?;
        values.push(value);
        image = steps.step(&image, &gradient, ball);
        ball.project(&mut image);
        on_step()?;
    }
    Ok(Attacked { image, values })
}
