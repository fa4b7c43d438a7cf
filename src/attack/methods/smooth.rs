//! APGD on the randomized-smoothed objective: steps along the mean gradient over uniform noise inside the
//! ball, E[grad f(x + w u)], u uniform in [-1, 1] for every value (expectation over transformation, Athalye et
//! al., ICML 2018, with noise as the transformation; the smoothing of Cohen et al., ICML 2019).
//!
//! Where roundings, ripples or gates make the slope at a point say nothing of the way ahead, the slope of the
//! smoothed objective does. The width w is the smallest that is enough: it doubles from an eighth of the budget
//! until a step of its own size along the signs of the mean gradient rises by a good part of what the gradient
//! promises, w ||g||_1. Means go on from step to step with a decay, so that those of neighbouring points average
//! too. The objective itself is not smoothed: the best point is the best for the model.

use ndarray::{Array4, ArrayView4, Axis};
use rand_chacha::ChaCha8Rng;

use super::apgd::Apgd;
use crate::attack::ball::Ball;
use crate::attack::goal::{Goal, stacked};
use crate::attack::kind::AttackKind;
use crate::attack::landscape::Landscape;
use crate::attack::points::{along, around, near, signs};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::settings::Settings;
use crate::attack::template::{AttackError, Attacked, OnStep, Steps, climb};
use crate::attack::view::View;
use crate::oracle::OracleError;

impl Attack {
    /// APGD along mean gradients over noise inside the ball.
    pub const SMOOTH: Self = Self(&Row {
        name: "smooth",
        stream: "smooth",
        kind: AttackKind::WhiteBox,
        restarts: true,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Iterations(EACH),
        help: "apgd along the mean gradient over noise, for rugged landscapes",
        method: Method::Own(smooth),
    });
}

/// Gradients for each of [`Settings::iterations`].
const EACH: usize = 8;
/// Gradients that are averaged at a step, and what is left of earlier means at the next one. Many steps along means
/// of few lead farther than the reverse: for as many gradients in all, 100 steps of 2 draws and 0.9 left 23.44 dB of
/// CARN-M with a ripple inside, 50 of 4 and 0.85 23.70, 25 of 8 and 0.75 24.49 (three images).
const DRAWS: usize = 2;
const DECAY: f32 = 0.9;
/// Gradients that are averaged to find a width.
const WIDENING: usize = 8;
/// Widths that are tried, in budgets.
const WIDTHS: [f64; 4] = [0.125, 0.25, 0.5, 1.0];
/// The least share of the promised rise that a width has to bring. Along a distance from x0, which is convex,
/// an honest gradient brings 1 and more.
const KEPT: f64 = 1.0 / 3.0;

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

/// Attacks one image.
fn smooth(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    settings: &Settings,
    rng: &mut ChaCha8Rng,
    on_step: &mut OnStep<'_>,
) -> Result<Attacked, AttackError> {
    let mut smoothed =
        Smoothed { landscape, rng: rng.clone(), width: 0.0, batch: settings.batch.max(1), sum: None };
    smoothed.widen(goal, rng)?;
    let iterations = settings.iterations * EACH / DRAWS;
    let settings = &Settings { iterations, ..settings.clone() };
    let make = |goal: &Goal| -> Box<dyn Steps> { Box::new(Apgd::new(goal.ball.level(), iterations)) };
    let mut each = || (0..DRAWS).try_for_each(|_| on_step());
    let found = climb(&make, &mut smoothed, &[goal], settings, std::slice::from_mut(rng), &mut each)?;
    Ok(found.into_iter().next().expect("a climb gives one result per goal"))
}

/// How much of what the plain gradient promises comes: of the rise over a step from a random point of the ball, of an
/// eighth of the budget and of all of it, the lesser share; of the slope at the end of an attack, the share that
/// lasts, since a model may hide its ripples from images that are near x0; and whether the gradient there is that of
/// the images beside it, which ripples inside a network leave the shares alone and change.
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
    for width in [WIDTHS[0], 1.0] {
        let (ahead, promised) = promise(ball, &x, &gradient, (width * ball.level()) as f32);
        let after = landscape.values(ahead.view(), &[goal])?;
        kept = kept.min(share(after[0] - before[0], promised));
    }
    let (lasts, coherence) = match end {
        Some(end) => at_end(landscape, goal, end, rng)?,
        None => (f64::INFINITY, 1.0),
    };
    Ok(Trust { kept, lasts, coherence })
}

/// Shares of what a gradient promises.
pub struct Trust {
    kept: f64,
    lasts: f64,
    coherence: f64,
}

impl Trust {
    /// Whether the plain gradient is of no use.
    pub fn is_rugged(&self) -> bool {
        self.kept < COMES || self.lasts < LASTS || self.coherence < ALIKE
    }

    /// Whether a mean gradient may lead farther.
    pub fn is_uneven(&self) -> bool {
        self.kept.min(self.lasts) < EVEN || self.coherence < COHERENT
    }
}

/// The share of the slope at a point that central differences over half a level or over two levels have, the larger;
/// and the cosine of the gradients there and a little aside.
fn at_end(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    x: &Array4<f32>,
    rng: &mut ChaCha8Rng,
) -> Result<(f64, f64), AttackError> {
    let (_, gradient) = landscape.value_and_gradient(x.view(), &[goal])?;
    let aside = along(x, APART, &signs(x, rng)).mapv(|value| value.clamp(0.0, 1.0));
    let (_, beside) = landscape.value_and_gradient(aside.view(), &[goal])?;
    let direction = goal.ball.direction(&gradient);
    let mut lasts = f64::NEG_INFINITY;
    for half in HALVES {
        let [up, down] = [half, -half].map(|by| along(x, by, &direction).mapv(|value| value.clamp(0.0, 1.0)));
        let promised =
            (&up - &down).iter().zip(&gradient).map(|(moved, slope)| f64::from(moved * slope)).sum();
        let [high, low] = [up, down].map(|x| landscape.values(x.view(), &[goal]));
        lasts = lasts.max(share(high?[0] - low?[0], promised));
    }
    Ok((lasts, cosine(&gradient, &beside)))
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

/// The point a step ahead along a gradient, inside the ball, and the rise that the gradient promises there.
fn promise(ball: &Ball, x: &Array4<f32>, gradient: &Array4<f32>, step: f32) -> (Array4<f32>, f64) {
    let mut ahead = along(x, step, &ball.direction(gradient));
    ball.project(&mut ahead);
    let rise = (&ahead - x).iter().zip(gradient).map(|(moved, slope)| f64::from(moved * slope)).sum();
    (ahead, rise)
}

/// A landscape whose gradients are means over noise; its values are those of the points themselves.
struct Smoothed<'a> {
    landscape: &'a mut dyn Landscape,
    rng: ChaCha8Rng,
    /// The noise is uniform in [-width, width], on [0, 1].
    width: f32,
    /// Points that go through the model together.
    batch: usize,
    /// The decayed sum of the means so far, at neighbouring points.
    sum: Option<Array4<f32>>,
}

impl Smoothed<'_> {
    /// Sets the width, at a point in the ball.
    fn widen(&mut self, goal: &Goal, rng: &mut ChaCha8Rng) -> Result<(), AttackError> {
        let ball = &goal.ball;
        let mut x = near(ball, ball.level() as f32, rng);
        ball.project(&mut x);
        let before = self.value(&x, goal)?;
        let mut best = (f64::NEG_INFINITY, 0.0);
        for width in WIDTHS {
            self.width = (width * ball.level()) as f32;
            let gradient = self.mean_gradient(&x, goal, WIDENING)?;
            let (ahead, promised) = promise(ball, &x, &gradient, self.width);
            let kept = (self.value(&ahead, goal)? - before) / promised.max(f64::MIN_POSITIVE);
            if kept > best.0 {
                best = (kept, self.width);
            }
            if kept >= KEPT {
                break;
            }
        }
        self.width = best.1;
        Ok(())
    }

    fn value(&mut self, x: &Array4<f32>, goal: &Goal) -> Result<f64, OracleError> {
        let values = self.landscape.values(x.view(), &[goal])?;
        Ok(*values.first().expect("a landscape gives one value per goal"))
    }

    fn mean_gradient(
        &mut self,
        x: &Array4<f32>,
        goal: &Goal,
        draws: usize,
    ) -> Result<Array4<f32>, OracleError> {
        let mut mean = Array4::zeros(x.raw_dim());
        let mut points: Vec<Array4<f32>> =
            (0..draws).map(|_| around(x.view(), self.width, &mut self.rng)).collect();
        points.iter_mut().for_each(|point| goal.ball.project(point));
        for group in points.chunks(self.batch) {
            let goals = vec![goal; group.len()];
            let (_, gradients) = self.landscape.value_and_gradient(stacked(group.iter()).view(), &goals)?;
            for gradient in gradients.axis_chunks_iter(Axis(0), 1) {
                mean.scaled_add(1.0 / draws as f32, &gradient);
            }
        }
        Ok(mean)
    }
}

impl Landscape for Smoothed<'_> {
    fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        let [goal] = goals else { unreachable!("`smooth` climbs with one image at a time") };
        let mut sum = self.mean_gradient(&x.to_owned(), goal, DRAWS)?;
        if let Some(before) = &self.sum {
            sum.scaled_add(DECAY, before);
        }
        self.sum = Some(sum.clone());
        Ok((self.landscape.values(x, &[*goal])?, sum))
    }

    fn values(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        self.landscape.values(x, goals)
    }

    fn sr_psnr(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        self.landscape.sr_psnr(x, goals)
    }

    fn look(&mut self, view: View) -> bool {
        self.landscape.look(view)
    }
}
