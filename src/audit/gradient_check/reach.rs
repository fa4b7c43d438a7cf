//! How far a gradient leads: the rise that it promises to first order over finite steps along its sign,
//! against the rise that comes.
//!
//! *Below a level.* Images have 8 bits: nothing that an honest network serves depends on how its output runs
//! within half a level, so that a slope which does not last as long is a mask. From x = p + noise, with S(p)
//! as the target, central differences of the output's projection on (S(x) - S(p)) / ||S(x) - S(p)||, over half
//! a level and a whole one.
//!
//! *Over a budget.* The rise of the distance itself, of what is served, the output clipped to [0, 1]. Honest
//! networks keep less of a promise the longer the step, and perceptual ones turn within a level, so that only
//! what is far from anything honest fails here: a slope in what is clipped away, or one that passes straight
//! through a rounding which never comes.

use ndarray::{Array4, Zip};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::view::View;
use super::view::dot;
use super::{MOST_ZEROS, Point, Question};
use crate::attack::{AttackError, OnStep};
use crate::oracle::{Objective, Oracle};
use crate::report::Reach;

/// A level of 8 bits.
const LEVEL: f32 = 1.0 / 255.0;
/// Half the lengths of the central differences.
const BELOW: [f32; 2] = [LEVEL / 4.0, LEVEL / 2.0];
/// The most noise that a step begins with: at the image itself the distance has no gradient.
const NEAR: f32 = LEVEL / 2.0;

/// The most that a gradient may promise within a level, over what comes, as the median over images.
///
/// Measured over half a level on crops of three images of Set5 and about ten networks, before the limits were set
/// and with another flattened image than that of `points`: 1.0 to 1.1, but for the perceptual ones, AnimeJaNai in
/// float16 (1.4), NomosUni (2.3) and ClearReality (2.7); at most 3.2 on one image, 40 on a flattened one. Where 0.25/255 sin(2 pi 255 3.37 x) is added before IMDN or NomosUni,
/// the output falls by 1/8 to 1/93 of the promised rise, on every image.
const MOST_BELOW: f64 = 5.0;
/// The most of a promise within a level that may be taken back beyond all of it, on any image.
const MOST_FALL: f64 = 0.05;
/// The most that a gradient may promise over a budget, over what is served, as the median over images and budgets.
///
/// Measured at 1/255 and 8/255: 0.5 to 1.3, on perceptual networks up to 6. An output pixel that carries 1e4 times
/// the image's mean promises 42 to 141 times what is served.
const MOST_MEDIAN: f64 = 30.0;
/// The same on any image and over any step.
///
/// Measured: 22 on an image, 80 on one flattened (ClearReality). What is clipped away, 1e4 times as steep as
/// what is served, promised 300 to 560 times that; a quantiser of scale 1e6 146 to 1900 times.
const MOST: f64 = 150.0;
/// The least that it may promise: below it, what moves the output is not what the gradient sees.
const LEAST: f64 = 1.0 / 6.0;

/// Promise and achievement at every point, for the first objective.
pub fn reach(
    question: &Question<'_>,
    oracle: &mut Oracle,
    on_run: &mut OnStep<'_>,
) -> Result<Vec<Reach>, AttackError> {
    let mut rng = ChaCha8Rng::seed_from_u64(question.seed);
    let mut found = Vec::new();
    oracle.set_objective(match &question.objectives[0] {
        // Toward S(p) there is no way to go from p.
        Objective::Targeted => &Objective::Distance,
        other => other,
    });
    for point in question.points {
        let target = oracle.forward(point.x.view())?;
        on_run()?;
        let x = point.x.mapv(|value| (value + rng.random_range(-NEAR..=NEAR)).clamp(0.0, 1.0));
        let (_, gradient) = oracle.value_and_gradient(x.view(), target.view())?;
        on_run()?;
        let output = oracle.forward(x.view())?;
        on_run()?;
        let mut start = Start { oracle, point, x, gradient, output, target, on_run };
        for half in BELOW {
            found.push(start.below(half)?);
        }
        for &budget in question.budgets {
            found.push(start.over(budget)?);
        }
    }
    Ok(found)
}

/// Where steps begin.
struct Start<'a, 'b> {
    oracle: &'a mut Oracle,
    point: &'a Point,
    x: Array4<f32>,
    gradient: Array4<f32>,
    output: Array4<f32>,
    target: Array4<f32>,
    on_run: &'a mut OnStep<'b>,
}

impl Start<'_, '_> {
    /// A central difference over 2 `half`.
    fn below(&mut self, half: f32) -> Result<Reach, AttackError> {
        let (up, down) = (self.moved(half), self.moved(-half));
        let view = View::of(self.oracle.objective(), &self.output, &self.target);
        let [high, low] = [&up, &down].map(|at| self.oracle.forward(at.view()));
        let achieved = view.value(&high?) - view.value(&low?);
        (self.on_run)()?;
        Ok(self.row(2.0 * half, &(up - down), achieved, true))
    }

    /// A step of a whole budget.
    fn over(&mut self, budget: f32) -> Result<Reach, AttackError> {
        let moved = self.moved(budget);
        let output = self.oracle.forward(moved.view())?;
        (self.on_run)()?;
        let [from, to] = [&self.output, &output]
            .map(|output| self.oracle.measured(served(output).view(), served(&self.target).view())[0]);
        Ok(self.row(budget, &(moved - &self.x), to - from, false))
    }

    /// The point so far along the gradient's sign, within [0, 1].
    fn moved(&self, by: f32) -> Array4<f32> {
        Zip::from(&self.x).and(&self.gradient).map_collect(|&x, &g| {
            let sign = if g == 0.0 { 0.0 } else { g.signum() };
            (x + by * sign).clamp(0.0, 1.0)
        })
    }

    fn row(&self, length: f32, step: &Array4<f32>, achieved: f64, below_a_level: bool) -> Reach {
        let zeros = self.gradient.iter().filter(|value| **value == 0.0).count();
        Reach {
            image: self.point.name.clone(),
            budget: f64::from(length) * 255.0,
            promised: dot(&self.gradient, step),
            achieved,
            below_a_level,
            synthetic: self.point.synthetic,
            zero_share: zeros as f64 / self.gradient.len().max(1) as f64,
        }
    }
}

/// The output as it is served.
fn served(output: &Array4<f32>) -> Array4<f32> {
    output.mapv(|value| value.clamp(0.0, 1.0))
}

/// What is wrong with the reach of a gradient, if anything. Within a level a quantised network, whose gradient
/// passes straight through, does nothing or too much; what it does over budgets is asked of it as of any.
pub fn problem(reach: &[Reach], straight_through: bool) -> Option<String> {
    if straight_through {
        let over: Vec<Reach> = reach.iter().filter(|one| !one.below_a_level).cloned().collect();
        return far_off(&over).or_else(|| overstated(&over));
    }
    far_off(reach).or_else(|| short_lived(reach)).or_else(|| overstated(reach))
}

/// The step that is farthest from its promise, where that is farther than any honest network's.
fn far_off(reach: &[Reach]) -> Option<String> {
    // A NaN and a gradient of zeros are as far off as can be. A rise below zero is a step too long.
    let off = |one: &Reach| match one.promised / one.achieved {
        _ if one.zero_share > MOST_ZEROS => f64::INFINITY,
        ratio if ratio >= 0.0 => (ratio / MOST).max(LEAST / ratio),
        ratio if ratio < 0.0 => one.promised.abs() / one.promised.max(MOST * one.achieved.abs()),
        _ => f64::INFINITY,
    };
    let bad: Vec<&Reach> = reach.iter().filter(|one| off(one) > 1.0).collect();
    let worst = bad.iter().max_by(|a, b| off(a).total_cmp(&off(b)))?;
    let Reach { image, budget, promised, achieved, .. } = worst;
    Some(format!(
        "a step of {budget:.3}/255 along its sign promises a rise of {promised:.3e} and brings {achieved:.3e} \
         ({image}; {} of {} such steps)",
        bad.len(),
        reach.len()
    ))
}

/// A slope that does not last within a level of 8 bits: at most of the images, or one that turns around anywhere.
fn short_lived(reach: &[Reach]) -> Option<String> {
    let within = reach.iter().filter(|one| one.below_a_level);
    let shortest = within.clone().map(|one| one.budget).fold(f64::INFINITY, f64::min);
    let steps = within.clone().filter(|one| one.budget == shortest);
    // Over a whole level, images without contrast are left to honest networks.
    let turning = within.filter(|one| one.budget == shortest || !one.synthetic);
    let least = turning.map(kept).min_by(f64::total_cmp)?;
    let median = median(steps)?;
    (median < 1.0 / MOST_BELOW || least < -MOST_FALL).then(|| {
        format!(
            "within {shortest:.2}/255, less than images are rounded by, {:.0}% of the rise that it promises come \
             (median of the images; {:.0}% at least): the slope is that of ripples which no image of 8 bits shows",
            100.0 * median,
            100.0 * least
        )
    })
}

/// A slope that most of a budget does not keep, at most of the images.
fn overstated(reach: &[Reach]) -> Option<String> {
    let median = median(reach.iter().filter(|one| !one.below_a_level))?;
    (median < 1.0 / MOST_MEDIAN).then(|| {
        format!(
            "over whole budgets {:.1}% of the rise that it promises are served (median of the images): what it climbs is \
             not in the picture",
            100.0 * median
        )
    })
}

/// The share of a promise that is kept.
fn kept(step: &Reach) -> f64 {
    step.achieved / step.promised
}

/// The median share that is kept at images, not at what was made of them.
fn median<'a>(steps: impl Iterator<Item = &'a Reach>) -> Option<f64> {
    let mut kept: Vec<f64> = steps.filter(|one| !one.synthetic).map(kept).collect();
    kept.sort_by(f64::total_cmp);
    kept.get(kept.len() / 2).copied()
}
