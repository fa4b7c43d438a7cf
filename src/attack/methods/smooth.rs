//! APGD on the randomized-smoothed objective: steps along the mean gradient over uniform noise around a point,
//! E[grad f(x + w u)], u uniform in [-1, 1] for every value (expectation over transformation, Athalye et
//! al., ICML 2018, with noise as the transformation; the smoothing of Cohen et al., ICML 2019).
//!
//! Where roundings, ripples or gates make the slope at a point say nothing of the way ahead, the slope of the
//! smoothed objective does. The width w is the smallest that is enough: it doubles from one level of 255, below which
//! nothing matters to images of 8 bits, until a step of its own size along the signs of the mean gradient rises by a good
//! part of what the gradient promises, w ||g||_1. Means go on from step to step with a decay, so that those of
//! neighbouring points average too. The objective itself is not smoothed: the best point is the best for the model, and
//! only the noise may leave the ball.

use ndarray::{Array4, ArrayView4, Axis};
use rand_chacha::ChaCha8Rng;

use super::apgd::{Apgd, Resumed};
use crate::attack::ball::Ball;
use crate::attack::goal::{Goal, stacked};
use crate::attack::kind::AttackKind;
use crate::attack::landscape::Landscape;
use crate::attack::points::{along, around, near};
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
pub const EACH: usize = 8;
/// Gradients that are averaged at a step, and what is left of earlier means at the next one. Many steps along means
/// of few lead farther than the reverse: for as many gradients in all, 100 steps of 2 draws and 0.9 left 23.44 dB of
/// CARN-M with a ripple inside, 50 of 4 and 0.85 23.70, 25 of 8 and 0.75 24.49 (three images).
pub const DRAWS: usize = 2;
const DECAY: f32 = 0.9;
/// Gradients that are averaged to find a width.
const WIDENING: usize = 8;
/// The least width, on [0, 1]: a ripple of three levels' period masks the gradient as well as a finer one.
const LEAST: f64 = 1.0 / 255.0;
/// The least share of the promised rise that a width has to bring. Along a distance from x0, which is convex,
/// an honest gradient brings 1 and more.
const KEPT: f64 = 1.0 / 3.0;

/// Attacks one image.
fn smooth(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    settings: &Settings,
    rng: &mut ChaCha8Rng,
    on_step: &mut OnStep<'_>,
) -> Result<Attacked, AttackError> {
    climb_smoothed(landscape, goal, settings, rng, on_step, None)
}

/// Where another attack began and how far it came.
pub struct Rival {
    /// Its start.
    pub start: Array4<f32>,
    /// The objective that has to be found half-way for the rest to be worth its steps.
    pub least: f64,
}

/// Attacks one image, from random starts, or from a rival's as long as it is not far behind. Of
/// [`Attacked::values`] there is one for every [`DRAWS`] gradients.
///
/// # Errors
/// Those of the landscape.
pub fn climb_smoothed(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    settings: &Settings,
    rng: &mut ChaCha8Rng,
    on_step: &mut OnStep<'_>,
    rival: Option<Rival>,
) -> Result<Attacked, AttackError> {
    let mut smoothed =
        Smoothed { landscape, rng: rng.clone(), width: 0.0, batch: settings.batch.max(1), sum: None };
    smoothed.widen(goal, rng)?;
    let iterations = settings.iterations * EACH / DRAWS;
    let settings = &Settings { iterations, ..settings.clone() };
    let make = |goal: &Goal| -> Box<dyn Steps> {
        let steps = Apgd::new(goal.ball.level(), iterations);
        match &rival {
            Some(Rival { start, least }) => {
                let steps = Resumed { steps, start: start.clone() };
                Box::new(Racing { steps, least: *least, left: iterations / 2, best: f64::NEG_INFINITY })
            }
            None => Box::new(steps),
        }
    };
    let mut each = || (0..DRAWS).try_for_each(|_| on_step());
    let found = climb(&make, &mut smoothed, &[goal], settings, std::slice::from_mut(rng), &mut each)?;
    Ok(found.into_iter().next().expect("a climb gives one result per goal"))
}

/// Steps that end half-way where they are behind.
struct Racing {
    steps: Resumed,
    least: f64,
    /// Steps until half-way.
    left: usize,
    best: f64,
}

impl Steps for Racing {
    fn start(&mut self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
        self.steps.start(ball, rng)
    }

    fn step(&mut self, x: &Array4<f32>, value: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32> {
        // From half-way on the best no longer counts.
        if self.left > 0 {
            (self.left, self.best) = (self.left - 1, self.best.max(value));
        }
        self.steps.step(x, value, gradient, ball)
    }

    fn keeps_best(&self) -> bool {
        self.steps.keeps_best()
    }

    fn gives_up(&self) -> bool {
        self.left == 0 && self.best < self.least
    }
}

/// The widths that are tried, on [0, 1]: up to the budget.
fn widths(level: f64) -> impl Iterator<Item = f64> {
    let doubled = std::iter::successors(Some(LEAST), |width| Some(2.0 * width));
    doubled.take_while(move |width| *width < level).chain([level.max(LEAST)])
}

/// The point a step ahead along a gradient, inside the ball, and the rise that the gradient promises there.
pub fn promise(ball: &Ball, x: &Array4<f32>, gradient: &Array4<f32>, step: f32) -> (Array4<f32>, f64) {
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
        for width in widths(ball.level()) {
            self.width = width as f32;
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
        points.iter_mut().flatten().for_each(|value| *value = value.clamp(0.0, 1.0));
        for group in points.chunks(self.batch) {
            let goals = vec![goal; group.len()];
            let (_, gradients) =
                self.landscape.value_and_gradient(stacked(group.iter()).view(), &goals).map_err(outside)?;
            for gradient in gradients.axis_chunks_iter(Axis(0), 1) {
                mean.scaled_add(1.0 / draws as f32, &gradient);
            }
        }
        Ok(mean)
    }
}

/// An output that is not finite is the end of an attack only inside the ball, where the noise need not lie.
pub fn outside(error: OracleError) -> OracleError {
    match error {
        OracleError::NotFinite { kind, count, .. } => {
            OracleError::NotFinite { kind, what: "gradient", count }
        }
        error => error,
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
