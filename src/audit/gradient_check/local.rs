//! Whether a gradient is the derivative near a point: central differences, by forward runs alone.
//!
//! They go along the gradient, where the slope is steep and a wrong gradient is far off, and along random
//! signs, where a part that the gradient leaves out shows as much as a part of it. The point lies away from
//! the first image, where the distance to S(x0) has a gradient.

use ndarray::{Array4, ArrayView4, Zip};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Question;
use super::arithmetic::{SINGLE, Standard};
use super::frozen::Frozen;
use super::view::{View, dot, length};
use crate::attack::{AttackError, OnStep};
use crate::oracle::{Objective, Oracle};
use crate::report::Slope;

/// How far, on [0, 1], the point lies from the image.
const AWAY: f32 = 2.0 / 255.0;
/// A difference this close, relatively, ends the search for a better step.
const CLOSE: f64 = 0.01;
/// Random directions; one alone may by chance show little of what a gradient leaves out.
const RANDOM_DIRECTIONS: usize = 4;

/// What was found near the point.
pub struct Local {
    /// S(x0) of the first image.
    pub target: Array4<f32>,
    /// The gradient of the first objective at the point.
    pub gradient: Array4<f32>,
    /// The slopes of every objective, in their order.
    pub slopes: Vec<Slope>,
    /// The step of the first objective's difference, in 1/255.
    pub step: f64,
    /// The largest error of the gradient's slope along random signs, as a share of its length.
    pub random_error: f64,
    /// Share of gradient entries that are exactly zero.
    pub zero_share: f64,
    /// Relative distance to the gradient compared with.
    pub disagreement: f64,
}

/// Takes the differences of every objective near the first point. `compared` is another runtime's target with
/// its gradient there.
pub fn local(
    question: &Question<'_>,
    oracle: &mut Oracle,
    compared: Option<(ArrayView4<'_, f32>, ArrayView4<'_, f32>)>,
    standard: &Standard,
    on_run: &mut OnStep<'_>,
) -> Result<Local, AttackError> {
    let x0 = &question.points[0].x;
    let mut rng = ChaCha8Rng::seed_from_u64(question.seed);
    let point = x0.mapv(|value| (value + rng.random_range(-AWAY..=AWAY)).clamp(0.0, 1.0));
    let target = oracle.forward(x0.view())?;
    on_run()?;
    oracle.set_objective(&question.objectives[0]);
    let (_, gradient) = oracle.value_and_gradient(point.view(), target.view())?;
    on_run()?;
    // Half precision and int8 give every runtime a target of its own; the same one must give the same.
    let disagreement = match compared {
        None => 0.0,
        Some((target, theirs)) => {
            let (_, ours) = oracle.value_and_gradient(point.view(), target)?;
            on_run()?;
            apart(ours.view(), theirs)
        }
    };
    let mut surface = Surface::new(oracle, &point, &target, on_run)?;
    let direction = direction(&gradient, standard, &mut rng);
    let expected = dot(&gradient, &direction);
    let (step, slope) = surface.best_slope(&direction, expected, &standard.steps)?;
    let random_error = surface.random_error(&gradient, step, &mut rng)?;
    let name = |objective: &Objective| objective.name().to_owned();
    let mut slopes =
        vec![Slope { objective: name(&question.objectives[0]), slope, gradient_slope: expected }];
    for objective in &question.objectives[1..] {
        oracle.set_objective(objective);
        let (_, gradient) = oracle.value_and_gradient(point.view(), target.view())?;
        on_run()?;
        let mut surface = Surface::new(oracle, &point, &target, on_run)?;
        // Feature maps are computed in float32 whatever the model computes in.
        let standard = if objective.takes_target() || standard.steepest { standard } else { &SINGLE };
        let direction = self::direction(&gradient, standard, &mut rng);
        let expected = dot(&gradient, &direction);
        let (_, slope) = surface.best_slope(&direction, expected, &standard.steps)?;
        slopes.push(Slope { objective: name(objective), slope, gradient_slope: expected });
    }
    let zeros = gradient.iter().filter(|value| **value == 0.0).count();
    let zero_share = zeros as f64 / gradient.len().max(1) as f64;
    let step = f64::from(step) * 255.0;
    Ok(Local { target, gradient, slopes, step, random_error, zero_share, disagreement })
}

/// The relative error of a slope.
pub fn error(slope: f64, gradient_slope: f64) -> f64 {
    (slope - gradient_slope).abs() / slope.abs().max(gradient_slope.abs()).max(f64::MIN_POSITIVE)
}

/// A direction of signs: the gradient's own, or half of them and half random, along which the slope is steep
/// enough for a difference in float32 and which yet tests every entry.
fn direction(gradient: &Array4<f32>, standard: &Standard, rng: &mut ChaCha8Rng) -> Array4<f32> {
    if standard.steepest {
        return gradient.mapv(f32::signum);
    }
    gradient.mapv(|value| if rng.random() { value.signum() } else { random_sign(rng) })
}

fn random_sign(rng: &mut ChaCha8Rng) -> f32 {
    if rng.random() { 1.0 } else { -1.0 }
}

/// What differences are taken of.
enum Seen<'a> {
    Output(View<'a>),
    Features(Frozen),
}

/// A number around the point whose slope there is the objective's.
struct Surface<'a, 'b> {
    oracle: &'a mut Oracle,
    point: &'a Array4<f32>,
    seen: Seen<'a>,
    on_run: &'a mut OnStep<'b>,
}

impl<'a, 'b> Surface<'a, 'b> {
    /// For the objective that the oracle answers for.
    fn new(
        oracle: &'a mut Oracle,
        point: &'a Array4<f32>,
        target: &'a Array4<f32>,
        on_run: &'a mut OnStep<'b>,
    ) -> Result<Self, AttackError> {
        let seen = if oracle.objective().takes_target() {
            let output = oracle.forward(point.view())?;
            Seen::Output(View::of(oracle.objective(), &output, target))
        } else {
            Seen::Features(Frozen::at(&oracle.features(point.view())?))
        };
        on_run()?;
        Ok(Self { oracle, point, seen, on_run })
    }

    /// The first central difference along `direction` that is close to `expected`, else the closest,
    /// and its step. A wrong gradient comes close to none.
    fn best_slope(
        &mut self,
        direction: &Array4<f32>,
        expected: f64,
        steps: &[f32],
    ) -> Result<(f32, f64), AttackError> {
        let mut best = (0.0, f64::INFINITY);
        for &step in steps {
            let found = self.slope(direction, step)?;
            if (found - expected).abs() < (best.1 - expected).abs() {
                best = (step, found);
            }
            if error(found, expected) <= CLOSE {
                break;
            }
        }
        Ok(best)
    }

    /// The largest error of the gradient's slope along random signs, as a share of its length.
    fn random_error(
        &mut self,
        gradient: &Array4<f32>,
        step: f32,
        rng: &mut ChaCha8Rng,
    ) -> Result<f64, AttackError> {
        let mut worst = 0.0_f64;
        for _ in 0..RANDOM_DIRECTIONS {
            let direction = gradient.mapv(|_| random_sign(rng));
            let error = self.slope(&direction, step)? - dot(gradient, &direction);
            worst = worst.max(error.abs());
        }
        Ok(worst / length(gradient).max(f64::MIN_POSITIVE))
    }

    fn slope(&mut self, direction: &Array4<f32>, step: f32) -> Result<f64, AttackError> {
        Ok((self.at(direction, step)? - self.at(direction, -step)?) / (2.0 * f64::from(step)))
    }

    fn at(&mut self, direction: &Array4<f32>, step: f32) -> Result<f64, AttackError> {
        let moved = Zip::from(self.point).and(direction).map_collect(|x, d| x + step * d);
        let value = match &self.seen {
            Seen::Output(view) => view.value(&self.oracle.forward(moved.view())?),
            Seen::Features(frozen) => frozen.value(&self.oracle.features(moved.view())?),
        };
        (self.on_run)()?;
        Ok(value)
    }
}

/// How far apart, as a share of the longer one.
pub fn apart(a: ArrayView4<'_, f32>, b: ArrayView4<'_, f32>) -> f64 {
    let separation = Zip::from(a).and(b).fold(0.0, |sum, &a, &b| sum + (f64::from(a) - f64::from(b)).powi(2));
    separation.sqrt() / length(a).max(length(b)).max(f64::MIN_POSITIVE)
}
