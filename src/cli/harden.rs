//! `temper harden`: flags to a recipe, events to a progress bar, the outcome to lines.

use std::path::PathBuf;

use super::interrupt::on_interrupt;
use super::output::{note, say};
use super::progress::Bar;
use super::{CliError, EXIT_CODES};
use crate::harden::{Event, HardenError, Job, Outcome, Reason, Recipe, Record, Skipped, harden};
use crate::torch;
use crate::zoo::{Arch, Preset};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Trains a network with the entropy regularisation and exports it to ONNX.
///
/// LR images are made from the HR images of --data. Written to --out: model.onnx (the network
/// without the estimator), train.jsonl (one line per --log-every steps) and
/// checkpoint.safetensors (for --resume). Ctrl-C finishes the step and writes all three.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Network to train
    #[arg(long, value_parser = arch_parser(), default_value_t = Arch::Edsr)]
    arch: Arch,
    /// Fine-tune this ONNX file instead: any network that libtorch can run here. The result is the same
    /// graph with new weights
    #[arg(long, value_name = "MODEL.onnx", conflicts_with_all = ["arch", "preset"])]
    from: Option<PathBuf>,
    /// The network's size: `full` is the original's, `small` one for tests and CPUs
    #[arg(long, value_parser = preset_parser(), default_value = "full")]
    preset: Preset,
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
    /// [default: 1; srresnet and srgan: 0.1]
    #[arg(long, allow_negative_numbers = true)]
    lambda: Option<f64>,
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
    /// Channels of the network's feature maps [default: the preset's; full: 64]
    #[arg(long)]
    features: Option<usize>,
    /// Blocks of the network, of rcan in each group; carn has a fixed number [default: the
    /// preset's; full: edsr, srresnet and srgan 16, rcan 20, msrn 8]
    #[arg(long)]
    blocks: Option<usize>,
    /// Upscaling factor: 2, 3 or 4; srresnet and srgan: 2 or 4
    #[arg(long, default_value_t = defaults().scale)]
    scale: usize,
    /// Learning rate of Adam at the start
    #[arg(long, value_name = "RATE", default_value_t = defaults().learning_rate, allow_negative_numbers = true)]
    lr: f64,
    /// The learning rate halves every so many steps
    #[arg(long, value_name = "STEPS", default_value_t = defaults().halve_every)]
    halve_every: u64,
    /// SRGAN: compare outputs by features of this VGG network, an ONNX file fed as torchvision's are
    /// (RGB, ImageNet's mean and deviation), and not by pixels
    #[arg(long, value_name = "FILE", requires = "vgg_tap")]
    vgg: Option<PathBuf>,
    /// The feature map of --vgg to compare: the name of a value that a node writes
    #[arg(long, value_name = "NAME", requires = "vgg")]
    vgg_tap: Option<String>,
    /// Decides initial weights, crops and noise
    #[arg(long, default_value_t = defaults().seed)]
    seed: u64,
}

fn arch_parser() -> impl TypedValueParser<Value = Arch> {
    PossibleValuesParser::new(Arch::ALL.map(Arch::name)).try_map(|name| name.parse::<Arch>())
}

fn preset_parser() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(["full", "small"]).map(|name| match name.as_str() {
        "small" => Preset::Small,
        _ => Preset::Full,
    })
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
            arch: self.arch,
            preset: self.preset,
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
            lambda: flags.lambda.unwrap_or(self.arch.lambda()),
            delta: flags.delta,
            widths: flags.widths.clone(),
            vgg: flags.vgg.clone(),
            vgg_tap: flags.vgg_tap.clone(),
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
    let error = record.reconstruction;
    // An error on [-1, 1], squared, is a small number.
    let digits = if error < 0.1 { 5 } else { 2 };
    format!("error {error:.digits$}{entropy}")
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
