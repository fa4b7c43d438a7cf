//! PGD (Madry et al., ICLR 2018): a random start anywhere in the ball and steps of 2.5 budgets / T
//! along the sign of the gradient, in L2 along the gradient; the best point counts.
//!
//! The start is uniform in the L-infinity ball, which lies inside the L2 ball of the same level.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::points::{along, near};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::template::Steps;

impl Attack {
    /// Steps of equal size from random starts.
    pub const PGD: Self = Self(&Row {
        name: "pgd",
        stream: "pgd",
        kind: AttackKind::WhiteBox,
        restarts: true,
        converges: true,
        maximises: Maximises::Chosen,
        calls: Calls::Iterations(1),
        help: "longer steps from random starts, of which the best point counts",
        method: Method::Climb(|ball, settings| Box::new(Pgd::new(ball.level(), settings.iterations))),
    });
}

/// How many budgets the steps add up to: enough to cross the ball and come back.
const REACH: f64 = 2.5;

/// PGD with its step size on [0, 1].
#[derive(Debug)]
pub struct Pgd {
    step: f32,
}

impl Pgd {
    /// For a ball of `level` and T iterations.
    pub fn new(level: f64, iterations: usize) -> Self {
        Self { step: (REACH * level / iterations.max(1) as f64) as f32 }
    }
}

impl Steps for Pgd {
    fn start(&mut self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
        near(ball, ball.level() as f32, rng)
    }

    fn step(&mut self, x: &Array4<f32>, _: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32> {
        along(x, self.step, &ball.direction(gradient))
    }

    fn keeps_best(&self) -> bool {
        true
    }
}
