//! `temper harden`: flags to a recipe, events to a progress bar, the outcome to lines.

use std::path::PathBuf;

use super::interrupt::on_interrupt;
use super::output::{note, say};
use super::progress::Bar;
use super::{CliError, EXIT_CODES};
use crate::harden::{Event, HardenError, Job, Outcome, Reason, Recipe, Record, Skipped, harden};
use crate::torch;
use clap::ValueEnum;

/// Trains a network with the entropy regularisation and exports it to ONNX.
///
/// LR images are made from the HR images of --data. Written to --out: model.onnx (the network
/// without the estimator), train.jsonl (one line per --log-every steps) and
/// checkpoint.safetensors (for --resume). Ctrl-C finishes the step and writes all three.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Network to train
    #[arg(long, value_enum, default_value_t = Arch::Edsr)]
    arch: Arch,
    /// Fine-tune this ONNX file instead: any network that libtorch can run here. The result is the same
    /// graph with new weights
    #[arg(long, value_name = "MODEL.onnx", conflicts_with = "arch")]
    from: Option<PathBuf>,
    /// Folder of HR images to train on (PNG, JPEG, BMP, TIFF, WebP, PNM)
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Where to compute: cpu, cuda, cuda:N, or auto (a GPU if there is one)
    #[arg(long, default_value = "auto")]
    device: String,
    /// Go on from the checkpoint in --out; give the same flags (--steps may be larger)
    #[arg(long)]
    resume: bool,
    /// Steps per line of train.jsonl
    #[arg(long, value_name = "STEPS", default_value_t = 10)]
    log_every: u64,
    /// Steps per checkpoint
    #[arg(long, value_name = "STEPS", default_value_t = 1000)]
    save_every: u64,
}

/// The flags of a recipe; the defaults are the paper's.
#[derive(Debug, clap::Args)]
struct RecipeArgs {
    /// Training steps
    #[arg(long, default_value_t = defaults().steps)]
    steps: u64,
    /// Crops per step
    #[arg(long, default_value_t = defaults().batch)]
    batch: usize,
    /// Side of a crop in LR pixels
    #[arg(long, value_name = "PIXELS", default_value_t = defaults().patch)]
    patch: usize,
    /// Regularise the entropy of the features; off with noise on is the ablation's case of noise alone
    #[arg(long, value_enum, value_name = "on|off", default_value_t = Switch::On)]
    estimator: Switch,
    /// Add noise to the features while training
    #[arg(long, value_enum, value_name = "on|off", default_value_t = Switch::On)]
    noise: Switch,
    /// Weight of the entropy loss; 0 trains the plain network, without estimator and noise
    #[arg(long, default_value_t = defaults().lambda, allow_negative_numbers = true)]
    lambda: f64,
    /// Width of the probability's bins and of the noise, in units of the features
    #[arg(long, default_value_t = defaults().delta, allow_negative_numbers = true)]
    delta: f64,
    /// Hidden widths of the density estimator: K - 1 numbers
    #[arg(long, value_delimiter = ',', value_name = "N,N,...", default_values_t = defaults().widths)]
    widths: Vec<usize>,
    /// The features that estimator and noise work on: last or first feature map, or the name of a value
    /// or node
    #[arg(long, value_name = "last|first|NAME", default_value_t = defaults().tap)]
    tap: String,
    /// Train on every crop and on the same crop attacked by one step of I-FGSM of this budget, in 1/255
    /// (the paper's is 8); 0 for none
    #[arg(long, value_name = "BUDGET", default_value_t = defaults().adversarial, allow_negative_numbers = true)]
    adversarial: f64,
    /// Channels of the network's feature maps
    #[arg(long, default_value_t = defaults().features)]
    features: usize,
    /// Residual blocks of the network
    #[arg(long, default_value_t = defaults().blocks)]
    blocks: usize,
    /// Upscaling factor: 2, 3 or 4
    #[arg(long, default_value_t = defaults().scale)]
    scale: usize,
    /// Learning rate of Adam at the start
    #[arg(long, value_name = "RATE", default_value_t = defaults().learning_rate, allow_negative_numbers = true)]
    lr: f64,
    /// The learning rate halves every so many steps
    #[arg(long, value_name = "STEPS", default_value_t = defaults().halve_every)]
    halve_every: u64,
    /// Decides initial weights, crops and noise
    #[arg(long, default_value_t = defaults().seed)]
    seed: u64,
}

/// The networks, as flags name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arch {
    Edsr,
}

/// A part that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn defaults() -> Recipe {
    Recipe::default()
}

impl Args {
    fn job(&self) -> Result<Job, CliError> {
        let flags = &self.recipe;
        let recipe = Recipe {
            arch: match self.arch {
                Arch::Edsr => crate::harden::Arch::Edsr,
            },
            from: self.from.clone(),
            features: flags.features,
            blocks: flags.blocks,
            scale: flags.scale,
            steps: flags.steps,
            batch: flags.batch,
            patch: flags.patch,
            learning_rate: flags.lr,
            halve_every: flags.halve_every,
            estimator: flags.estimator == Switch::On,
            noise: flags.noise == Switch::On,
            tap: flags.tap.clone(),
            adversarial: flags.adversarial,
            lambda: flags.lambda,
            delta: flags.delta,
            widths: flags.widths.clone(),
            seed: flags.seed,
            ..defaults()
        };
        Ok(Job {
            recipe,
            data: self.data.clone(),
            out: self.out.clone(),
            device: torch::device(&self.device).map_err(|error| told(&error.into()))?,
            log_every: self.log_every,
            save_every: self.save_every,
            resume: self.resume,
        })
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let job = args.job()?;
    let stop = on_interrupt()?;
    let mut view = View::new(&job);
    let outcome = harden(&job, &stop, &mut |event| view.show(event));
    drop(view);
    let outcome = outcome.map_err(|error| told(&error))?;
    say(summary(&job, &outcome))?;
    if outcome.interrupted {
        let (done, steps) = (outcome.steps, job.recipe.steps);
        return Err(CliError::interrupted(format!(
            "stopped after step {done} of {steps}; the same command with --resume goes on from there"
        )));
    }
    Ok(())
}

fn told(error: &HardenError) -> CliError {
    if error.is_bad_input() { CliError::usage(error) } else { CliError::failed(error) }
}

/// The progress bar.
struct View {
    bar: Bar,
    steps: u64,
    loading: bool,
}

impl View {
    fn new(job: &Job) -> Self {
        Self { bar: Bar::hidden(), steps: job.recipe.steps, loading: false }
    }

    fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Loading { done, total } => {
                if !std::mem::replace(&mut self.loading, true) {
                    self.bar = Bar::new(total as u64, "Reading", "images");
                }
                self.bar.set_position(done as u64);
            }
            Event::Ready { images, skipped, parameters, estimator, step, tap, chosen, rounds } => {
                self.bar = Bar::hidden();
                if let Some(how) = chosen {
                    note(format_args!("Phi is `{tap}`: {how} (--tap NAME chooses another)"));
                }
                if rounds {
                    note(
                        "The file keeps its weights in half precision: they train in float32 and are rounded when written",
                    );
                }
                describe(images, skipped, parameters, estimator, step);
                self.bar = Bar::new(self.steps, "Training", "steps");
                self.bar.set_position(step);
                self.bar.reset_eta();
            }
            Event::Step { done } => self.bar.set_position(done),
            Event::Logged(record) => self.bar.set_message(in_short(record)),
        }
    }
}

fn in_short(record: &Record) -> String {
    let entropy = record.entropy.map_or(String::new(), |bits| format!(" entropy {bits:.2} bits"));
    format!("error {:.2}{entropy}", record.reconstruction)
}

/// Names of skipped images to print; the rest are counted.
const NAMED: usize = 5;

fn describe(images: usize, skipped: &[Skipped], parameters: usize, estimator: usize, step: u64) {
    let beside =
        if estimator > 0 { format!(" and {estimator} of the density estimator") } else { String::new() };
    note(format_args!("Training {parameters} parameters{beside} on {images} images"));
    if step > 0 {
        note(format_args!("Going on after step {step}"));
    }
    if !skipped.is_empty() {
        note(format_args!("Skipped {} images:", skipped.len()));
    }
    for Skipped { name, reason } in skipped.iter().take(NAMED) {
        match reason {
            Reason::Small { height, width } => {
                note(format_args!("  {name}: {width}x{height} pixels are less than a patch"));
            }
            Reason::Broken(reason) => note(format_args!("  {reason}")),
        }
    }
    if skipped.len() > NAMED {
        note(format_args!("  and {} more", skipped.len() - NAMED));
    }
}

fn summary(job: &Job, outcome: &Outcome) -> String {
    let [model, log, checkpoint] = &outcome.files;
    let mut lines = Vec::new();
    if let Some(last) = &outcome.last {
        let wait = 100.0 * last.waiting;
        lines.push(format!(
            "{} steps in {:.0} s, {:.0} crops/s, {wait:.0}% waiting for data; {}",
            outcome.steps,
            last.seconds,
            last.examples_per_second,
            in_short(last)
        ));
    }
    lines.push(format!(
        "Wrote {}: verified, differs by {:.1e} from the trained network",
        model.display(),
        outcome.difference
    ));
    lines.push(format!("Wrote {} and {}", log.display(), checkpoint.display()));
    let next = job.out.join("audit");
    lines.push(format!("Next: temper audit {} --images DIR --out {}", model.display(), next.display()));
    lines.join("\n")
}
