//! FGSM (Goodfellow et al., ICLR 2015): one step of the whole budget from x0 along the sign of the
//! gradient, in L2 along the gradient.
//!
//! At x0 the distance to S(x0) has no gradient, so the gradient is taken at x0 plus seeded uniform
//! noise of at most a fiftieth of the budget, I-FGSM's first point at T = 50. The step itself starts
//! at x0: the noise is no part of the attacked image.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::points::{along, near};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::template::Steps;

impl Attack {
    /// One step of the whole budget.
    pub const FGSM: Self = Self(&Row {
        name: "fgsm",
        stream: "fgsm",
        kind: AttackKind::WhiteBox,
        restarts: false,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Once,
        help: "one step of the whole budget",
        method: Method::Climb(|_, _| Box::new(Fgsm)),
    });
}

/// The largest noise, as a share of the budget.
const NOISE: f64 = 1.0 / 50.0;

/// FGSM.
#[derive(Debug)]
pub struct Fgsm;

impl Steps for Fgsm {
    fn start(&mut self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
        near(ball, (ball.level() * NOISE) as f32, rng)
    }

    fn step(&mut self, _: &Array4<f32>, _: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32> {
        along(&ball.centre().to_owned(), ball.level() as f32, &ball.direction(gradient))
    }

    /// One step has no other that tells whether it rose.
    fn weighs_last(&self) -> bool {
        true
    }
}
