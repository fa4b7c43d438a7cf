//! I-FGSM: steps of equal size along the sign of the gradient. Eq. (14) of Choi et al., ACCV 2020:
//! x <- clip(x + alpha / T sgn(grad ||S(x) - S(x0)||_2)), within alpha of x0.
//!
//! At x0 itself the norm has no gradient, so the first point is x0 plus seeded uniform noise of at
//! most alpha / T. In L2 the steps go along the gradient itself.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::points::{along, near};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::template::Steps;

impl Attack {
    /// Steps of equal size along the gradient's signs, eq. (14).
    pub const IFGSM: Self = Self(&Row {
        name: "ifgsm",
        stream: "ifgsm",
        kind: AttackKind::WhiteBox,
        restarts: false,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Iterations(1),
        help: "the paper's steps of equal size along the gradient's signs",
        method: Method::Climb(|ball, settings| Box::new(Ifgsm::new(ball.level(), settings.iterations))),
    });
}

/// I-FGSM with its step size, alpha / T on [0, 1].
#[derive(Debug)]
pub struct Ifgsm {
    step: f32,
    noise: f32,
}

impl Ifgsm {
    /// For a ball of level alpha and T iterations.
    pub fn new(alpha: f64, iterations: usize) -> Self {
        let step = (alpha / iterations.max(1) as f64) as f32;
        Self { step, noise: step }
    }

    /// The same steps from x0 itself.
    pub fn from_x0(alpha: f64, iterations: usize) -> Self {
        Self { noise: 0.0, ..Self::new(alpha, iterations) }
    }
}

impl Steps for Ifgsm {
    fn start(&mut self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
        near(ball, self.noise, rng)
    }

    fn step(&mut self, x: &Array4<f32>, _: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32> {
        along(x, self.step, &ball.direction(gradient))
    }
}
