//! `temper audit`: flags to a plan, a plan to a report and a table.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CliError;
use super::interrupt::on_interrupt;
use super::progress::{self, ProgressBar};
use crate::attack::{Attack, Budget, Interrupted, parse_budgets};
use crate::audit::{self, AuditError, Images, Plan, Watch};
use crate::files::create_output_folder;
use crate::report::table;
use crate::runtime::{self, Kind};

/// Attacks models inside the runtimes that will serve them, and reports how robust they are.
///
/// Every image is attacked with the true gradients of every runtime and judged on every runtime.
/// Before that, each gradient must pass a self-test. Written to --out: report.json.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Super-resolution models to audit
    #[arg(required = true, value_name = "MODEL.onnx")]
    models: Vec<PathBuf>,
    /// Folder of LR images to attack; without it they are made from --truth by bicubic
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Folder of HR images: the ground truth for clean PSNR and SSIM, matched to --images by name
    #[arg(long, value_name = "DIR")]
    truth: Option<PathBuf>,
    /// Keep at most this many LR pixels a side of every image, from its middle
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..))]
    crop: Option<u32>,
    /// The attack: ifgsm
    #[arg(long, default_value = "ifgsm", value_name = "NAME")]
    attack: Attack,
    /// How far a pixel value may move, in 1/255; several, separated by commas
    #[arg(long, default_value = "1,4,8", value_name = "N,N,...", value_parser = Budgets::parse, allow_hyphen_values = true)]
    budget: Budgets,
    /// Gradient steps per attack
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    iterations: u32,
    /// Decides every random number
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Runtimes to craft and judge on: ort, tract, torch [default: ort and tract, where they are there]
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',')]
    runtime: Vec<Kind>,
    /// Folder to write report.json to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Budgets as one flag gives them.
#[derive(Clone, Debug)]
struct Budgets(Vec<Budget>);

impl Budgets {
    fn parse(text: &str) -> Result<Self, String> {
        parse_budgets(text).map(Self)
    }
}

/// Runs the verb.
#[allow(clippy::print_stdout)]
pub fn run(args: &Args) -> Result<(), CliError> {
    let plan = args.plan()?;
    create_output_folder(&args.out).map_err(CliError::usage)?;
    let mut bar = Bar { bar: None, raised: on_interrupt()? };
    let report = audit::run(&plan, &mut bar).map_err(stopped)?;
    bar.finish();
    let path = args.out.join("report.json");
    report.write(&path).map_err(CliError::usage)?;
    println!("{}", table(&report));
    println!("Written: {}", path.display());
    Ok(())
}

impl Args {
    fn plan(&self) -> Result<Plan, CliError> {
        let images = match (&self.images, &self.truth) {
            (Some(images), truth) => Images::Lr { images: images.clone(), truth: truth.clone() },
            (None, Some(truth)) => Images::Truth(truth.clone()),
            (None, None) => return Err(CliError::usage("give --images DIR, --truth DIR or both")),
        };
        Ok(Plan {
            models: self.models.clone(),
            images,
            crop: self.crop.map(|side| side as usize),
            attack: self.attack,
            budgets: self.budget.0.clone(),
            iterations: self.iterations as usize,
            seed: self.seed,
            runtimes: self.runtimes()?,
        })
    }

    /// The runtimes asked for, each of which must be there, or those of the default that are.
    fn runtimes(&self) -> Result<Vec<Kind>, CliError> {
        if self.runtime.is_empty() {
            return Ok([Kind::Ort, Kind::Tract].into_iter().filter(|&kind| is_there(kind)).collect());
        }
        let mut kinds = Vec::new();
        for &kind in &self.runtime {
            runtime::open(kind).map_err(CliError::usage)?;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }
}

#[allow(clippy::print_stderr)]
fn is_there(kind: Kind) -> bool {
    match runtime::open(kind) {
        Ok(_) => true,
        Err(reason) => {
            eprintln!("note: left out: {reason}");
            false
        }
    }
}

fn stopped(error: AuditError) -> CliError {
    match error {
        AuditError::Interrupted(_) => CliError::interrupted("interrupted: nothing was written"),
        error if error.is_runtime_failure() => CliError::failed(error),
        error => CliError::usage(error),
    }
}

/// A progress bar over gradient steps, and the ear for Ctrl-C.
struct Bar {
    bar: Option<ProgressBar>,
    raised: Arc<AtomicBool>,
}

impl Bar {
    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Bar {
    fn planned(&mut self, steps: u64) {
        self.bar = Some(progress::bar(steps, "attacking", "steps"));
    }

    fn doing(&mut self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    fn stepped(&mut self) -> Result<(), Interrupted> {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        if self.raised.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
    }
}
