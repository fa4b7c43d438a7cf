//! The command line: one file per verb.
//!
//! The only place that prints, reads flags and chooses runtimes. Results go to standard output,
//! progress and messages to standard error.

mod attacks;
mod audit;
mod defences;
mod error;
mod grad;
#[cfg(feature = "torch")]
mod harden;
mod inspect;
mod interface;
mod interrupt;
mod limit;
mod output;
mod preset;
mod progress;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::CliError;

/// Below every help text.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a threshold that was asked for is not met
  2    bad input or usage: the message says what and what to do
  3    a runtime failed
  130  Ctrl-C";

/// Hardens super-resolution networks against adversarial input, and proves it on the ONNX file that ships.
#[derive(Debug, Parser)]
#[command(name = "temper", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = format!("{}\n\n{EXIT_CODES}", limit::table()))]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    limits: limit::LimitArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "torch")]
    Harden(Box<harden::Args>),
    Audit(Box<audit::Args>),
    Report(report::Args),
    Grad(grad::Args),
    Inspect(inspect::Args),
}

/// Runs the command line; `EXIT_CODES` says what it gives.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    cli.limits.enforce();
    let result = match cli.command {
        #[cfg(feature = "torch")]
        Command::Harden(args) => harden::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Grad(args) => grad::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
