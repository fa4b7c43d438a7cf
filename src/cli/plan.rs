//! `temper plan`: how long an audit would take, on one machine or shared out over several.

use serde::Serialize;

use super::audit::{Spectator, duration, stopped};
use super::interrupt::on_interrupt;
use super::output::{is_json, say, say_json};
use super::preset::{Asked, Name, Preset};
use super::question::Question;
use super::{CliError, after_help};
use crate::audit::{self, Estimate};
use crate::runtime::Kind;

const EXAMPLES: &str = "\
temper plan model.onnx --images photos/
temper plan model.onnx --images photos/ --preset standard --shards 4,16";

/// Says what an audit would do and how long it would take, without attacking.
///
/// Takes the flags of `temper audit`. Without --preset and flags on attacks every preset is named. The times are those
/// of this machine: the gradients are checked on every runtime and timed, which is done here as it is in the audit. Of
/// jobs that share the images out (--shards) the longest counts, with the checks that each repeats.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(EXAMPLES))]
pub struct Args {
    #[command(flatten)]
    question: Question,
    /// Over how many jobs the images are shared out, each on a machine like this one; several, separated by commas
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "universal", allow_negative_numbers = true, help_heading = "Time and machines")]
    shards: Vec<u32>,
}

/// A preset or what flags ask for, with its time.
#[derive(Serialize)]
struct Planned {
    /// `quick`, `standard`, `paper`, or `as asked`.
    name: &'static str,
    /// Models, images, budgets, attacks, runtimes and steps, in words.
    words: String,
    /// Steps of attacks.
    steps: u64,
    /// What it leaves out.
    left_out: Vec<String>,
    /// How many jobs, and the seconds that the longest takes; null where a runtime gave no time.
    jobs: Vec<Jobs>,
}

#[derive(Serialize)]
struct Jobs {
    jobs: usize,
    seconds: Option<f64>,
    /// Seconds of these that every job spends on models, images and gradient checks before it attacks.
    seconds_before: f64,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let raised = on_interrupt()?;
    let mut all = Vec::new();
    for (name, preset) in args.presets() {
        let plan = args.question.plan(&preset, !args.shards.is_empty())?;
        let mut view = Spectator::new(std::sync::Arc::clone(&raised));
        let estimate = audit::estimate(&plan, &mut view).map_err(|error| stopped(error, false))?;
        all.push(Planned::new(name, plan.settings.left_out, &estimate, &args.shards));
    }
    if is_json() {
        return say_json(&all);
    }
    say(all.iter().map(Planned::text).collect::<Vec<_>>().join("\n"))
}

impl Args {
    /// Whether a flag names this runtime.
    pub fn names(&self, kind: Kind) -> bool {
        self.question.names(kind)
    }

    /// What is planned: the preset that is named, what flags ask for, or else all presets.
    fn presets(&self) -> Vec<(&'static str, Preset)> {
        let of = |name: Name| (name.word(), Preset::of(Some(name), Asked::default()));
        let asked = self.question.preset(false);
        match self.question.named_preset() {
            Some(name) => vec![of(name)],
            None if asked.left_out.is_none() => vec![("as asked", asked)],
            None => Name::ALL.map(of).to_vec(),
        }
    }
}

impl Planned {
    fn new(name: &'static str, left_out: Vec<String>, estimate: &Estimate, shards: &[u32]) -> Self {
        let counts =
            [1].into_iter().chain(shards.iter().map(|&count| count as usize).filter(|&count| count > 1));
        let jobs = counts.map(|jobs| Jobs {
            jobs,
            seconds: estimate.seconds(jobs),
            seconds_before: estimate.before,
        });
        let (words, steps) = (estimate.planned.words.clone(), estimate.planned.steps);
        Self { name, words, steps, left_out, jobs: jobs.collect() }
    }

    fn text(&self) -> String {
        let Self { name, words, left_out, jobs, .. } = self;
        let mut lines = vec![format!("{name}: {words}")];
        lines.extend(jobs.iter().map(|it| {
            let job = if it.jobs == 1 { "job " } else { "jobs" };
            let time = it.seconds.map_or("no time known".to_owned(), |seconds| {
                format!(
                    "about {}, of which {} before the first attack",
                    duration(seconds),
                    duration(it.seconds_before)
                )
            });
            format!("  {:>4} {job}  {time}", it.jobs)
        }));
        lines.extend(left_out.iter().map(|what| format!("Left out: {what}")));
        lines.join("\n")
    }
}
