//! The command line: one file per verb.
//!
//! The only place that prints, reads flags and chooses runtimes. Results go to standard output,
//! progress and messages to standard error.

mod audit;
mod error;
mod grad;
#[cfg(feature = "torch")]
mod harden;
mod inspect;
mod interrupt;
mod progress;
mod wishes;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::CliError;

/// Hardens super-resolution networks against adversarial input, and proves it on the ONNX file that ships.
#[derive(Debug, Parser)]
#[command(name = "temper", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "torch")]
    Harden(harden::Args),
    Audit(audit::Args),
    Grad(grad::Args),
    Inspect(inspect::Args),
}

/// Runs the command line; the exit code is 0 done, 1 a threshold was not met, 2 bad input or
/// usage, 3 a runtime failed.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        #[cfg(feature = "torch")]
        Command::Harden(args) => harden::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Grad(args) => grad::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
