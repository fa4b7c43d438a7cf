//! `temper report`: reports that were written before, joined or shown again.

use std::path::PathBuf;

use super::CliError;
use super::EXIT_CODES;
use super::output::say;
use crate::files::OutputFolder;
use crate::report::{Report, merge, table};

/// Joins the reports of shards, or shows a report again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Joins the reports of all shards of an audit to that of one run, bit for bit but for the time it took
    #[command(after_help = EXIT_CODES)]
    Merge {
        /// The report.json of every shard
        #[arg(required = true, value_name = "REPORT.json")]
        reports: Vec<PathBuf>,
        /// Folder to write report.json to; made if it is not there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Prints the table of a report
    #[command(after_help = EXIT_CODES)]
    Show {
        /// The report.json of an audit
        #[arg(value_name = "REPORT.json")]
        report: PathBuf,
    },
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Show { report } => say(table(&Report::read(report).map_err(CliError::usage)?)),
        Verb::Merge { reports, out } => {
            let read = |path: &PathBuf| Ok((path.display().to_string(), Report::read(path)?));
            let shards: Result<Vec<_>, crate::report::ReadError> = reports.iter().map(read).collect();
            let whole = merge(shards.map_err(CliError::usage)?).map_err(CliError::usage)?;
            let mut folder = OutputFolder::create(out).map_err(CliError::usage)?;
            let path = out.join("report.json");
            whole.write(&path).map_err(CliError::usage)?;
            folder.keep();
            say(format_args!("{}\nWritten: {}", table(&whole), path.display()))
        }
    }
}
