//! APGD (Croce and Hein, ICML 2020): projected gradient steps with momentum whose size halves at
//! checkpoints where progress has stalled, each time going on from the best point so far.
//!
//! The first size is two budgets. Checkpoints lie at shares p of the iterations, p_0 = 0, p_1 = 0.22,
//! p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06). At one, the size halves if fewer than 0.75 of the
//! steps since the last one rose, or if neither the size nor the best value changed since then. Going
//! on from the best point uses the gradient that was seen there, without momentum.
//!
//! [`Apgd::polishing`] goes on from where others ended, in smaller steps and with more momentum.

use ndarray::{Array4, Zip};
use rand_chacha::ChaCha8Rng;

use crate::attack::ball::Ball;
use crate::attack::kind::AttackKind;
use crate::attack::points::{along, near};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::template::Steps;

impl Attack {
    /// Steps that halve where progress stalls.
    pub const APGD: Self = Self(&Row {
        name: "apgd",
        stream: "apgd",
        kind: AttackKind::WhiteBox,
        restarts: true,
        converges: true,
        maximises: Maximises::Chosen,
        calls: Calls::Iterations(1),
        help: "steps that halve where progress stalls, from random starts",
        method: Method::Climb(|ball, settings| Box::new(Apgd::new(ball.level(), settings.iterations))),
    });
}

/// The first step, in budgets.
const FIRST: f64 = 2.0;
/// The share of the new direction in a step; the rest is momentum.
const FRESH: f32 = 0.75;
/// The first step of polishing, in budgets, and the share of the new direction. Measured over 120 steps from the best of
/// six short runs on six networks (three images): at most 0.02 dB weaker than steps of 1 or 2 budgets, and up to 0.4 dB
/// stronger.
const POLISHING: f64 = 0.5;
const POLISHING_FRESH: f32 = 0.5;
/// The least share of rising steps that keeps the size.
const RISING: f64 = 0.75;

/// The best point so far with what was seen there.
#[derive(Debug)]
struct Best {
    value: f64,
    x: Array4<f32>,
    gradient: Array4<f32>,
}

/// APGD at one point of its way.
#[derive(Debug)]
pub struct Apgd {
    step: f32,
    fresh: f32,
    checkpoints: Vec<usize>,
    taken: usize,
    /// Steps since the last checkpoint, and how many of them rose.
    since: usize,
    rose: usize,
    last: Option<(f64, Array4<f32>)>,
    best: Option<Best>,
    /// Size and best value at the last checkpoint.
    before: (f32, f64),
}

impl Apgd {
    /// For a ball of `level` and T iterations.
    pub fn new(level: f64, iterations: usize) -> Self {
        Self::stepping(FIRST * level, FRESH, iterations)
    }

    /// As [`Self::new`], for a start that is good already.
    pub fn polishing(level: f64, iterations: usize) -> Self {
        Self::stepping(POLISHING * level, POLISHING_FRESH, iterations)
    }

    fn stepping(first: f64, fresh: f32, iterations: usize) -> Self {
        let step = first as f32;
        Self {
            step,
            fresh,
            checkpoints: checkpoints(iterations),
            taken: 0,
            since: 0,
            rose: 0,
            last: None,
            best: None,
            before: (step, f64::NEG_INFINITY),
        }
    }

    /// Notes a point, and whether it lies above the one before.
    fn note(&mut self, x: &Array4<f32>, value: f64, gradient: &Array4<f32>) {
        if let Some((before, _)) = &self.last {
            self.since += 1;
            self.rose += usize::from(value > *before);
        }
        if self.best.as_ref().is_none_or(|best| value > best.value) {
            self.best = Some(Best { value, x: x.clone(), gradient: gradient.clone() });
        }
    }

    /// Whether the size was halved, at a checkpoint.
    fn halves(&mut self) -> bool {
        if !self.checkpoints.contains(&self.taken) {
            return false;
        }
        let best = self.best.as_ref().map_or(f64::NEG_INFINITY, |best| best.value);
        let stalled = (self.rose as f64) < RISING * self.since as f64;
        let stuck = self.before == (self.step, best);
        self.before = (self.step, best);
        (self.since, self.rose) = (0, 0);
        if stalled || stuck {
            self.step /= 2.0;
        }
        stalled || stuck
    }
}

impl Steps for Apgd {
    fn start(&mut self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32> {
        near(ball, ball.level() as f32, rng)
    }

    fn step(&mut self, x: &Array4<f32>, value: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32> {
        self.note(x, value, gradient);
        self.taken += 1;
        if self.halves()
            && let Some(best) = &self.best
        {
            self.last = Some((best.value, best.x.clone()));
            return along(&best.x, self.step, &ball.direction(&best.gradient));
        }
        let mut next = along(x, self.step, &ball.direction(gradient));
        ball.project(&mut next);
        if let Some((_, before)) = &self.last {
            let fresh = self.fresh;
            Zip::from(&mut next).and(x).and(before).for_each(|next, &x, &before| {
                *next = x + fresh * (*next - x) + (1.0 - fresh) * (x - before);
            });
        }
        self.last = Some((value, x.clone()));
        next
    }

    fn keeps_best(&self) -> bool {
        true
    }
}

/// APGD that starts where it is told to.
pub struct Resumed {
    /// How it goes on.
    pub steps: Apgd,
    /// Where.
    pub start: Array4<f32>,
}

impl Steps for Resumed {
    fn start(&mut self, _: &Ball, _: &mut ChaCha8Rng) -> Array4<f32> {
        self.start.clone()
    }

    fn step(&mut self, x: &Array4<f32>, value: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32> {
        self.steps.step(x, value, gradient, ball)
    }

    fn keeps_best(&self) -> bool {
        self.steps.keeps_best()
    }
}

/// After how many steps the size is thought over. Shares are counted in hundredths.
fn checkpoints(iterations: usize) -> Vec<usize> {
    let (mut before, mut share) = (0, 22);
    let mut found = Vec::new();
    while share <= 100 {
        found.push((share * iterations).div_ceil(100));
        (before, share) = (share, share + (share - before - 3).max(6));
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_those_of_the_paper() {
        assert_eq!(checkpoints(100), [22, 41, 57, 70, 80, 87, 93, 99]);
    }

    /// Along a line whose best point lies half a step away, a fixed step overshoots for ever.
    #[test]
    fn the_size_halves_until_the_top_is_found() {
        let x0 = Array4::from_elem((1, 1, 1, 1), 0.5_f32);
        let ball = Ball::new(x0.view(), 0.1);
        let mut apgd = Apgd::new(0.1, 60);
        let mut x = x0.clone();
        for _ in 0..60 {
            let away = x[[0, 0, 0, 0]] - 0.53;
            let gradient = x.mapv(|_| -away);
            x = apgd.step(&x, -f64::from(away * away), &gradient, &ball);
            ball.project(&mut x);
        }
        let best = apgd.best.unwrap().x[[0, 0, 0, 0]];
        assert!((best - 0.53).abs() < 5e-3, "{best}");
        assert!(apgd.step < 0.2 / 8.0, "{}", apgd.step);
    }
}
