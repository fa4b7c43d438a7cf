//! How long an audit will take, and what is left out where that is too long.
//!
//! Estimates go by the self-tests' runs. Deliberately absent: clocks while attacks run; an audit looks at
//! its deadline between two images.

use serde::{Deserialize, Serialize};

use crate::attack::Budget;
use crate::audit::context::Audit;
use crate::audit::{Craft, Plan, measure::minimal_budget};
use crate::oracle::{Effort, Oracle};
use crate::runtime::Kind;

/// What will be done, for whoever watches.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Gradient steps, and tries of attacks without gradients.
    pub steps: u64,
    /// Seconds that they will take; `None` where nothing was measured.
    pub seconds: Option<f64>,
    /// In words.
    pub words: String,
}

/// Fits audits into the time there is, and gives what was left out of the plan, in words.
pub fn schedule(plan: &Plan, audits: &mut [Audit<'_>]) -> Vec<String> {
    let mut left_out = Vec::new();
    audits.iter_mut().for_each(|audit| audit.craft_on(plan.craft));
    let Some(limit) = plan.time_limit.map(|limit| limit.as_secs_f64()) else { return left_out };
    let too_long = |audits: &[Audit<'_>]| work(audits).seconds.filter(|seconds| *seconds > limit);
    if too_long(audits).is_some() && plan.craft == Craft::All && plan.runtimes.len() > 1 {
        audits.iter_mut().for_each(Audit::craft_on_the_fastest);
        left_out.push("attacks were crafted on the fastest runtime only, to keep --time-limit".to_owned());
    }
    if let Some(seconds) = too_long(audits) {
        let all = audits.iter().map(Audit::photo_count).max().unwrap_or(0);
        let kept = ((all as f64 * limit / seconds) as usize).max(1);
        audits.iter_mut().for_each(|audit| audit.keep_photos(kept));
        left_out.push(format!("only the first {kept} of {all} images were attacked, to keep --time-limit"));
    }
    left_out
}

/// The plan as it stands.
pub fn planned(plan: &Plan, audits: &[Audit<'_>]) -> Planned {
    let work = work(audits);
    let names = |names: &[String]| names.join(", ");
    let attacks: Vec<String> = plan.attacks.iter().map(|attack| attack.name().to_owned()).collect();
    let mut crafters: Vec<String> = Vec::new();
    for kind in audits.iter().flat_map(Audit::crafters).map(|kind| kind.to_string()) {
        if !crafters.contains(&kind) {
            crafters.push(kind);
        }
    }
    let judges: Vec<String> = plan.runtimes.iter().map(ToString::to_string).collect();
    let images = audits.iter().map(Audit::photo_count).max().unwrap_or(0);
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let kept = match work.kept {
        0 => String::new(),
        kept => format!(" ({kept} more were done before)"),
    };
    let behind: Vec<String> = plan.preprocess.iter().map(ToString::to_string).collect();
    let behind =
        if behind.is_empty() { String::new() } else { format!(" bare and behind {}", names(&behind)) };
    let words = format!(
        "{}{behind}, {}, {} by {}; crafted on {}, judged on {}: {} steps{kept}",
        count(plan.models.len(), "model"),
        count(images, "image"),
        count(plan.budgets.len(), "budget"),
        names(&attacks),
        names(&crafters),
        names(&judges),
        work.steps,
    );
    Planned { steps: work.steps, seconds: work.seconds, words }
}

fn work(audits: &[Audit<'_>]) -> Work {
    audits.iter().map(Audit::work).fold(Work { seconds: Some(0.0), ..Work::default() }, Work::and)
}

/// How fast a runtime is, in seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    pub forward: f64,
    pub gradient: f64,
}

impl Pace {
    /// From what was done between two readings: a gradient step does the work of two forward runs.
    pub fn of(before: Effort, after: Effort) -> Self {
        let runs = (after.forwards - before.forwards) + 2 * (after.gradients - before.gradients);
        let forward = (after.inside - before.inside).as_secs_f64() / runs.max(1) as f64;
        Self { forward, gradient: 2.0 * forward }
    }
}

/// Steps that are still to be done, and seconds that they will take where that is known.
#[derive(Clone, Copy, Default)]
struct Work {
    steps: u64,
    /// What was worked out before and need not be done again.
    kept: u64,
    seconds: Option<f64>,
}

impl Work {
    fn and(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            kept: self.kept + other.kept,
            seconds: self.seconds.zip(other.seconds).map(|(ours, theirs)| ours + theirs),
        }
    }
}

/// Steps that take so many seconds each.
fn timed(each: Option<f64>, steps: u64, kept: bool) -> Work {
    if kept {
        return Work { kept: steps, seconds: Some(0.0), ..Work::default() };
    }
    Work { steps, kept: 0, seconds: each.map(|each| each * steps as f64) }
}

impl Audit<'_> {
    /// What there is to be done.
    fn work(&self) -> Work {
        let nothing = Work { seconds: Some(0.0), ..Work::default() };
        let scenes = (0..self.scenes.len()).map(|scene| self.work_on(scene));
        scenes.fold(nothing, Work::and).and(self.universal_work())
    }

    fn work_on(&self, scene: usize) -> Work {
        let mut parts = Vec::new();
        for &crafter in &self.crafters {
            for attack in self.attacks(crafter) {
                let steps = attack.steps(&self.plan.settings);
                let minimal = [Budget::default()];
                let budgets = if attack.is_minimal() { &minimal[..] } else { &self.plan.budgets };
                for &budget in budgets {
                    let kept = self.store.has(&self.key(scene, (attack, budget), crafter));
                    parts.push(self.part(crafter, attack.needs_gradient(), steps, kept));
                }
            }
            if self.plan.cost.is_some() {
                let attack = self.cheapest(crafter);
                let steps = minimal_budget::TRIES * attack.steps(&self.plan.settings);
                let kept = self.store.has(&self.smallest_key(scene, crafter));
                parts.push(self.part(crafter, attack.needs_gradient(), steps, kept));
            }
        }
        if let Some(smoothing) = self.plan.certify {
            for index in 0..self.oracles.len() {
                let kept = self.store.has(&self.certificate_key(scene, index, smoothing));
                let each = self.paces.get(index).map(|pace| pace.forward);
                parts.push(timed(each, smoothing.samples as u64, kept));
            }
        }
        for (index, samples) in self.samplers().into_iter().zip(std::iter::repeat(self.plan.clever)) {
            let Some(samples) = samples else { continue };
            let kept = self.store.has(&self.clever_key(scene, index, samples));
            parts.push(self.part(index, true, samples as u64, kept));
        }
        parts.into_iter().fold(Work { seconds: Some(0.0), ..Work::default() }, Work::and)
    }

    /// Steps of one universal perturbation per budget, each a step on every image that it is found with.
    fn universal_work(&self) -> Work {
        let images = if self.plan.universal { self.scenes.len().div_ceil(2) } else { 0 };
        let steps = (self.plan.budgets.len() * self.plan.settings.iterations * images) as u64;
        let crafters = self.universal_crafters().into_iter();
        let parts = crafters.map(|crafter| self.part(crafter, true, steps, false));
        parts.fold(Work { seconds: Some(0.0), ..Work::default() }, Work::and)
    }

    /// Steps of an attack, behind a pre-processing where there is one.
    fn part(&self, crafter: usize, gradient: bool, steps: u64, kept: bool) -> Work {
        let draws = self.oracles.first().map_or(1, Oracle::draws) as f64;
        let each = self.paces.get(crafter).map(|pace| {
            let each = if gradient { pace.gradient } else { pace.forward };
            // Behind a random pre-processing every draw is asked, and S(x0) at it.
            if draws == 1.0 { each } else { draws * (each + pace.forward) }
        });
        timed(each, steps, kept)
    }

    /// Leaves crafting to some runtimes.
    fn craft_on(&mut self, craft: Craft) {
        match craft {
            Craft::All => {}
            Craft::Fastest => self.craft_on_the_fastest(),
            Craft::On(kind) => self.crafters.retain(|&index| self.oracles[index].kind() == kind),
        }
    }

    /// Leaves crafting to the fastest oracle whose gradient is trusted, where there is one.
    fn craft_on_the_fastest(&mut self) {
        let trusted = |index: &usize| self.checks.get(*index).is_some_and(|check| check.trusted);
        let pace = |index: &usize| self.paces.get(*index).map_or(f64::INFINITY, |pace| pace.gradient);
        let fastest = (0..self.oracles.len()).filter(trusted).min_by(|a, b| pace(a).total_cmp(&pace(b)));
        self.crafters = vec![fastest.unwrap_or(0)];
    }

    /// The runtimes that craft.
    fn crafters(&self) -> impl Iterator<Item = Kind> {
        self.crafters.iter().map(|&index| self.oracles[index].kind())
    }

    /// Keeps the first images alone.
    fn keep_photos(&mut self, count: usize) {
        self.scenes.truncate(count);
    }

    /// What its model is called.
    pub fn name(&self) -> &str {
        &self.subject.name
    }

    /// How many images it has.
    fn photo_count(&self) -> usize {
        self.scenes.len()
    }
}
