//! How long an audit will take, and what is left out where that is too long.
//!
//! Estimates go by the gradient checks' runs. Deliberately absent: clocks while attacks run; an audit looks
//! at its deadline between two groups of images.

use super::context::Context;
use super::index::{Crafter, ImageIndex, RuntimeIndex};
use super::measure::{attack, cells, certificate, clever, minimal_budget};
use super::plan::{Craft, Settings};
use super::watch::Planned;

/// Fits the audits of all models into the time there is, and gives what was left out, in words.
pub fn schedule(settings: &Settings, contexts: &mut [Context<'_>]) -> Vec<String> {
    let mut left_out = Vec::new();
    contexts.iter_mut().for_each(|context| craft_on(context, settings.craft));
    let Some(limit) = settings.time_limit.map(|limit| limit.as_secs_f64()) else { return left_out };
    let too_long = |contexts: &[Context<'_>]| work(contexts).seconds.filter(|seconds| *seconds > limit);
    let runtimes = contexts.first().map_or(0, |context| context.runtimes.len());
    if too_long(contexts).is_some() && settings.craft == Craft::All && runtimes > 1 {
        contexts.iter_mut().for_each(craft_on_the_fastest);
        left_out.push("attacks were crafted on the fastest runtime only, to keep --time-limit".to_owned());
    }
    left_out.extend(leave_out_members(settings, contexts, &too_long));
    if let Some(seconds) = too_long(contexts) {
        let all = most_images(contexts);
        let kept = ((all as f64 * limit / seconds) as usize).max(1);
        contexts.iter_mut().for_each(|context| context.images.truncate(kept));
        left_out.push(format!("only the first {kept} of {all} images were attacked, to keep --time-limit"));
    }
    left_out
}

/// Leaves out members of ensembles one by one, those first that cost the least strength, until there is time for the
/// others; gives what was left out.
fn leave_out_members(
    settings: &Settings,
    contexts: &mut [Context<'_>],
    too_long: &dyn Fn(&[Context<'_>]) -> Option<f64>,
) -> Option<String> {
    let ensemble = settings.attacks.iter().find(|attack| !attack.dispensable().is_empty())?;
    let members = ensemble.dispensable();
    let mut left_out = 0;
    while left_out < members.len() && too_long(contexts).is_some() {
        left_out += 1;
        contexts.iter_mut().for_each(|context| context.strength.left_out = left_out);
    }
    let names = members[..left_out].join(", ");
    (left_out > 0).then(|| format!("{} ran without {names}, to keep --time-limit", ensemble.name()))
}

/// The plan as it stands.
pub fn planned(settings: &Settings, contexts: &[Context<'_>]) -> Planned {
    let Work { steps, cached, seconds } = work(contexts);
    let mut crafters: Vec<String> = Vec::new();
    for context in contexts {
        for name in context.crafters.iter().map(|&crafter| context.runtime(crafter).name()) {
            if !crafters.contains(&name) {
                crafters.push(name);
            }
        }
    }
    let judges = contexts.first().map_or(&[][..], |context| &context.runtimes).iter();
    let judges: Vec<String> = judges.map(|runtime| runtime.name()).collect();
    let attacks: Vec<&str> = settings.attacks.iter().map(|attack| attack.name()).collect();
    let behind: Vec<String> = settings.preprocess.iter().map(ToString::to_string).collect();
    let behind =
        if behind.is_empty() { String::new() } else { format!(" bare and behind {}", behind.join(", ")) };
    let words = format!(
        "{}{behind}, {}, {} by {}; crafted on {}, judged on {}: {}",
        count(contexts.len() / (1 + settings.preprocess.len()), "model"),
        count(most_images(contexts), "image"),
        count(settings.budgets.len(), "budget"),
        attacks.join(", "),
        crafters.join(", "),
        judges.join(", "),
        steps_in_words(steps, cached),
    );
    Planned { steps, seconds: seconds.filter(|_| steps > 0), words }
}

/// Seconds of all attacks, where they are known.
pub fn seconds(contexts: &[Context<'_>]) -> Option<f64> {
    work(contexts).seconds
}

/// Seconds of attacks on every image, over all models, where they are known.
pub fn seconds_by_image(contexts: &[Context<'_>]) -> Option<Vec<f64>> {
    let on_image = |place: usize| {
        let holding = contexts.iter().filter(|context| place < context.images.len());
        holding.map(|context| work_on_image(context, ImageIndex(place))).fold(Work::NONE, Work::and).seconds
    };
    (0..most_images(contexts)).map(on_image).collect()
}

fn steps_in_words(steps: u64, cached: u64) -> String {
    match (steps, cached) {
        (steps, 0) => format!("{} steps", grouped(steps)),
        (0, cached) => format!("all {} steps cached", grouped(cached)),
        (steps, cached) => format!("{} steps ({} more cached)", grouped(steps), grouped(cached)),
    }
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

fn most_images(contexts: &[Context<'_>]) -> usize {
    contexts.iter().map(|context| context.images.len()).max().unwrap_or(0)
}

/// Leaves crafting to some runtimes.
fn craft_on(context: &mut Context<'_>, craft: Craft) {
    match craft {
        Craft::All => {}
        Craft::Fastest => craft_on_the_fastest(context),
        Craft::On(kind) => {
            let mut crafters = std::mem::take(&mut context.crafters);
            crafters.retain(|&crafter| context.runtime(crafter).oracle.kind() == kind);
            context.crafters = crafters;
        }
    }
}

/// Leaves crafting to the fastest runtime whose gradient is trusted, where there is one.
fn craft_on_the_fastest(context: &mut Context<'_>) {
    let pace = |index: &usize| context.runtimes[*index].pace.map_or(f64::INFINITY, |pace| pace.gradient);
    let trusted = (0..context.runtimes.len()).filter(|&index| context.runtimes[index].is_trusted());
    let fastest = trusted.min_by(|a, b| pace(a).total_cmp(&pace(b)));
    context.crafters = vec![Crafter(RuntimeIndex(fastest.unwrap_or(0)))];
}

/// Steps that are still to be done, and seconds that they will take where that is known.
#[derive(Clone, Copy)]
struct Work {
    steps: u64,
    /// Steps whose results are cached.
    cached: u64,
    seconds: Option<f64>,
}

impl Work {
    const NONE: Self = Self { steps: 0, cached: 0, seconds: Some(0.0) };

    fn and(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            cached: self.cached + other.cached,
            seconds: self.seconds.zip(other.seconds).map(|(ours, theirs)| ours + theirs),
        }
    }

    /// Steps that take so many seconds each.
    fn timed(each: Option<f64>, steps: u64, cached: bool) -> Self {
        if cached {
            return Self { cached: steps, ..Self::NONE };
        }
        Self { steps, cached: 0, seconds: each.map(|each| each * steps as f64) }
    }
}

fn work(contexts: &[Context<'_>]) -> Work {
    contexts.iter().map(work_on_model).fold(Work::NONE, Work::and)
}

fn work_on_model(context: &Context<'_>) -> Work {
    let images = context.image_indices().map(|image| work_on_image(context, image));
    images.fold(Work::NONE, Work::and).and(universal_work(context))
}

fn work_on_image(context: &Context<'_>, image: ImageIndex) -> Work {
    let (settings, store) = (context.settings, context.store);
    let mut parts = Vec::new();
    for cell in cells(context) {
        let steps = cell.attack.steps(&context.strength);
        let cached = store.has(&attack::key(context, image, cell));
        parts.push(part(context, cell.crafter, cell.attack.needs_gradient(), steps, cached));
    }
    for (&crafter, cost) in context.crafters.iter().zip(std::iter::repeat(settings.cost)) {
        let Some(cost) = cost else { continue };
        let attack = minimal_budget::budgeted_attack(context, crafter);
        let steps = minimal_budget::TRIES * attack.steps(&context.strength);
        let cached = store.has(&minimal_budget::key(context, image, crafter, cost));
        parts.push(part(context, crafter, attack.needs_gradient(), steps, cached));
    }
    if let Some(smoothing) = settings.certify {
        for judge in context.judges() {
            let cached = store.has(&certificate::key(context, image, judge, smoothing));
            let each = context.runtime(judge).pace.map(|pace| pace.forward);
            parts.push(Work::timed(each, smoothing.samples as u64, cached));
        }
    }
    if let Some(samples) = settings.clever {
        for crafter in clever::samplers(context) {
            let cached = store.has(&clever::key(context, image, crafter, samples));
            parts.push(part(context, crafter, true, samples as u64, cached));
        }
    }
    parts.into_iter().fold(Work::NONE, Work::and)
}

/// Steps of one universal perturbation per budget, each a step on every image that it is found with.
fn universal_work(context: &Context<'_>) -> Work {
    let settings = context.settings;
    if !settings.universal {
        return Work::NONE;
    }
    let images = context.images.len().div_ceil(2);
    let steps = (settings.budgets.len() * settings.strength.iterations * images) as u64;
    let crafters = context.trusted_crafters().into_iter();
    crafters.map(|crafter| part(context, crafter, true, steps, false)).fold(Work::NONE, Work::and)
}

/// Steps of an attack, behind a pre-processing where there is one.
fn part(context: &Context<'_>, crafter: Crafter, gradient: bool, steps: u64, cached: bool) -> Work {
    let runtime = context.runtime(crafter);
    let draws = runtime.oracle.draws() as f64;
    let each = runtime.pace.map(|pace| {
        let each = if gradient { pace.gradient } else { pace.forward };
        // Behind a random pre-processing every draw is asked, and S(x0) at it.
        if draws == 1.0 { each } else { draws * (each + pace.forward) }
    });
    Work::timed(each, steps, cached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_said_with_what_is_cached() {
        assert_eq!(steps_in_words(999, 0), "999 steps");
        assert_eq!(steps_in_words(0, 1080), "all 1,080 steps cached");
        assert_eq!(steps_in_words(1_000_000, 20), "1,000,000 steps (20 more cached)");
    }
}
