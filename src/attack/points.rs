//! Points around an image and along a direction, before they are projected into a ball.

use ndarray::{Array4, ArrayView4, Zip};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ball::Ball;

/// x0 plus noise, uniform in [-most, most] for every value.
pub fn near(ball: &Ball, most: f32, rng: &mut ChaCha8Rng) -> Array4<f32> {
    around(ball.centre(), most, rng)
}

/// A point plus noise, uniform in [-most, most] for every value.
pub fn around(x: ArrayView4<'_, f32>, most: f32, rng: &mut ChaCha8Rng) -> Array4<f32> {
    x.mapv(|x| x + rng.random_range(-most..=most))
}

/// x + step * direction.
pub fn along(x: &Array4<f32>, step: f32, direction: &Array4<f32>) -> Array4<f32> {
    Zip::from(x).and(direction).map_collect(|&x, &direction| x + step * direction)
}

/// A random sign for every value of an array like this one.
pub fn signs(like: &Array4<f32>, rng: &mut ChaCha8Rng) -> Array4<f32> {
    like.mapv(|_| if rng.random() { 1.0 } else { -1.0 })
}

/// x0 with every value moved by the level, up or down, as far as the ball goes.
pub fn signed_noise(ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
    let level = ball.level() as f32;
    let mut noisy = ball.centre().mapv(|x0| if rng.random() { x0 + level } else { x0 - level });
    ball.project(&mut noisy);
    noisy
}
