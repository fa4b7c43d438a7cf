//! How long an audit will take, and what is left out where that is too long.
//!
//! Estimates go by the self-tests' runs. Deliberately absent: clocks while attacks run; an audit looks at
//! its deadline between two images.

use super::single::Audit;
use super::{Craft, Plan};

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
    let words = format!(
        "{}, {}, {} by {}; crafted on {}, judged on {}: {steps} steps",
        count(audits.len(), "model"),
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
