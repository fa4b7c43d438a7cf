//! The command line: one file per verb.
//!
//! The only place that prints, reads flags and chooses runtimes. Results go to standard output,
//! progress and messages to standard error.

mod attacks;
mod audit;
mod companion;
mod defences;
mod doctor;
mod error;
mod grad;
#[cfg(feature = "torch")]
mod harden;
#[cfg(not(feature = "torch"))]
#[path = "harden_elsewhere.rs"]
mod harden;
mod inspect;
mod interface;
mod interrupt;
mod limit;
mod output;
mod parity;
mod plan;
mod preset;
mod progress;
mod question;
mod report;
mod serve;
mod shell;
mod upscale;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use companion::Need;
use output::Output;

use crate::runtime::Kind;

pub use error::CliError;

/// Below every help text.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a threshold that was asked for is not met
  2    bad input or usage: the message says what and what to do
  3    a runtime failed
  130  Ctrl-C";

/// What stands below the help of a verb: examples, a line each, and the exit codes.
fn after_help(examples: &str) -> String {
    let lines: Vec<String> = examples.lines().map(|line| format!("  {line}")).collect();
    let title = if lines.len() == 1 { "Example" } else { "Examples" };
    format!("{title}:\n{}\n\n{EXIT_CODES}", lines.join("\n"))
}

/// Hardens super-resolution networks against adversarial input, and proves it on the ONNX file that ships.
#[derive(Debug, Parser)]
#[command(name = "temper", bin_name = "temper", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = format!("{}\n\n{EXIT_CODES}", limit::table()))]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    limits: limit::LimitArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    Harden(Box<harden::Args>),
    Audit(Box<audit::Args>),
    Plan(Box<plan::Args>),
    Report(report::Args),
    Grad(grad::Args),
    Inspect(inspect::Args),
    Parity(Box<parity::Args>),
    Upscale(upscale::Args),
    Doctor(doctor::Args),
    Completions(shell::Completions),
    Man(shell::Man),
    #[command(name = crate::runtime::SERVE, hide = true)]
    Serve(serve::Args),
}

impl Command {
    /// Whether it uses libtorch.
    fn need(&self) -> Need {
        let if_torch = |named: bool| if named { Need::Always } else { Need::Never };
        match self {
            Command::Harden(_) => Need::Always,
            Command::Audit(args) => if_torch(args.names(Kind::TORCH)),
            Command::Plan(args) => if_torch(args.names(Kind::TORCH)),
            Command::Upscale(args) => if_torch(args.names(Kind::TORCH)),
            Command::Serve(args) => if_torch(args.is_libtorch()),
            Command::Parity(args) if args.names(Kind::TORCH) => Need::Always,
            Command::Parity(_) | Command::Inspect(_) | Command::Completions(_) | Command::Man(_) => {
                Need::IfThere
            }
            Command::Report(_) | Command::Grad(_) | Command::Doctor(_) => Need::Never,
        }
    }

    /// What to do instead where `--json` has nothing to print.
    fn without_json(&self) -> Option<&'static str> {
        match self {
            Command::Harden(_) => Some("the numbers of a run are in train.jsonl, in the folder of --out"),
            Command::Report(args) => args.without_json(),
            Command::Completions(_) | Command::Man(_) => Some("leave it out"),
            _ => None,
        }
    }

    fn run(&self) -> Result<(), CliError> {
        match self {
            #[cfg(feature = "torch")]
            Command::Harden(args) => harden::run(args),
            #[cfg(not(feature = "torch"))]
            Command::Harden(_) => Ok(()), // handed over
            Command::Audit(args) => audit::run(args),
            Command::Plan(args) => plan::run(args),
            Command::Report(args) => report::run(args),
            Command::Grad(args) => grad::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Parity(args) => parity::run(args),
            Command::Upscale(args) => upscale::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Completions(args) => shell::completions(args),
            Command::Man(args) => shell::man(args),
            Command::Serve(args) => serve::run(args),
        }
    }
}

/// Runs the command line; `EXIT_CODES` says what it gives.
pub fn run() -> ExitCode {
    let Cli { command, limits, output } = Cli::parse();
    limits.enforce();
    output.apply();
    let refused = command.without_json().filter(|_| output::is_json());
    let checked = refused.map_or(Ok(()), |instead| {
        Err(CliError::usage(format!("this command prints no result as JSON; {instead}")))
    });
    match checked.and_then(|()| companion::hand_over(command.need())).and_then(|()| command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
