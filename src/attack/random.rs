//! Random sign noise of the whole budget: the baseline that every attack must beat. The best of as
//! many draws as are asked for.
//!
//! Every value moves by the budget, up or down; in L2 as well, where that has just the radius.

use ndarray::Array4;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ball::Ball;
use super::search::Search;

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

/// x0 with every value moved by the level, up or down, as far as the ball goes.
pub fn signed_noise(ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
    let level = ball.level() as f32;
    let mut noisy = ball.centre().mapv(|x0| if rng.random() { x0 + level } else { x0 - level });
    ball.project(&mut noisy);
    noisy
}
