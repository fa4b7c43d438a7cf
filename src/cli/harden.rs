//! `temper harden`: flags to settings, and the training they ask for.

mod flags;
mod view;

use std::path::PathBuf;

use flags::{Flags, RecipeFlags, RunFlags};
use view::{View, summary};

use super::audit::Spectator;
use super::interrupt::on_interrupt;
use super::output::{note, say};
use super::wishes::FormArgs;
use super::{CliError, after_help};
use crate::harden::{HardenError, Job, Settings, harden};
use crate::report::table;
use crate::torch;
use crate::{audit, report};

const EXAMPLES: &str = "\
temper harden --arch edsr --data photographs/ --lambda 1 --out hardened/
temper harden --from model.onnx --data photographs/ --adversarial 8 --steps 2000 --out tuned/
temper harden --arch carn --preset small --print-config";

/// Trains a network with the entropy regularisation and exports it to ONNX.
///
/// What no flag says comes from --config, and what that does not say from --preset; --print-config shows
/// the outcome. LR images are made from the HR images of --data unless --lr-data gives them. Written to
/// --out: model.onnx (the network without the estimator), train.jsonl, checkpoint.safetensors (for
/// --resume) and config.toml (for --config); with --validate also validation.jsonl and best.onnx; and
/// audit/, a first audit. Ctrl-C finishes the step and writes what there is.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(EXAMPLES))]
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

impl Args {
    fn settings(&self) -> Result<Settings, HardenError> {
        let flags = Flags::new(&self.recipe, &self.form, &self.run);
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
