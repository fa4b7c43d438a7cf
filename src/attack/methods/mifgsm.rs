//! MI-FGSM (Dong et al., CVPR 2018): I-FGSM along a running sum of gradients, each brought to an L1
//! norm of 1, with decay 1.0.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::points::{along, near};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::template::Steps;

impl Attack {
    /// Steps of equal size along a running sum of gradients.
    pub const MIFGSM: Self = Self(&Row {
        name: "mifgsm",
        stream: "mifgsm",
        kind: AttackKind::WhiteBox,
        restarts: false,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Iterations(1),
        help: "ifgsm along a running sum of gradients",
        method: Method::Climb(|ball, settings| Box::new(Mifgsm::new(ball.level(), settings.iterations))),
    });
}

/// What is left of the sum at the next step.
const DECAY: f32 = 1.0;

/// MI-FGSM with its step size on [0, 1] and the sum so far.
#[derive(Debug)]
pub struct Mifgsm {
    step: f32,
    momentum: Option<Array4<f32>>,
}

impl Mifgsm {
    /// For a ball of `level` and T iterations.
    pub fn new(level: f64, iterations: usize) -> Self {
        Self { step: (level / iterations.max(1) as f64) as f32, momentum: None }
    }
}

impl Steps for Mifgsm {
    fn start(&mut self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
        near(ball, self.step, rng)
    }

    fn step(&mut self, x: &Array4<f32>, _: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32> {
        let length: f64 = gradient.iter().map(|value| f64::from(value.abs())).sum();
        let share = if length > 0.0 { 1.0 / length } else { 0.0 };
        let mut sum = gradient.mapv(|value| (f64::from(value) * share) as f32);
        if let Some(momentum) = self.momentum.take() {
            sum.zip_mut_with(&momentum, |sum, &before| *sum += DECAY * before);
        }
        let next = along(x, self.step, &ball.direction(&sum));
        self.momentum = Some(sum);
        next
    }
}
