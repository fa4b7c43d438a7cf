//! `temper audit`: flags to a plan, a plan to a report and a table.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::interrupt::on_interrupt;
use super::output::{detail, is_json, note, say, say_json};
use super::preset::Preset;
use super::progress::Bar;
use super::question::Question;
use super::report::{PICTURES, write_to};
use super::{CliError, after_help};
use crate::attack::Interrupted;
use crate::audit::{self, AuditError, Plan, Planned, Watch};
use crate::files::OutputFolder;
use crate::report::{Code, Gate, LeastSrPsnr, Report, RuntimeInfo, Shard, Timing, table};
use crate::runtime::Kind;

const EXAMPLES: &str = "\
temper audit model.onnx --images photos/ --out audit/
temper audit a.onnx b.onnx --truth hr/ --budget 4 --min-sr-psnr 30@4 --out audit/
temper audit model.onnx --images photos/ --runtime ort,tract,torch --out audit/";

/// Attacks models inside the runtimes that will serve them, and reports how robust they are.
///
/// Every image is attacked with the true gradients of every runtime and judged on every runtime.
/// Before that, each gradient must pass a check. Printed: the verdicts, and a table of PSNRs in dB. Written to
/// --out: report.html, a page to send on, and report.json, with every number and how it was taken.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(EXAMPLES))]
pub struct Args {
    #[command(flatten)]
    question: Question,
    /// Do what can be done in so many minutes: craft on the fastest runtime, then leave out members of `strongest`,
    /// those first that cost the least strength, then attack fewer images
    #[arg(long, value_name = "MINUTES", value_parser = parse_minutes, allow_negative_numbers = true, help_heading = "Time and machines")]
    time_limit: Option<Duration>,
    /// Attack one part of the images alone, as one of several jobs; `temper report merge` joins their reports
    /// to that of one run
    #[arg(long, value_name = "I/N", conflicts_with_all = ["time_limit", "universal"], help_heading = "Time and machines")]
    shard: Option<Shard>,
    /// Fail (exit code 1) where an attack leaves less than DB of SR PSNR, at one budget or at all (several,
    /// separated by commas), and on every ALARM: beside one, a number proves nothing
    #[arg(
        long,
        value_name = "DB[@BUDGET]",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Gate"
    )]
    min_sr_psnr: Vec<LeastSrPsnr>,
    /// Alarms, by their codes, that do not fail --min-sr-psnr, for those who know why
    #[arg(
        long,
        value_name = "CODE,...",
        value_delimiter = ',',
        requires = "min_sr_psnr",
        help_heading = "Gate"
    )]
    allow: Vec<Code>,
    /// Folder to write report.html, report.json and pictures to; made if it is not there
    #[arg(long, value_name = "DIR", help_heading = "What is written")]
    out: PathBuf,
    /// Folder to write pictures of every attack to, in full: the input, the attacked image as 8 bits can carry it, both
    /// outputs, and their difference times 8
    #[arg(long, value_name = "DIR", help_heading = "What is written")]
    save_images: Option<PathBuf>,
    /// Draw no pictures for report.html: nothing of the images themselves is in it then, nor in pictures in --out
    #[arg(long, help_heading = "What is written")]
    no_pictures: bool,
    /// Folder that keeps what was worked out, for the next audit that asks for it, after Ctrl-C too; can be
    /// shared, and deleted at any time [default: cache in the folder of --out]
    #[arg(long, value_name = "DIR", help_heading = "What is written")]
    cache: Option<PathBuf>,
    /// Keep nothing of what was worked out for another audit
    #[arg(long, conflicts_with = "cache", help_heading = "What is written")]
    no_cache: bool,
}

fn parse_minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    let time = minutes.and_then(|minutes| Duration::try_from_secs_f64(60.0 * minutes).ok());
    time.ok_or_else(|| format!("`{text}` is no time; give a number of minutes above 0, such as 2"))
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    args.check_thresholds()?;
    let plan = args.plan()?;
    let mut folder = OutputFolder::create(&args.out).map_err(CliError::usage)?;
    let pictures = args.save_images.as_deref().map(OutputFolder::create).transpose();
    let mut pictures = pictures.map_err(CliError::usage)?;
    let mut view = Spectator::new(on_interrupt()?);
    // The folder of the cache is made with its first entry.
    let kept = || plan.settings.cache.as_deref().is_some_and(Path::exists);
    let report = audit::run(&plan, &mut view).map_err(|error| stopped(error, kept()))?;
    drop(view);
    detail(spent(&report));
    let written = write_to(&args.out, &report, plan.settings.pictures.as_slice())?;
    folder.keep();
    pictures.iter_mut().for_each(OutputFolder::keep);
    if is_json() {
        say_json(&report.sealed())?;
    } else {
        say(format_args!("{}\n{written}", table(&report)))?;
    }
    gate(&report, &Gate { least: &args.min_sr_psnr, allowed: &args.allow })
}

impl Args {
    /// Whether a flag names this runtime.
    pub fn names(&self, kind: Kind) -> bool {
        self.question.names(kind)
    }

    fn preset(&self) -> Preset {
        self.question.preset(!self.min_sr_psnr.is_empty())
    }

    fn plan(&self) -> Result<Plan, CliError> {
        let mut plan = self.question.plan(&self.preset(), self.shard.is_some())?;
        plan.settings.shard = self.shard;
        plan.settings.time_limit = self.time_limit;
        plan.settings.cache = self.cache();
        plan.settings.save_images = self.save_images.clone();
        plan.settings.pictures = (!self.no_pictures).then(|| self.out.join(PICTURES));
        Ok(plan)
    }

    fn cache(&self) -> Option<PathBuf> {
        let own = || self.out.join("cache");
        (!self.no_cache).then(|| self.cache.clone().unwrap_or_else(own))
    }

    /// Whether every threshold names a row to come.
    fn check_thresholds(&self) -> Result<(), CliError> {
        let budgets = self.question.budgets(&self.preset())?;
        let budgets = || budgets.iter().map(|budget| budget.levels());
        match self.min_sr_psnr.iter().find(|least| !least.names_any(budgets())) {
            Some(least) => Err(CliError::usage(format!(
                "--min-sr-psnr {least} names no row: the budgets are {}",
                budgets().map(|budget| budget.to_string()).collect::<Vec<_>>().join(", ")
            ))),
            None => Ok(()),
        }
    }
}

/// Fails with what does not pass the gate.
pub fn gate(report: &Report, gate: &Gate<'_>) -> Result<(), CliError> {
    let failures = gate.failures(report);
    match failures.len() {
        0 => Ok(()),
        count => {
            let lines = failures.join("\n  ");
            let fail = if count == 1 { "line fails" } else { "lines fail" };
            Err(CliError::missed(format!("{count} {fail} --min-sr-psnr:\n  {lines}")))
        }
    }
}

/// What the command line says of an audit that ended without a report; its work is kept or not.
pub fn stopped(error: AuditError, kept: bool) -> CliError {
    match error {
        AuditError::Interrupted(_) if kept => {
            CliError::interrupted("interrupted: no report was written; the same command goes on from here")
        }
        AuditError::Interrupted(_) => CliError::interrupted("interrupted: nothing was written"),
        error if error.is_runtime_failure() => CliError::failed(error),
        error => CliError::usage(error),
    }
}

/// Where the time went, and the libraries that it went into.
fn spent(report: &Report) -> String {
    let Timing { seconds, inside_runtimes, gradient_steps, forward_runs, peak_memory, .. } = report.timing;
    let library = |runtime: &RuntimeInfo| format!("{} {}", runtime.name, runtime.version);
    let libraries: Vec<String> = report.runtimes.iter().map(library).collect();
    let memory =
        peak_memory.map_or(String::new(), |bytes| format!("; at most {} MiB of memory", bytes >> 20));
    format!(
        "{}: {seconds:.1} s, {inside_runtimes:.1} of them inside the runtimes; {gradient_steps} gradient steps, \
         {forward_runs} forward runs{memory}",
        libraries.join(", ")
    )
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    match seconds.ceil() as u64 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// What is seen of an audit, and the ear for Ctrl-C.
pub struct Spectator {
    bar: Bar,
    raised: Arc<AtomicBool>,
}

impl Spectator {
    /// One that a flag stops.
    pub fn new(raised: Arc<AtomicBool>) -> Self {
        Self { bar: Bar::spinner(), raised }
    }

    fn unless_interrupted(&self) -> Result<(), Interrupted> {
        if self.raised.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
    }
}

impl Watch for Spectator {
    fn doing(&mut self, what: &str) -> Result<(), Interrupted> {
        self.bar.set_message(what);
        self.unless_interrupted()
    }

    fn planned(&mut self, planned: &Planned) {
        let time = planned.seconds.map_or(String::new(), |seconds| format!(", about {}", duration(seconds)));
        note(format_args!("Plan: {}{time}", planned.words));
        self.bar = Bar::new(planned.steps, "attacking", "steps");
    }

    fn stepped(&mut self) -> Result<(), Interrupted> {
        self.bar.inc(1);
        self.unless_interrupted()
    }

    fn tested(&mut self) -> Result<(), Interrupted> {
        self.unless_interrupted()
    }
}
