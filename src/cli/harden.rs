//! `temper harden`: flags to settings, and the training they ask for.

mod flags;
mod ticker;
mod view;

use std::path::PathBuf;

use flags::{Flags, stated};
use toml::Table;
use view::{View, summary};

use super::audit::Spectator;
use super::interface::FormArgs;
use super::interrupt::on_interrupt;
use super::output::{note, say};
use super::{CliError, after_help};
use crate::harden::{ExportOptions, HardenError, Recipe, Run, Settings, Start, harden};
use crate::report::table;
use crate::{audit, report};

const EXAMPLES: &str = "\
temper harden --arch edsr --data photographs/ --lambda 1 --out hardened/
temper harden --from model.onnx --preset robust --data photographs/ --out tuned/
temper harden --arch carn --preset small --print-config";

/// Trains a network with the entropy regularisation and exports it to ONNX.
///
/// What no flag says comes from --config, and what that does not say from --preset; --print-config shows
/// the outcome. Defaults are those of --preset paper for edsr. LR images are made from the HR images of --data unless --lr-data gives them. Written to
/// --out: model.onnx (the network without the estimator), train.jsonl, checkpoint.safetensors (for
/// --resume), config.toml (for --config), MODEL_CARD.md and training.html (its curves); with --validate also validation.jsonl and best.onnx; and
/// audit/, a first audit. Ctrl-C finishes the step and writes what there is.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(EXAMPLES))]
pub struct Args {
    /// Settings to start from: paper or small, of the network; robust, which fine-tunes a trained one against
    /// attacks
    #[arg(long, value_name = "NAME", default_value = "paper")]
    preset: String,
    /// Settings of a file over those of the preset; config.toml of a run repeats it
    #[arg(long, value_name = "RUN.toml")]
    config: Option<PathBuf>,
    /// Print all settings as TOML and stop
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    recipe: Flags<Recipe>,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    run: Flags<Run>,
    #[command(flatten)]
    export: Flags<ExportOptions>,
    /// Go on from the checkpoint in --out; give the same flags (--steps may be larger)
    #[arg(long, conflicts_with = "overwrite", help_heading = "Files, device and intervals")]
    resume: bool,
    /// Start again in --out, in place of the run that it holds
    #[arg(long, help_heading = "Files, device and intervals")]
    overwrite: bool,
}

impl Args {
    fn settings(&self) -> Result<Settings, HardenError> {
        let mut recipe = self.recipe.given().clone();
        let interface = stated(&self.form, &recipe)?;
        if !interface.is_empty() {
            recipe.insert("interface".into(), interface.into());
        }
        let sections =
            [("recipe", recipe), ("run", self.run.given().clone()), ("export", self.export.given().clone())];
        let flags = Table::from_iter(sections.map(|(name, table)| (name.to_owned(), table.into())));
        Settings::layered(&self.preset, self.config.as_deref(), flags)
    }

    fn start(&self) -> Start {
        match (self.resume, self.overwrite) {
            (true, _) => Start::Resume,
            (false, true) => Start::Overwrite,
            (false, false) => Start::Fresh,
        }
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let settings = args.settings().map_err(|error| told(&error))?;
    if args.print_config {
        settings.check().map_err(|error| told(&error))?;
        return say(settings.to_toml().map_err(|error| told(&error))?.trim_end());
    }
    let stop = on_interrupt()?;
    let mut view = View::new(settings.recipe.steps);
    let outcome = harden(&settings, args.start(), &stop, &mut |event| view.show(event));
    drop(view);
    let outcome = outcome.map_err(|error| told(&error))?;
    say(summary(&outcome))?;
    if let Some((plan, folder)) = &outcome.audit {
        first_audit(plan, folder, Spectator::new(stop))?;
    }
    if outcome.interrupted {
        let (done, steps) = (outcome.steps, settings.recipe.steps);
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
