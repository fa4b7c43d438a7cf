//! `temper completions` and `temper man`: what shells and `man` read, made from the flags themselves.

use std::path::PathBuf;

use clap::CommandFactory;

use super::output::say;
use super::{Cli, CliError, after_help};
use crate::files::create_output_folder;

/// Prints the completions of all verbs and flags for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help("temper completions bash > ~/.local/share/bash-completion/completions/temper"))]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Writes a manual page for the program and one for every verb.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help("temper man --out ~/.local/share/man/man1"))]
pub struct Man {
    /// Folder to write temper.1, temper-audit.1, ... to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs `temper completions`.
pub fn completions(args: &Completions) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "temper", &mut script);
    say(String::from_utf8_lossy(&script).trim_end())
}

/// Runs `temper man`.
pub fn man(args: &Man) -> Result<(), CliError> {
    create_output_folder(&args.out).map_err(CliError::usage)?;
    let failed = |cause| CliError::usage(format!("{}: cannot be written: {cause}", args.out.display()));
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &args.out).map_err(failed)?;
    say(format_args!("Written: temper.1 and a page for every verb in {}", args.out.display()))
}
