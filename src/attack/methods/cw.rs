//! CW, after Carlini and Wagner (S&P 2017): the smallest L2 perturbation that brings the SR PSNR
//! down to a target.
//!
//! Adam minimises |delta|^2 + c max(0, 1 - D(x) / D*), with |delta|^2 in squared levels of 1/255
//! averaged over what may move, D the distance ||S(x) - S(x0)||_2 and D* the one that the target means;
//! c is found by bisection on its logarithm. Instead of a change of variables, which would hold still
//! where pixels lie at an end of their range, x is projected into the ball after every step. Every
//! point that the distance calls a success is judged by its PSNR, on clipped outputs, and the best one
//! is at last drawn back towards x0 as far as it stays a success.
//!
//! The ball is an upper bound on what is searched: that of 255 levels bounds nothing but pixels.

use ndarray::{Array4, ArrayView4, Zip};
use rand_chacha::ChaCha8Rng;

use crate::attack::goal::Goal;
use crate::attack::kind::AttackKind;
use crate::attack::landscape::Landscape;
use crate::attack::points::near;
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::settings::{Settings, TARGET_PSNR};
use crate::attack::template::{AttackError, Attacked, OnStep};

impl Attack {
    /// The smallest perturbation that reaches a target.
    pub const CW: Self = Self(&Row {
        name: "cw",
        stream: "cw",
        kind: AttackKind::Minimal,
        restarts: false,
        converges: false,
        maximises: Maximises::Distance,
        calls: Calls::Iterations(TRADES),
        help: "the smallest perturbation that reaches --target-psnr",
        method: Method::Own(smallest),
    });
}

/// Values of c that are tried.
const TRADES: usize = 6;
/// The first c, and the factor to the next one where there is no bracket yet.
const FIRST: (f64, f64) = (100.0, 10.0);
/// Adam's steps add up to about so much on [0, 1]; the last one is a tenth of the first.
const REACH: f64 = 70.0 / 255.0;
/// Adam's decays and its floor.
const ADAM: (f64, f64, f64) = (0.9, 0.999, 1e-12);
/// Halvings of the way back to x0.
const DRAWN: usize = 8;
/// The start lies at most this far from x0, where the distance has no gradient.
const START: f32 = 0.5 / 255.0;

/// Searches the smallest perturbation of one image. `landscape` answers for the L2 distance.
fn smallest(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    settings: &Settings,
    rng: &mut ChaCha8Rng,
    on_step: &mut OnStep<'_>,
) -> Result<Attacked, AttackError> {
    let target = settings.target_psnr.unwrap_or(TARGET_PSNR);
    let mut found = Found { landscape, goal, target, best: None, values: vec![] };
    let start = {
        let mut start = near(&goal.ball, START, rng);
        goal.ball.project(&mut start);
        start
    };
    let (mut trade, mut low, mut high) = (FIRST.0, None::<f64>, None::<f64>);
    for _ in 0..TRADES {
        if found.descend(start.clone(), trade, settings.iterations, on_step)? {
            high = Some(trade);
        } else {
            low = Some(trade);
        }
        trade = match (low, high) {
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) => low * FIRST.1,
            (None, Some(high)) => high / FIRST.1,
            (None, None) => trade,
        };
    }
    found.draw_back()?;
    Ok(found.into_attacked())
}

/// What a search has found.
struct Found<'a> {
    landscape: &'a mut dyn Landscape,
    goal: &'a Goal,
    target: f64,
    /// The smallest success with its squared L2 size, else the last point.
    best: Option<(f64, Array4<f32>)>,
    values: Vec<f64>,
}

impl Found<'_> {
    /// Adam's way for one c; whether it passed a success.
    fn descend(
        &mut self,
        mut x: Array4<f32>,
        trade: f64,
        iterations: usize,
        on_step: &mut OnStep<'_>,
    ) -> Result<bool, AttackError> {
        let wanted = (self.goal.clean.len() as f64).sqrt() * 10.0_f64.powf(-self.target / 20.0);
        let mut adam = Adam::new(x.raw_dim());
        let first = REACH / 0.55 / iterations.max(1) as f64;
        let mut passed = false;
        for step in 0..iterations {
            let (values, slope) = self.landscape.value_and_gradient(x.view(), &[self.goal])?;
            on_step()?;
            let value = values.first().copied().unwrap_or_default();
            self.values.push(value);
            let success = value >= wanted && self.is_success(x.view())?;
            passed |= success;
            if success {
                self.note(&x);
            }
            // Short of a success in PSNR the distance counts on, whatever it says itself.
            let pull = if success { 0.0 } else { trade / wanted };
            let scale = 2.0 * 255.0 * 255.0 / self.goal.ball.free() as f64;
            let loss =
                Zip::from(&x).and(&self.goal.ball.centre()).and(&slope).map_collect(|&x, &x0, &slope| {
                    scale * (f64::from(x) - f64::from(x0)) - pull * f64::from(slope)
                });
            let rate = first * (1.0 - 0.9 * step as f64 / iterations as f64);
            adam.descend(&mut x, &loss, rate);
            self.goal.ball.project(&mut x);
        }
        if self.is_success(x.view())? {
            passed = true;
            self.note(&x);
        }
        Ok(passed)
    }

    fn is_success(&mut self, x: ArrayView4<'_, f32>) -> Result<bool, AttackError> {
        let psnr = self.landscape.sr_psnr(x, &[self.goal])?;
        Ok(psnr.first().is_some_and(|psnr| *psnr <= self.target))
    }

    fn note(&mut self, x: &Array4<f32>) {
        let centre = self.goal.ball.centre();
        let square = |(x, x0): (&f32, &f32)| (f64::from(*x) - f64::from(*x0)).powi(2);
        let size: f64 = x.iter().zip(&centre).map(square).sum();
        if self.best.as_ref().is_none_or(|(best, _)| size < *best) {
            self.best = Some((size, x.clone()));
        }
    }

    /// Shortens the best success as far as it stays one.
    fn draw_back(&mut self) -> Result<(), AttackError> {
        let Some((_, far)) = self.best.clone() else { return Ok(()) };
        let (mut low, mut high) = (0.0_f32, 1.0_f32);
        for _ in 0..DRAWN {
            let share = f32::midpoint(low, high);
            let mut x = Zip::from(&far)
                .and(&self.goal.ball.centre())
                .map_collect(|&far, &x0| x0 + share * (far - x0));
            self.goal.ball.project(&mut x);
            if self.is_success(x.view())? {
                high = share;
                self.note(&x);
            } else {
                low = share;
            }
        }
        Ok(())
    }

    fn into_attacked(self) -> Attacked {
        let reached = Some(self.best.is_some());
        let unchanged = || self.goal.ball.centre().to_owned();
        let image = self.best.map_or_else(unchanged, |(_, image)| image);
        Attacked { image, values: self.values, value: None, reached, ensemble: None }
    }
}

/// Adam (Kingma and Ba, ICLR 2015), in f64.
struct Adam {
    mean: Array4<f64>,
    square: Array4<f64>,
    steps: i32,
}

impl Adam {
    fn new(shape: ndarray::Ix4) -> Self {
        Self { mean: Array4::zeros(shape), square: Array4::zeros(shape), steps: 0 }
    }

    fn descend(&mut self, x: &mut Array4<f32>, gradient: &Array4<f64>, rate: f64) {
        let (first, second, floor) = ADAM;
        self.steps += 1;
        let (warm, warmer) = (1.0 - first.powi(self.steps), 1.0 - second.powi(self.steps));
        Zip::from(x).and(&mut self.mean).and(&mut self.square).and(gradient).for_each(|x, m, v, &g| {
            *m = first * *m + (1.0 - first) * g;
            *v = second * *v + (1.0 - second) * g * g;
            *x -= (rate * (*m / warm) / ((*v / warmer).sqrt() + floor)) as f32;
        });
    }
}
