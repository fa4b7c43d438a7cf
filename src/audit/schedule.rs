//! How long an audit will take, and what is left out where that is too long.
//!
//! Estimates go by the self-tests' runs. Deliberately absent: clocks while attacks run; an audit looks at
//! its deadline between two images.

use super::single::Audit;
use super::{Craft, Plan};
use crate::attack::Attack;
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
    if plan.craft == Craft::Fastest {
        audits.iter_mut().for_each(Audit::craft_on_the_fastest);
    }
    let Some(limit) = plan.time_limit.map(|limit| limit.as_secs_f64()) else { return left_out };
    let too_long = |audits: &[Audit<'_>]| seconds(audits).filter(|seconds| *seconds > limit);
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
    let steps = audits.iter().map(Audit::steps).sum();
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
    let behind: Vec<String> = plan.preprocess.iter().map(ToString::to_string).collect();
    let behind =
        if behind.is_empty() { String::new() } else { format!(" bare and behind {}", names(&behind)) };
    let words = format!(
        "{}{behind}, {}, {} by {}; crafted on {}, judged on {}: {steps} steps",
        count(plan.models.len(), "model"),
        count(images, "image"),
        count(plan.budgets.len(), "budget"),
        names(&attacks),
        names(&crafters),
        names(&judges),
    );
    Planned { steps, seconds: seconds(audits), words }
}

fn seconds(audits: &[Audit<'_>]) -> Option<f64> {
    audits.iter().map(Audit::seconds).sum()
}

/// How fast a runtime is, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) forward: f64,
    pub(super) gradient: f64,
}

impl Pace {
    /// From what was done between two readings: a gradient step does the work of two forward runs.
    pub(super) fn of(before: Effort, after: Effort) -> Self {
        let runs = (after.forwards - before.forwards) + 2 * (after.gradients - before.gradients);
        let forward = (after.inside - before.inside).as_secs_f64() / runs.max(1) as f64;
        Self { forward, gradient: 2.0 * forward }
    }
}

impl Audit<'_> {
    /// The steps of all its attacks, tries without gradients included.
    pub(super) fn steps(&self) -> u64 {
        let attacks = self.crafters.iter().flat_map(|&index| self.attacks(index));
        let of_photo = attacks.map(|attack| {
            let budgets = if attack.is_minimal() { 1 } else { self.plan.budgets.len() };
            attack.steps(&self.plan.settings) * budgets as u64
        });
        let clever = self.plan.clever.map_or(0, |samples| samples * self.samplers().len()) as u64;
        let certified = self.plan.certify.map_or(0, |with| with.samples * self.oracles.len()) as u64;
        (of_photo.sum::<u64>() + clever + certified) * self.photos.len() as u64
    }

    /// Leaves crafting to the fastest oracle whose gradient is trusted, where there is one.
    pub(super) fn craft_on_the_fastest(&mut self) {
        let trusted = |index: &usize| self.trust.get(*index).is_some_and(|trust| trust.trusted);
        let pace = |index: &usize| self.paces.get(*index).map_or(f64::INFINITY, |pace| pace.gradient);
        let fastest = (0..self.oracles.len()).filter(trusted).min_by(|a, b| pace(a).total_cmp(&pace(b)));
        self.crafters = vec![fastest.unwrap_or(0)];
    }

    /// The runtimes that craft.
    pub(super) fn crafters(&self) -> impl Iterator<Item = Kind> {
        self.crafters.iter().map(|&index| self.oracles[index].kind())
    }

    /// Seconds that its attacks will take, going by the self-tests; `None` where there were none.
    pub(super) fn seconds(&self) -> Option<f64> {
        let settings = &self.plan.settings;
        let draws = self.oracles.first().map_or(1, Oracle::draws) as f64;
        let of_crafter = |&index: &usize| -> Option<f64> {
            let pace = self.paces.get(index)?;
            let of = |attack: &Attack| {
                let each = if attack.needs_gradient() { pace.gradient } else { pace.forward };
                // Behind a random pre-processing every draw is asked, and S(x0) at it.
                let each = if draws == 1.0 { each } else { draws * (each + pace.forward) };
                let budgets = if attack.is_minimal() { 1 } else { self.plan.budgets.len() };
                (attack.steps(settings) as usize * budgets) as f64 * each
            };
            Some(self.attacks(index).iter().map(of).sum())
        };
        let samples = self.plan.clever.unwrap_or(0) as f64;
        let clever: f64 = self.samplers().iter().map(|&index| samples * self.paces[index].gradient).sum();
        let crafting: f64 = self.crafters.iter().map(of_crafter).sum::<Option<f64>>()?;
        let noisy = self.plan.certify.map_or(0.0, |with| with.samples as f64);
        let certified: f64 = self.paces.iter().map(|pace| noisy * pace.forward).sum();
        Some((crafting + clever + certified) * self.photos.len() as f64)
    }

    /// Keeps the first images alone.
    pub(super) fn keep_photos(&mut self, count: usize) {
        self.photos = &self.photos[..count.min(self.photos.len())];
    }

    /// What its model is called.
    pub(super) fn name(&self) -> &str {
        &self.subject.name
    }

    /// How many images it has.
    pub(super) fn photo_count(&self) -> usize {
        self.photos.len()
    }
}
