//! SPSA, in the form of natural evolution strategies (Uesato et al., ICML 2018; Ilyas et al., ICML
//! 2018): a gradient estimated from pairs of forward passes along random signs, then a step along its
//! signs, in L2 along itself.
//!
//! The start is half a budget of random signs away from x0, where the distance to S(x0) rises in
//! opposite directions alike and pairs would tell nothing. Pairs lie half a budget to either side of
//! the current point, far enough to be seen through a quantiser, and inside the ball. Estimates add up
//! with a decay, so that those of many small steps average. Deliberately absent: Adam, whose step sizes
//! per value a budget would cut off again.

use ndarray::{Array4, Zip};
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::points::{along, signs};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::search::Search;

impl Attack {
    /// Steps along gradients estimated from forward passes.
    pub const SPSA: Self = Self(&Row {
        name: "spsa",
        stream: "spsa",
        kind: AttackKind::GradientFree,
        restarts: false,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Queries,
        help: "steps along gradients estimated from pairs of passes",
        method: Method::Search(|ball, settings| Box::new(Spsa::new(ball.level(), settings.queries))),
    });
}

/// Pairs of one estimate.
const PAIRS: usize = 8;
/// What is left of earlier estimates at the next one.
const DECAY: f32 = 0.9;
/// The distance of a pair's points from the current one, in budgets.
const APART: f64 = 0.5;
/// How many budgets the steps add up to: estimates err, so that many steps go astray.
const REACH: f64 = 8.0;

/// SPSA at its current point.
#[derive(Debug)]
pub struct Spsa {
    step: f32,
    x: Option<Array4<f32>>,
    estimate: Option<Array4<f32>>,
    directions: Vec<Array4<f32>>,
}

impl Spsa {
    /// For a ball of `level` and so many forward passes.
    pub fn new(level: f64, queries: usize) -> Self {
        let steps = (queries / (2 * PAIRS + 1)).max(1);
        Self { step: (REACH * level / steps as f64) as f32, x: None, estimate: None, directions: vec![] }
    }
}

impl Search for Spsa {
    /// The current point and the pairs around it.
    fn propose(
        &mut self,
        _: Option<(f64, &Array4<f32>)>,
        left: usize,
        ball: &Ball,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Array4<f32>> {
        let mut x = match (&self.x, &self.estimate) {
            (Some(x), Some(estimate)) => along(x, self.step, &ball.direction(estimate)),
            _ => start(ball, rng),
        };
        ball.project(&mut x);
        let pairs = (left.saturating_sub(1) / 2).min(PAIRS);
        let apart = (APART * ball.level()) as f32;
        self.directions.clear();
        let mut points = vec![x.clone()];
        for _ in 0..pairs {
            let direction = signs(&x, rng);
            points.extend([along(&x, apart, &direction), along(&x, -apart, &direction)]);
            self.directions.push(direction);
        }
        self.x = Some(x);
        points
    }

    fn learn(&mut self, _: &[Array4<f32>], values: &[f64]) {
        let Some(x) = &self.x else { return };
        let mut estimate = match self.estimate.take() {
            Some(before) => before.mapv_into(|value| DECAY * value),
            None => Array4::zeros(x.raw_dim()),
        };
        let pairs = values.get(1..).unwrap_or_default().chunks_exact(2);
        for (direction, pair) in self.directions.iter().zip(pairs) {
            let rise = (pair[0] - pair[1]) as f32;
            Zip::from(&mut estimate).and(direction).for_each(|sum, &sign| *sum += rise * sign);
        }
        self.estimate = Some(estimate);
    }
}

fn start(ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
    let x0 = ball.centre().to_owned();
    let direction = signs(&x0, rng);
    along(&x0, (APART * ball.level()) as f32, &direction)
}
