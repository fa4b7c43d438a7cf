//! `temper harden`: flags to settings, events to a progress bar, the outcome to lines.

use std::path::PathBuf;

use serde::Serialize;

use super::audit::Spectator;
use super::interrupt::on_interrupt;
use super::output::{note, say};
use super::progress::Bar;
use super::wishes::FormArgs;
use super::{CliError, EXIT_CODES};
use crate::harden::{
    Agreement, Event, HardenError, Job, Outcome, Reason, Record, Settings, Skipped, Stated, Validated, harden,
};
use crate::report::table;
use crate::torch;
use crate::zoo::Arch;
use crate::{audit, report};
use clap::builder::PossibleValuesParser;

/// Trains a network with the entropy regularisation and exports it to ONNX.
///
/// What no flag says comes from --config, and what that does not say from --preset; --print-config shows
/// the outcome. LR images are made from the HR images of --data unless --lr-data gives them. Written to
/// --out: model.onnx (the network without the estimator), train.jsonl, checkpoint.safetensors (for
/// --resume) and config.toml (for --config); with --validate also validation.jsonl and best.onnx; and
/// audit/, a first audit. Ctrl-C finishes the step and writes what there is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Settings to start from: paper or small, of the network
    #[arg(long, value_name = "NAME", default_value = "paper")]
    preset: String,
    /// Settings of a file over those of the preset; config.toml of a run repeats it
    #[arg(long, value_name = "RUN.toml")]
    config: Option<PathBuf>,
    /// Print all settings as TOML and stop
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    recipe: RecipeFlags,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    run: RunFlags,
    /// Go on from the checkpoint in --out; give the same flags (--steps may be larger)
    #[arg(long)]
    resume: bool,
}

/// The flags of where and how often; a flag that is not given is no part of the table.
#[derive(Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Files, device and intervals")]
struct RunFlags {
    /// Folder of HR images to train on (PNG, JPEG, BMP, TIFF, WebP, PNM), or of DIV2K
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Folder of LR images, matched to the HR images by name [default: made by bicubic]
    #[arg(long = "lr-data", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lr: Option<PathBuf>,
    /// Folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<PathBuf>,
    /// Where to compute: cpu, cuda, cuda:N, or auto (a GPU if there is one) [default: auto]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Steps per line of train.jsonl [default: 10]
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_every: Option<u64>,
    /// Steps per checkpoint [default: 1000]
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    save_every: Option<u64>,
    /// Folder of HR images to validate on: PSNR and SSIM on luma, SR PSNR under a short attack
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validate: Option<PathBuf>,
    /// Steps per validation [default: 1000]
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validate_every: Option<u64>,
    /// Leave out the audit at the end
    #[arg(long = "no-audit", action = clap::ArgAction::SetFalse)]
    #[serde(skip_serializing_if = "Clone::clone")]
    audit: bool,
    /// Write float16 weights and arithmetic; images stay float32
    #[arg(long, help_heading = WRITTEN)]
    #[serde(skip_serializing_if = "is_off")]
    fp16: bool,
    /// Write a file for one image of this LR size, height x width, such as 48x64 [default: any]
    #[arg(long, value_name = "HxW", help_heading = WRITTEN, allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
    /// Fold BatchNormalization into the convolution before it
    #[arg(long, help_heading = WRITTEN)]
    #[serde(skip_serializing_if = "is_off")]
    fold_batchnorm: bool,
}

const WRITTEN: &str = "The written model";

/// The flags of a recipe; their names are the keys of its table.
#[derive(Debug, Serialize, clap::Args)]
#[command(next_help_heading = "What is computed")]
struct RecipeFlags {
    /// Network to train [default: edsr]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Arch::ALL.map(Arch::name)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    /// Fine-tune this ONNX file instead: any network that libtorch can run here. The result is the same
    /// graph with new weights
    #[arg(long, value_name = "MODEL.onnx", conflicts_with = "arch")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<PathBuf>,
    /// Start with the weights of this file of the same network, and not with drawn ones; a generator that
    /// was trained as srresnet is what srgan starts from
    #[arg(long, value_name = "MODEL.onnx", conflicts_with = "from")]
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<PathBuf>,
    /// Its size: the original's, or a small one for tests and CPUs
    #[arg(long, value_name = "full|small", value_parser = PossibleValuesParser::new(["full", "small"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    /// Channels of the network's feature maps
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<usize>,
    /// Blocks of the network, of rcan in each group; carn has a fixed number
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<usize>,
    /// Upscaling factor: 2, 3 or 4; srresnet and srgan: 2 or 4; of a file given by --from, where it is not
    /// to be found by probing
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<usize>,
    /// Training steps
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    /// Crops per step
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    /// Side of a crop in LR pixels
    #[arg(long, value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<usize>,
    /// Learning rate of Adam at the start
    #[arg(long = "lr", value_name = "RATE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// How the learning rate falls: halved every --halve-every steps, or by a cosine to 0
    #[arg(long, value_name = "step|cosine", value_parser = PossibleValuesParser::new(["step", "cosine"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// The learning rate halves every so many steps
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    halve_every: Option<u64>,
    /// Shorten gradients that are longer than this in L2; 0 for none
    #[arg(long, value_name = "LENGTH", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    clip: Option<f64>,
    /// Export averaged weights, of which this share stays at every step, such as 0.999; 0 for none
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ema: Option<f64>,
    /// Convolutions in bfloat16 (mixed precision); weights stay float32
    #[arg(long)]
    #[serde(skip_serializing_if = "is_off")]
    amp: bool,
    /// Regularise the entropy of the features; off with noise on is the ablation's case of noise alone
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    #[serde(skip_serializing_if = "Option::is_none")]
    estimator: Option<bool>,
    /// Add noise to the features while training
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<bool>,
    /// Weight of the entropy loss; 0 trains the plain network, without estimator and noise
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    lambda: Option<f64>,
    /// Width of the probability's bins and of the noise, in units of the features
    #[arg(long, value_name = "WIDTH", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<f64>,
    /// Hidden widths of the density estimator: K - 1 numbers
    #[arg(long, value_delimiter = ',', value_name = "N,N,...")]
    #[serde(skip_serializing_if = "Option::is_none")]
    widths: Option<Vec<usize>>,
    /// The features that estimator and noise work on: last or first feature map, or the name of a value
    /// or node
    #[arg(long, value_name = "last|first|NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tap: Option<String>,
    /// Train on every crop and on the same crop attacked by one step of I-FGSM of this budget, in 1/255
    /// (the paper's is 8); 0 for none
    #[arg(long, value_name = "BUDGET", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    adversarial: Option<f64>,
    /// SRGAN: compare outputs by features of this VGG network, an ONNX file fed as torchvision's are
    /// (RGB, ImageNet's mean and deviation), and not by pixels
    #[arg(long, value_name = "FILE", requires = "vgg_tap")]
    #[serde(skip_serializing_if = "Option::is_none")]
    vgg: Option<PathBuf>,
    /// The feature map of --vgg to compare: the name of a value that a node writes
    #[arg(long, value_name = "NAME", requires = "vgg")]
    #[serde(skip_serializing_if = "Option::is_none")]
    vgg_tap: Option<String>,
    /// Decides initial weights, crops and noise
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("say on or off".to_owned()),
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_off(flag: &bool) -> bool {
    !flag
}

/// The flags as a file would state them.
#[derive(Serialize)]
struct Flags<'a> {
    recipe: WithInterface<'a>,
    run: &'a RunFlags,
}

#[derive(Serialize)]
struct WithInterface<'a> {
    #[serde(flatten)]
    flags: &'a RecipeFlags,
    #[serde(skip_serializing_if = "Stated::is_empty")]
    interface: Stated,
}

/// The flags of an interface as a file would state them.
fn stated(form: &FormArgs, scale: Option<usize>) -> Stated {
    let wishes = form.wishes(scale);
    Stated {
        layout: wishes.layout.map(|layout| layout.name().to_owned()),
        channels: wishes.channels,
        range: wishes.input_levels.map(|levels| levels.name().to_owned()),
        output_range: wishes.output_levels.map(|levels| levels.name().to_owned()),
        scale: wishes.scale,
        output: wishes.output,
        feed: wishes.feeds.into_iter().collect(),
    }
}

impl Args {
    fn settings(&self) -> Result<Settings, HardenError> {
        let interface = stated(&self.form, self.recipe.scale);
        let flags = Flags { recipe: WithInterface { flags: &self.recipe, interface }, run: &self.run };
        Settings::layered(&self.preset, self.config.as_deref(), &flags)
    }

    fn job(&self, settings: &Settings) -> Result<Job, CliError> {
        let run = &settings.run;
        let needed = |path: &Option<PathBuf>, flag: &str, what: &str| {
            let missing = || CliError::usage(format!("no {what}: give {flag} DIR, or name it in --config"));
            path.clone().ok_or_else(missing)
        };
        let data = needed(&run.data, "--data", "folder of images to train on")?;
        let out = needed(&run.out, "--out", "folder to write to")?;
        Ok(Job {
            lr: run.lr.clone(),
            validate: run.validate.clone(),
            validate_every: run.validate_every,
            audit: run.audit,
            packing: run.packing().map_err(|error| told(&error))?,
            config: Some(settings.to_toml().map_err(|error| told(&error))?),
            device: torch::device(&run.device).map_err(|error| told(&error.into()))?,
            log_every: run.log_every,
            save_every: run.save_every,
            resume: self.resume,
            ..Job::new(settings.recipe.clone(), data, out)
        })
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let settings = args.settings().map_err(|error| told(&error))?;
    if args.print_config {
        settings.recipe.check().map_err(|error| told(&error))?;
        settings.run.packing().map_err(|error| told(&error))?;
        return say(settings.to_toml().map_err(|error| told(&error))?.trim_end());
    }
    let job = args.job(&settings)?;
    let stop = on_interrupt()?;
    let mut view = View::new(&job);
    let outcome = harden(&job, &stop, &mut |event| view.show(event));
    drop(view);
    let outcome = outcome.map_err(|error| told(&error))?;
    say(summary(&job, &outcome))?;
    if let Some((plan, folder)) = &outcome.audit {
        first_audit(plan, folder, Spectator::new(stop))?;
    }
    if outcome.interrupted {
        let (done, steps) = (outcome.steps, job.recipe.steps);
        return Err(CliError::interrupted(format!(
            "stopped after step {done} of {steps}; the same command with --resume goes on from there"
        )));
    }
    Ok(())
}

/// Runs the audit of the end, and prints its table. The model is written, whatever comes of it.
fn first_audit(plan: &audit::Plan, folder: &std::path::Path, mut view: Spectator) -> Result<(), CliError> {
    let report: report::Report = match audit::run(plan, &mut view) {
        Ok(report) => report,
        Err(error) => {
            drop(view);
            note(format_args!("note: no audit: {error}"));
            return Ok(());
        }
    };
    drop(view);
    let path = folder.join("report.json");
    report.write(&path).map_err(CliError::usage)?;
    say(format_args!(
        "\nA first audit, on crops of training images:\n{}\nWritten: {}",
        table(&report),
        path.display()
    ))
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
            Event::Validated(found, best) => self.bar.suspend(|| note(validated(found, best))),
        }
    }
}

fn validated(found: &Validated, best: bool) -> String {
    let Validated { step, psnr, ssim, attacked, entropy, spread, .. } = found;
    let best = if best { ", the best so far" } else { "" };
    format!(
        "Step {step}: PSNR {psnr:.2} dB, SSIM {ssim:.4}, SR PSNR under attack {attacked:.2} dB, features of \
         {entropy:.2} bits, spread {spread:.3}{best}"
    )
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
    let [same, runtimes] = outcome.tolerances;
    lines.push(format!(
        "Wrote {}: verified, differs by {:.1e} from the trained network (at most {same:.0e})",
        model.display(),
        outcome.difference
    ));
    lines.extend(outcome.packed.iter().map(|what| format!("  {what}")));
    if let Some(Validated { psnr, ssim, images, training: true, .. }) = &outcome.validated {
        lines
            .push(format!("  PSNR {psnr:.2} dB, SSIM {ssim:.4} on {images} of the images it was trained on"));
    }
    for Agreement { runtime, difference } in &outcome.agreements {
        lines.push(match difference {
            Ok(difference) => {
                format!("  {runtime} gives the same within {difference:.1e} (at most {runtimes:.0e})")
            }
            Err(reason) => format!("  {runtime} cannot run it: {reason}"),
        });
    }
    lines.push(format!("Wrote {} and {}", log.display(), checkpoint.display()));
    let next = job.out.join("audit");
    lines.push(format!("Next: temper audit {} --images DIR --out {}", model.display(), next.display()));
    lines.join("\n")
}
