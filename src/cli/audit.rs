//! `temper audit`: flags to a plan, a plan to a report and a table.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::attacks::{AttackArgs, parse_decibels};
use super::defences::DefenceArgs;
use super::interface::InterfaceArgs;
use super::interrupt::on_interrupt;
use super::output::{detail, is_json, note, say, say_json};
use super::preset::{self, Preset};
use super::progress::Bar;
use super::report::write_to;
use super::{CliError, after_help};
use crate::attack::{Budget, Interrupted, parse_budgets};
use crate::audit::{self, AuditError, Craft, ImageSource, Plan, Planned, Settings, Watch};
use crate::files::OutputFolder;
use crate::report::{Code, Gate, LeastSrPsnr, Report, RuntimeInfo, Shard, Timing, table};
use crate::runtime::{self, Kind, Runtime, RuntimeError};

const EXAMPLES: &str = "\
temper audit model.onnx --images photos/ --out audit/
temper audit a.onnx b.onnx --truth hr/ --budget 4 --min-sr-psnr 30@4 --out audit/
temper audit model.onnx --images photos/ --runtime ort,tract,torch --out audit/";

/// Attacks models inside the runtimes that will serve them, and reports how robust they are.
///
/// Every image is attacked with the true gradients of every runtime and judged on every runtime.
/// Before that, each gradient must pass a self-test. Printed: a table of PSNRs in dB. Written to
/// --out: report.json, with every number and how it was taken.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(EXAMPLES))]
pub struct Args {
    /// Super-resolution models to audit; how each is fed is found by probing
    #[arg(required = true, value_name = "MODEL.onnx")]
    models: Vec<PathBuf>,
    /// Folder of LR images to attack (PNG, JPEG, BMP, TIFF, WebP, PNM); without it they are made from
    /// --truth by bicubic
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Folder of HR images: the ground truth for clean PSNR and SSIM, matched to --images by name
    #[arg(long, value_name = "DIR")]
    truth: Option<PathBuf>,
    /// Keep at most this many LR pixels a side of every image, from its middle [default: all]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..))]
    crop: Option<u32>,
    /// How far a pixel value may move, in 1/255 (above 0, up to 255); several, separated by commas
    /// [default: 1,4,8]
    #[arg(long, value_name = "N,N,...", value_parser = Budgets::parse, allow_hyphen_values = true)]
    budget: Option<Budgets>,
    /// What is done where flags do not say [default: standard with --min-sr-psnr, --attack, --iterations, --queries
    /// or --restarts; else quick, which is not a verdict]
    #[arg(long, value_name = "NAME")]
    preset: Option<preset::Name>,
    /// Runtimes that attacks are crafted on: all, the fastest whose gradient is trusted, or one by its name;
    /// every runtime judges [default: all]
    #[arg(long, value_name = "all|fastest|NAME", value_parser = parse_craft)]
    craft_on: Option<Craft>,
    /// Do what can be done in so many minutes: craft on the fastest runtime, then leave out members of `strongest`,
    /// those first that cost the least strength, then attack fewer images
    #[arg(long, value_name = "MINUTES", value_parser = parse_minutes, allow_negative_numbers = true)]
    time_limit: Option<Duration>,
    /// Attack one part of the images alone, as one of several jobs; `temper report merge` joins their reports
    /// to that of one run
    #[arg(long, value_name = "I/N", conflicts_with_all = ["time_limit", "universal"])]
    shard: Option<Shard>,
    /// Decides every random number: the same seed, the same report
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Runtimes to craft and judge on, with their settings: ort, ort-plain (its optimisations off), ort-cuda,
    /// tract, torch, or with settings, such as ort:opt=basic,threads=2 or torch:f64; a wrong one is answered
    /// with those there are [default: ort and tract, where they are there]
    #[arg(long, value_name = "NAME,NAME,...", value_parser = Kinds::parse)]
    runtime: Option<Kinds>,
    /// The most memory that a gradient step may need, in GiB [default: what is free]
    #[arg(long, value_name = "GIB", value_parser = Memory::parse, allow_negative_numbers = true)]
    memory: Option<Memory>,
    /// Take CLEVER as well: the largest gradient norm of so many points within 1/255 of each image
    #[arg(long, value_name = "SAMPLES", num_args = 0..=1, require_equals = true, default_missing_value = "1024", value_parser = clap::value_parser!(u32).range(1..))]
    clever: Option<u32>,
    /// Look for the smallest budget at which the first attack costs so many dB of PSNR against --truth
    #[arg(long, value_name = "DB", value_parser = parse_decibels, allow_negative_numbers = true)]
    cost: Option<f64>,
    /// Look for one perturbation for all images as well, found with every second one and judged on all
    #[arg(long)]
    universal: bool,
    /// Fail (exit code 1) where an attack leaves less than DB of SR PSNR, at one budget or at all (several,
    /// separated by commas), and on every ALARM: beside one, a number proves nothing
    #[arg(long, value_name = "DB[@BUDGET]", value_delimiter = ',', allow_hyphen_values = true)]
    min_sr_psnr: Vec<LeastSrPsnr>,
    /// Alarms, by their codes, that do not fail --min-sr-psnr, for those who know why
    #[arg(long, value_name = "CODE,...", value_delimiter = ',', requires = "min_sr_psnr")]
    allow: Vec<Code>,
    /// Folder to write report.json to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder to write pictures of every attack to: the input, the attacked image as 8 bits can carry it, both
    /// outputs, and their difference times 8
    #[arg(long, value_name = "DIR")]
    save_images: Option<PathBuf>,
    /// Folder that keeps what was worked out, for the next audit that asks for it, after Ctrl-C too; can be
    /// shared, and deleted at any time [default: cache in the folder of --out]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Keep nothing of what was worked out for another audit
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
    #[command(flatten)]
    attacks: AttackArgs,
    #[command(flatten)]
    defences: DefenceArgs,
    #[command(flatten)]
    interface: InterfaceArgs,
}

/// Budgets as one flag gives them.
#[derive(Clone, Debug)]
struct Budgets(Vec<Budget>);

impl Budgets {
    fn parse(text: &str) -> Result<Self, String> {
        parse_budgets(text).map(Self)
    }
}

/// Runtimes as one flag gives them.
#[derive(Clone, Debug)]
struct Kinds(Vec<Kind>);

impl Kinds {
    fn parse(text: &str) -> Result<Self, String> {
        Kind::parse_list(text).map(Self)
    }
}

fn parse_craft(name: &str) -> Result<Craft, String> {
    match name {
        "all" => Ok(Craft::All),
        "fastest" => Ok(Craft::Fastest),
        name => name.parse().map(Craft::On).map_err(|reason| format!("{reason}, or all, or fastest")),
    }
}

fn parse_minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    let time = minutes.and_then(|minutes| Duration::try_from_secs_f64(60.0 * minutes).ok());
    time.ok_or_else(|| format!("`{text}` is no time; give a number of minutes above 0, such as 2"))
}

/// An amount of memory in bytes.
#[derive(Clone, Copy, Debug)]
struct Memory(u64);

impl Memory {
    fn parse(text: &str) -> Result<Self, String> {
        let gibibytes =
            text.parse::<f64>().ok().filter(|gibibytes| *gibibytes > 0.0 && gibibytes.is_finite());
        let bytes = gibibytes.map(|gibibytes| (gibibytes * f64::from(1 << 30)) as u64);
        bytes
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no amount; give a number of GiB above 0, such as 8"))
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    args.check_thresholds()?;
    let plan = args.plan()?;
    let mut folder = OutputFolder::create(&args.out).map_err(CliError::usage)?;
    let pictures = args.save_images.as_deref().map(OutputFolder::create).transpose();
    let mut pictures = pictures.map_err(CliError::usage)?;
    let mut view = Spectator::new(on_interrupt()?);
    let report =
        audit::run(&plan, &mut view).map_err(|error| stopped(error, plan.settings.cache.is_some()))?;
    drop(view);
    detail(spent(&report));
    let written = write_to(&args.out, &report, args.save_images.as_deref())?;
    folder.keep();
    pictures.iter_mut().for_each(OutputFolder::keep);
    if is_json() {
        say_json(&report)?;
    } else {
        say(format_args!("{}\n{written}", table(&report)))?;
    }
    gate(&report, &Gate { least: &args.min_sr_psnr, allowed: &args.allow })
}

impl Args {
    /// Whether a flag names this runtime.
    pub fn names(&self, kind: Kind) -> bool {
        self.runtime.as_ref().is_some_and(|kinds| kinds.0.iter().any(|named| named.is_a(kind)))
            || self.craft_on == Some(Craft::On(kind))
    }

    fn preset(&self) -> Preset {
        let asked = preset::Asked {
            gate: !self.min_sr_psnr.is_empty(),
            attacks: self.attacks.are_chosen(),
            too_little: self.attacks.are_too_few(),
        };
        Preset::of(self.preset, asked)
    }

    fn budgets(&self) -> Result<Vec<Budget>, CliError> {
        match &self.budget {
            Some(budgets) => Ok(budgets.0.clone()),
            None => parse_budgets(self.preset().budgets).map_err(CliError::usage),
        }
    }

    fn plan(&self) -> Result<Plan, CliError> {
        let preset = self.preset();
        let images = match (&self.images, &self.truth) {
            (Some(images), truth) => ImageSource::Lr { images: images.clone(), truth: truth.clone() },
            (None, Some(truth)) => ImageSource::Truth(truth.clone()),
            (None, None) => {
                let what = "no images to attack; give --images DIR, --truth DIR or both";
                return Err(CliError::usage(what));
            }
        };
        let runtimes = self.runtimes()?;
        Ok(Plan {
            models: self.models.clone(),
            images,
            crop: self.crop.map(|side| side as usize).or(preset.crop),
            most_images: preset.images,
            settings: self.settings(&preset, &runtimes)?,
            runtimes,
        })
    }

    fn settings(&self, preset: &Preset, runtimes: &[Arc<dyn Runtime>]) -> Result<Settings, CliError> {
        Ok(Settings {
            interface: self.interface.overrides(),
            attacks: self.attacks.attacks(preset)?,
            objective: self.attacks.objective()?,
            taps: self.attacks.taps.clone(),
            norm: self.attacks.norm,
            region: self.attacks.region,
            mask: self.attacks.mask()?,
            budgets: self.budgets()?,
            strength: self.attacks.settings(preset),
            clever: self.clever.map(|samples| samples as usize),
            cost: self.cost,
            universal: self.universal,
            seed: self.seed,
            memory: self.memory.map(|memory| memory.0),
            craft: self.craft(preset, runtimes)?,
            shard: self.shard,
            time_limit: self.time_limit,
            cache: self.cache(),
            save_images: self.save_images.clone(),
            preprocess: self.defences.preprocess()?,
            certify: self.defences.certify(),
            left_out: preset.left_out.map(str::to_owned).into_iter().collect(),
        })
    }

    /// Who crafts. Jobs that share the images out must not each take what is fastest to them.
    fn craft(&self, preset: &Preset, runtimes: &[Arc<dyn Runtime>]) -> Result<Craft, CliError> {
        match (self.craft_on, self.shard) {
            (Some(Craft::On(kind)), _) if runtimes.iter().all(|runtime| runtime.kind() != kind) => {
                Err(CliError::usage(format!(
                    "--craft-on {kind} is not among the runtimes of this audit; name it with --runtime too"
                )))
            }
            (Some(Craft::Fastest), Some(_)) => Err(CliError::usage(
                "--craft-on fastest may choose another runtime in every shard; name one, such as --craft-on ort",
            )),
            (Some(craft), _) => Ok(craft),
            (None, Some(_)) => Ok(Craft::All),
            (None, None) => Ok(preset.craft),
        }
    }

    fn cache(&self) -> Option<PathBuf> {
        let own = || self.out.join("cache");
        (!self.no_cache).then(|| self.cache.clone().unwrap_or_else(own))
    }

    /// Whether every threshold names a row to come.
    fn check_thresholds(&self) -> Result<(), CliError> {
        let budgets = self.budgets()?;
        let budgets = || budgets.iter().map(|budget| budget.levels());
        match self.min_sr_psnr.iter().find(|least| !least.names_any(budgets())) {
            Some(least) => Err(CliError::usage(format!(
                "--min-sr-psnr {least} names no row: the budgets are {}",
                budgets().map(|budget| budget.to_string()).collect::<Vec<_>>().join(", ")
            ))),
            None => Ok(()),
        }
    }

    /// The runtimes asked for, each of which must be there, or those of the default that are.
    fn runtimes(&self) -> Result<Vec<Arc<dyn Runtime>>, CliError> {
        let Some(Kinds(kinds)) = &self.runtime else {
            let opened = runtime::audited_by_default().map(open);
            return Ok(opened.filter_map(|opened| opened.map_err(left_out).ok()).collect());
        };
        kinds.iter().map(|&kind| open(kind).map_err(CliError::usage)).collect()
    }
}

/// Fails with what does not pass the gate.
pub fn gate(report: &Report, gate: &Gate<'_>) -> Result<(), CliError> {
    let failures = gate.failures(report);
    match failures.len() {
        0 => Ok(()),
        count => {
            let lines = failures.join("\n  ");
            Err(CliError::missed(format!("{count} lines fail --min-sr-psnr:\n  {lines}")))
        }
    }
}

fn open(kind: Kind) -> Result<Arc<dyn Runtime>, RuntimeError> {
    runtime::open(kind).map(Arc::from)
}

fn left_out(reason: RuntimeError) {
    note(format_args!("note: left out: {reason}"));
}

fn stopped(error: AuditError, kept: bool) -> CliError {
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
fn duration(seconds: f64) -> String {
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
