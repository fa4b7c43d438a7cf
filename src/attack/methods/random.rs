//! Random sign noise of the whole budget: the baseline that every attack must beat. The best of as
//! many draws as are asked for.
//!
//! Every value moves by the budget, up or down; in L2 as well, where that has just the radius.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::points::signed_noise;
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::search::Search;

impl Attack {
    /// Random signs of the whole budget.
    pub const RANDOM: Self = Self(&Row {
        name: "random",
        stream: "random",
        kind: AttackKind::Baseline,
        restarts: true,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Once,
        help: "random signs of the whole budget, which every attack must beat",
        method: Method::Search(|_, settings| Box::new(Random::new(settings.batch))),
    });
}

/// Random signs.
#[derive(Debug)]
pub struct Random {
    /// Draws that are tried together.
    together: usize,
}

impl Random {
    /// Draws of which `together` are tried at once.
    pub fn new(together: usize) -> Self {
        Self { together: together.max(1) }
    }
}

impl Search for Random {
    fn propose(
        &mut self,
        _: Option<(f64, &Array4<f32>)>,
        left: usize,
        ball: &Ball,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Array4<f32>> {
        (0..left.min(self.together)).map(|_| signed_noise(ball, rng)).collect()
    }
}
