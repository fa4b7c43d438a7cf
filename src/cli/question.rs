//! What `temper audit` and `temper plan` both take: models, images, and what is measured of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::CliError;
use super::attacks::{AttackArgs, parse_decibels};
use super::defences::DefenceArgs;
use super::interface::InterfaceArgs;
use super::output::note;
use super::preset::{self, Preset};
use crate::attack::{Budget, parse_budgets};
use crate::audit::{Craft, ImageSource, Plan, Settings};
use crate::limits::Limit;
use crate::runtime::{self, Confinement, Isolated, Kind, Runtime, RuntimeError};

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Question {
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
    /// Attack larger images in overlapping tiles of this many LR pixels a side [default: whole, or the largest that
    /// --memory allows]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(32..))]
    tile: Option<u32>,
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
    /// Decides every random number: the same seed, the same report
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Runtimes to craft and judge on, with their settings: ort, ort-plain (its optimisations off), ort-cuda,
    /// tract, torch, or with settings, such as ort:opt=basic,threads=2 or torch:f64; a wrong one is answered
    /// with those there are [default: ort and tract, where they are there]
    #[arg(long, value_name = "NAME,NAME,...", value_parser = Kinds::parse)]
    runtime: Option<Kinds>,
    /// The most memory that a run of a model may need, in GiB: of a gradient step [default: what is free], and of the
    /// runs that find its interface [default: --limit run-bytes]
    #[arg(long, value_name = "GIB", value_parser = Memory::parse, allow_negative_numbers = true)]
    memory: Option<Memory>,
    /// Run every runtime in a process of its own: one that crashes, hangs (--limit run-seconds) or asks for more
    /// memory than --memory is reported as a finding, and the audit goes on with the others
    #[arg(long)]
    isolate: bool,
    /// Take CLEVER as well: the largest gradient norm of so many points within 1/255 of each image
    #[arg(long, value_name = "SAMPLES", num_args = 0..=1, require_equals = true, default_missing_value = "1024", value_parser = clap::value_parser!(u32).range(1..))]
    clever: Option<u32>,
    /// Look for the smallest budget at which the first attack costs so many dB of PSNR against --truth
    #[arg(long, value_name = "DB", value_parser = parse_decibels, allow_negative_numbers = true)]
    cost: Option<f64>,
    /// Look for one perturbation for all images as well, found with every second one and judged on all
    #[arg(long)]
    universal: bool,
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

impl Question {
    /// Whether a flag names this runtime.
    pub fn names(&self, kind: Kind) -> bool {
        self.runtime.as_ref().is_some_and(|kinds| kinds.0.iter().any(|named| named.is_a(kind)))
            || self.craft_on == Some(Craft::On(kind))
    }

    /// The preset that is asked for by its name.
    pub fn named_preset(&self) -> Option<preset::Name> {
        self.preset
    }

    /// The preset that holds, where thresholds decide (`gated`) or not.
    pub fn preset(&self, gated: bool) -> Preset {
        let asked = preset::Asked {
            gate: gated,
            attacks: self.attacks.are_chosen(),
            too_little: self.attacks.are_too_few(),
        };
        Preset::of(self.preset, asked)
    }

    /// The budgets, in the order they were given.
    ///
    /// # Errors
    /// A preset's budgets that cannot be read.
    pub fn budgets(&self, preset: &Preset) -> Result<Vec<Budget>, CliError> {
        match &self.budget {
            Some(budgets) => Ok(budgets.0.clone()),
            None => parse_budgets(preset.budgets).map_err(CliError::usage),
        }
    }

    /// The plan, for one job or for several that share the images out (`shared`).
    ///
    /// # Errors
    /// What is missing or contradicts itself.
    pub fn plan(&self, preset: &Preset, shared: bool) -> Result<Plan, CliError> {
        let images = match (&self.images, &self.truth) {
            (Some(images), truth) => ImageSource::Lr { images: images.clone(), truth: truth.clone() },
            (None, Some(truth)) => ImageSource::Truth(truth.clone()),
            (None, None) => {
                let what = "no images to attack; give --images DIR, --truth DIR or both";
                return Err(CliError::usage(what));
            }
        };
        if let Some(memory) = self.memory {
            Limit::RunBytes.set(memory.0.max(OF_A_PROBE));
        }
        let runtimes = self.runtimes()?;
        Ok(Plan {
            models: self.models.clone(),
            images,
            crop: self.crop.map(|side| side as usize).or(preset.crop),
            most_images: preset.images,
            settings: self.settings(preset, shared, &runtimes)?,
            runtimes,
        })
    }

    fn settings(
        &self,
        preset: &Preset,
        shared: bool,
        runtimes: &[Arc<dyn Runtime>],
    ) -> Result<Settings, CliError> {
        Ok(Settings {
            interface: self.interface.overrides(),
            attacks: self.attacks.attacks(preset)?,
            objective: self.attacks.objective()?,
            taps: self.attacks.taps.clone(),
            norm: self.attacks.norm,
            region: self.attacks.region,
            mask: self.attacks.mask()?,
            budgets: self.budgets(preset)?,
            strength: self.attacks.settings(preset),
            clever: self.clever.map(|samples| samples as usize),
            cost: self.cost,
            universal: self.universal,
            seed: self.seed,
            memory: self.memory.map(|memory| memory.0),
            tile: self.tile.map(|side| side as usize),
            craft: self.craft(preset, shared, runtimes)?,
            preprocess: self.defences.preprocess()?,
            certify: self.defences.certify(),
            left_out: preset.left_out.map(str::to_owned).into_iter().collect(),
            ..Settings::default()
        })
    }

    /// Who crafts. Jobs that share the images out must not each take what is fastest to them.
    fn craft(&self, preset: &Preset, shared: bool, runtimes: &[Arc<dyn Runtime>]) -> Result<Craft, CliError> {
        match (self.craft_on, shared) {
            (Some(Craft::On(kind)), _) if runtimes.iter().all(|runtime| runtime.kind() != kind) => {
                Err(CliError::usage(format!(
                    "--craft-on {kind} is not among the runtimes of this audit; name it with --runtime too"
                )))
            }
            (Some(Craft::Fastest), true) => Err(CliError::usage(
                "--craft-on fastest may choose another runtime in every shard; name one, such as --craft-on ort",
            )),
            (Some(craft), _) => Ok(craft),
            (None, true) => Ok(Craft::All),
            (None, false) => Ok(preset.craft),
        }
    }

    /// The runtimes asked for, each of which must be there, or those of the default that are.
    fn runtimes(&self) -> Result<Vec<Arc<dyn Runtime>>, CliError> {
        let Some(Kinds(kinds)) = &self.runtime else {
            let opened = runtime::audited_by_default().map(|kind| self.open(kind));
            return Ok(opened.filter_map(|opened| opened.map_err(left_out).ok()).collect());
        };
        kinds.iter().map(|&kind| self.open(kind).map_err(CliError::usage)).collect()
    }

    /// A runtime in this process, or in one of its own.
    fn open(&self, kind: Kind) -> Result<Arc<dyn Runtime>, RuntimeError> {
        if !self.isolate {
            return runtime::open(kind).map(Arc::from);
        }
        let unavailable = |error: std::io::Error| RuntimeError::Unavailable {
            kind,
            reason: format!("this program: {error}"),
        };
        let confinement = Confinement {
            program: std::env::current_exe().map_err(unavailable)?,
            memory: self.memory.map(|memory| memory.0.saturating_add(OF_A_CHILD)),
            time: Duration::from_secs(Limit::RunSeconds.get()),
        };
        Ok(Arc::new(Isolated::open(kind, confinement)?))
    }
}

/// Bytes that the runs may take in any case which find how a model is fed, on a small picture.
const OF_A_PROBE: u64 = 512 << 20;
/// Bytes that a process of its own takes before it has seen a model.
const OF_A_CHILD: u64 = 512 << 20;

fn left_out(reason: RuntimeError) {
    note(format_args!("note: left out: {reason}"));
}
