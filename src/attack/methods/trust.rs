//! How far the plain gradient of a landscape is to be trusted, measured at two points of an attack.
//!
//! A gradient is of no use where the rise that it promises does not come, or where the images beside it have another
//! one. What follows from that is the ensemble's to say: deliberately absent are findings, and attacks.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use super::smooth::{outside, promise};
use crate::attack::goal::Goal;
use crate::attack::landscape::Landscape;
use crate::attack::points::{along, around, near, signs};
use crate::attack::template::AttackError;

/// The steps whose rise is looked at, in budgets.
const WIDTHS: [f64; 2] = [0.125, 1.0];
/// Halves of the differences that show whether a slope lasts, on [0, 1]. Over the smaller one an honest network in
/// float32 keeps its promise, over the larger one a quantised network, which does nothing within a level, does.
const HALVES: [f32; 2] = [0.25 / 255.0, 1.0 / 255.0];
/// The least share of a slope that lasts over one of them on an honest network, as for the gradient check.
const LASTS: f64 = 0.2;
/// The least share of a rise that comes on an honest network. Measured with six steps: 0.33 and more (IMDN, 5 images at 3
/// budgets); where ripples, roundings and gates mask a gradient, at most 0.11.
const COMES: f64 = 1.0 / 6.0;
/// How far from the end of an attack a gradient is compared with the one there: within the rounding of 8 bits, on
/// [0, 1].
const APART: f32 = 0.25 / 255.0;
/// The least cosine of these two that is left to plain gradients alone.
const COHERENT: f64 = 0.9;
/// The least on an honest network. Measured at the ends of attacks: 0.82 and more on perceptual networks (NomosUni,
/// ClearReality), 0.87 and more on CARN-M; with ripples in a layer inside, 0.14 to 0.55.
const ALIKE: f64 = 0.65;
/// Below this share of either kind a mean gradient is tried as well. Even networks keep 1 and more; perceptual ones,
/// and those with shallow ripples in a layer inside, keep less and need not deceive.
const EVEN: f64 = 0.6;
/// How far the noise goes whose mean gradient is compared with the one at the end of an attack, on [0, 1], and of how
/// many draws it is the mean.
const BROAD: f32 = 1.5 / 255.0;
const DRAWS: usize = 8;
/// The least cosine of these two that is left to plain gradients alone. Measured at 1, 4 and 8/255 (three images): 0.58 and
/// more on perceptual networks, 0.74 and more on IMDN, 0.89 and more on four others; behind ripples of two and of three
/// levels' period 0.17 to 0.69 on fragile networks, to 0.80 on those that amplify little.
const BROADLY_COHERENT: f64 = 0.8;

/// How much of what the plain gradient promises comes: of the rise over a step from a random point of the ball, of an
/// eighth of the budget and of all of it, the lesser share; of the slope at the end of an attack, the share that
/// lasts, since a model may hide its ripples from images that are near x0; whether the gradient there is that of
/// the images beside it, which ripples inside a network leave the shares alone and change; and whether it is that of
/// images a level or two away, which ripples of such a length change.
///
/// # Errors
/// Those of the landscape.
pub fn trust(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    end: Option<&Array4<f32>>,
    rng: &mut ChaCha8Rng,
) -> Result<Trust, AttackError> {
    let ball = &goal.ball;
    let mut x = near(ball, ball.level() as f32, rng);
    ball.project(&mut x);
    let (before, gradient) = landscape.value_and_gradient(x.view(), &[goal])?;
    let mut kept = f64::INFINITY;
    for width in WIDTHS {
        let (ahead, promised) = promise(ball, &x, &gradient, (width * ball.level()) as f32);
        let after = landscape.values(ahead.view(), &[goal])?;
        kept = kept.min(share(after[0] - before[0], promised));
    }
    let even = Trust { kept, lasts: f64::INFINITY, coherence: 1.0, broad: 1.0 };
    end.map_or(Ok(even), |end| at_end(landscape, goal, end, rng).map(|found| Trust { kept, ..found }))
}

/// Shares of what a gradient promises.
pub struct Trust {
    kept: f64,
    lasts: f64,
    coherence: f64,
    broad: f64,
}

impl Trust {
    /// Whether the plain gradient is of no use.
    pub fn is_rugged(&self) -> bool {
        self.kept < COMES || self.lasts < LASTS || self.coherence < ALIKE
    }

    /// Whether a mean gradient may lead farther.
    pub fn is_uneven(&self) -> bool {
        self.kept.min(self.lasts) < EVEN || self.coherence < COHERENT || self.broad < BROADLY_COHERENT
    }
}

/// The share of the slope at a point that central differences over half a level or over two levels have, the larger;
/// and the cosines of the gradient there and those a little aside.
fn at_end(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    x: &Array4<f32>,
    rng: &mut ChaCha8Rng,
) -> Result<Trust, AttackError> {
    let (_, gradient) = landscape.value_and_gradient(x.view(), &[goal])?;
    let aside = along(x, APART, &signs(x, rng)).mapv(|value| value.clamp(0.0, 1.0));
    let (_, beside) = landscape.value_and_gradient(aside.view(), &[goal]).map_err(outside)?;
    let direction = goal.ball.direction(&gradient);
    let mut lasts = f64::NEG_INFINITY;
    for half in HALVES {
        let [up, down] = [half, -half].map(|by| along(x, by, &direction).mapv(|value| value.clamp(0.0, 1.0)));
        let promised =
            (&up - &down).iter().zip(&gradient).map(|(moved, slope)| f64::from(moved * slope)).sum();
        let [high, low] = [up, down].map(|x| landscape.values(x.view(), &[goal]).map_err(outside));
        lasts = lasts.max(share(high?[0] - low?[0], promised));
    }
    let around = mean_around(landscape, goal, x, rng)?;
    let [coherence, broad] = [&beside, &around].map(|other| cosine(&gradient, other));
    Ok(Trust { kept: f64::INFINITY, lasts, coherence, broad })
}

/// The mean gradient of images [`BROAD`] around a point.
fn mean_around(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    x: &Array4<f32>,
    rng: &mut ChaCha8Rng,
) -> Result<Array4<f32>, AttackError> {
    let mut sum = Array4::zeros(x.raw_dim());
    for _ in 0..DRAWS {
        let point = around(x.view(), BROAD, rng).mapv(|value| value.clamp(0.0, 1.0));
        let (_, gradient) = landscape.value_and_gradient(point.view(), &[goal]).map_err(outside)?;
        sum += &gradient;
    }
    Ok(sum)
}

/// The cosine of the angle between two gradients; 1 where one of them is zero.
fn cosine(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let dot = |a: &Array4<f32>, b: &Array4<f32>| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 1.0 }
}

/// The share of a promise that came; all of it where nothing was promised.
fn share(achieved: f64, promised: f64) -> f64 {
    if promised > 0.0 { achieved / promised } else { f64::INFINITY }
}
