//! `temper report`: reports that were written before, joined, compared, shown again, or put into another form.

use std::path::{Path, PathBuf};

use super::output::{is_json, say, say_exactly, say_json};
use super::{CliError, EXIT_CODES, after_help};
use crate::files::{OutputFolder, write_atomically};
use crate::report::html::{self, Run};
use crate::report::{Code, Comparison, Gate, LeastSrPsnr, Report, compare, export, merge, schema, table};

const EXAMPLES: &str = "\
temper report show audit/
temper report html before/ after/ -o comparison.html
temper report diff before/ after/ --noise 0.2
temper report junit audit/ --min-sr-psnr 30@4 -o junit.xml
temper report merge shards/*/report.json --out all/";

/// The folder beside report.json that the pictures of its page lie in.
pub const PICTURES: &str = "pictures";

/// Shows, joins and compares reports, and puts them into the forms of other programs.
///
/// A report is named by its report.json or by the folder that holds it.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(EXAMPLES), arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Prints the table of a report
    #[command(after_help = EXIT_CODES)]
    Show(One),
    /// Writes a page for people: verdicts, plots, pictures; of several reports, compared with the first
    #[command(after_help = EXIT_CODES)]
    Html {
        /// The reports
        #[arg(required = true, value_name = "REPORT")]
        reports: Vec<PathBuf>,
        /// File to write [default: report.html in the folder of the last report]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Folder with pictures of the last report, such as that of `temper audit --save-images` [default: pictures
        /// beside each report.json]
        #[arg(long, value_name = "DIR")]
        pictures: Option<PathBuf>,
    },
    /// Writes a line per observation, for pandas and spreadsheets
    #[command(after_help = EXIT_CODES)]
    Csv(One),
    /// Writes a summary for a pull request
    #[command(after_help = EXIT_CODES)]
    Md(One),
    /// Writes test cases for pipelines: one per image, budget and runtime, one per finding
    #[command(after_help = EXIT_CODES)]
    Junit(Gated),
    /// Writes findings and missed thresholds for code scanning
    #[command(after_help = EXIT_CODES)]
    Sarif(Gated),
    /// Prints the JSON Schema of report.json: every key, described with its unit
    #[command(after_help = EXIT_CODES)]
    Schema,
    /// Joins the reports of all shards of an audit to that of one run, bit for bit but for the time it took
    #[command(after_help = EXIT_CODES)]
    Merge {
        /// The reports of every shard
        #[arg(required = true, value_name = "REPORT")]
        reports: Vec<PathBuf>,
        /// Folder to write report.json and report.html to; made if it is not there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Fail (exit code 1) where a row's output PSNR is below DB, at one budget or at all
        #[arg(long, value_name = "DB[@BUDGET]", value_delimiter = ',', allow_hyphen_values = true)]
        min_sr_psnr: Vec<LeastSrPsnr>,
        /// Alarms that do not fail it, by the codes of findings
        #[arg(long, value_name = "CODE,CODE,...", value_delimiter = ',')]
        allow: Vec<Code>,
    },
    /// Compares two runs; fails (exit code 1) where the second keeps less than the first
    #[command(after_help = EXIT_CODES)]
    Diff {
        /// The run to compare with
        #[arg(value_name = "BEFORE")]
        before: PathBuf,
        /// The run
        #[arg(value_name = "AFTER")]
        after: PathBuf,
        /// A loss of output PSNR that counts as none, in dB
        #[arg(long, value_name = "DB", default_value_t = 0.1, value_parser = parse_noise, allow_negative_numbers = true)]
        noise: f64,
    },
}

/// A report, and where its other form goes.
#[derive(Debug, clap::Args)]
struct One {
    /// The report
    #[arg(value_name = "REPORT")]
    report: PathBuf,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The same, with thresholds.
#[derive(Debug, clap::Args)]
struct Gated {
    #[command(flatten)]
    one: One,
    /// What counts as a failure: an output PSNR below DB, at one budget or at all
    #[arg(long, value_name = "DB[@BUDGET]", value_delimiter = ',', allow_hyphen_values = true)]
    min_sr_psnr: Vec<LeastSrPsnr>,
}

impl Args {
    /// What to do instead where `--json` has nothing to print.
    pub fn without_json(&self) -> Option<&'static str> {
        match self.verb {
            Verb::Show(_) | Verb::Sarif(_) | Verb::Schema | Verb::Merge { .. } | Verb::Diff { .. } => None,
            Verb::Html { .. } | Verb::Csv(_) | Verb::Md(_) | Verb::Junit(_) => {
                Some("`temper report show REPORT --json` does")
            }
        }
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Show(one) if is_json() => say_json(&read(&one.report)?.sealed()),
        Verb::Show(one) => one.write(table(&read(&one.report)?)),
        Verb::Html { reports, output, pictures } => {
            write_html(reports, output.as_deref(), pictures.as_deref())
        }
        Verb::Csv(one) => one.write(export::csv(&read(&one.report)?).map_err(CliError::failed)?),
        Verb::Md(one) => one.write(export::markdown(&read(&one.report)?)),
        Verb::Junit(Gated { one, min_sr_psnr }) => one.write(export::junit(&read(&one.report)?, min_sr_psnr)),
        Verb::Sarif(Gated { one, min_sr_psnr }) => {
            let document = export::sarif(&read(&one.report)?, min_sr_psnr);
            one.write(serde_json::to_string_pretty(&document).map_err(CliError::failed)?)
        }
        Verb::Schema => say_json(&schema()),
        Verb::Merge { reports, out, min_sr_psnr, allow } => {
            merged(reports, out, &Gate { least: min_sr_psnr, allowed: allow })
        }
        Verb::Diff { before, after, noise } => differ(&compare(&read(before)?, &read(after)?), *noise),
    }
}

impl One {
    /// To the file, whole or not at all, or to standard output.
    fn write(&self, text: String) -> Result<(), CliError> {
        match &self.output {
            None => say_exactly(text.trim_end()),
            Some(path) => {
                write_atomically(path, |file| file.write_all(text.as_bytes())).map_err(CliError::usage)?;
                say(format_args!("Written: {}", path.display()))
            }
        }
    }
}

/// Reads a report by its file or its folder.
fn read(path: &Path) -> Result<Report, CliError> {
    Report::read(&file_of(path)).map_err(CliError::usage)
}

fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("report.json") } else { path.to_owned() }
}

fn write_html(reports: &[PathBuf], output: Option<&Path>, pictures: Option<&Path>) -> Result<(), CliError> {
    let mut runs = Vec::with_capacity(reports.len());
    for (place, path) in reports.iter().enumerate() {
        let report = read(path)?;
        let given = pictures.filter(|_| place + 1 == reports.len());
        let folder = given.map_or_else(|| pictures_beside(path), Path::to_owned);
        let found = html::read_pictures(&report, std::slice::from_ref(&folder), reports.len());
        let pictures = found.map_err(CliError::usage)?;
        if given.is_some() && pictures.is_empty() {
            return Err(CliError::usage(format!(
                "{}: holds no pictures of this report; give the folder of its --save-images",
                folder.display()
            )));
        }
        runs.push(Run { name: path.display().to_string(), report, pictures });
    }
    let beside =
        || reports.last().map(|path| file_of(path).with_file_name("report.html")).unwrap_or_default();
    let path = output.map_or_else(beside, Path::to_owned);
    html::write_page(&runs, &path).map_err(CliError::usage)?;
    say(format_args!("Written: {}", path.display()))
}

/// Where `temper audit` draws pictures for the page of a report.
fn pictures_beside(report: &Path) -> PathBuf {
    file_of(report).with_file_name(PICTURES)
}

/// Writes `report.json` and `report.html` to a folder; gives the sentence that says so. Pictures come from these
/// folders.
pub fn write_to(folder: &Path, report: &Report, pictures: &[PathBuf]) -> Result<String, CliError> {
    let [json, page] = ["report.json", "report.html"].map(|name| folder.join(name));
    report.write(&json).map_err(CliError::usage)?;
    let pictures = html::read_pictures(report, pictures, 1).map_err(CliError::usage)?;
    let run = Run { name: folder.display().to_string(), report: report.clone(), pictures };
    html::write_page(&[run], &page).map_err(CliError::usage)?;
    Ok(format!("Written: {} and {}", page.display(), json.display()))
}

fn merged(reports: &[PathBuf], out: &Path, gate: &Gate<'_>) -> Result<(), CliError> {
    let shard = |path: &PathBuf| Ok((path.display().to_string(), read(path)?));
    let shards = reports.iter().map(shard).collect::<Result<Vec<_>, CliError>>()?;
    let whole = merge(shards).map_err(CliError::usage)?;
    let mut folder = OutputFolder::create(out).map_err(CliError::usage)?;
    let pictures: Vec<PathBuf> = reports.iter().map(|path| pictures_beside(path)).collect();
    let written = write_to(out, &whole, &pictures)?;
    folder.keep();
    if is_json() {
        say_json(&whole.sealed())?;
    } else {
        say(format_args!("{}\n{written}", table(&whole)))?;
    }
    super::audit::gate(&whole, gate)
}

fn parse_noise(text: &str) -> Result<f64, String> {
    let noise = text.parse::<f64>().ok().filter(|noise| *noise >= 0.0 && noise.is_finite());
    noise.ok_or_else(|| format!("`{text}` is no noise; give dB, 0 or more, such as 0.2"))
}

/// Prints what changed; fails where that is a regression.
fn differ(comparison: &Comparison, noise: f64) -> Result<(), CliError> {
    let Comparison { changes, missing, settings } = comparison;
    if changes.is_empty() && missing.is_empty() {
        return Err(CliError::usage(
            "the reports have no model, runtime and budget in common; nothing to compare",
        ));
    }
    if is_json() {
        say_json(comparison)?;
    } else {
        let line = |change: &crate::report::Change| {
            let word = if change.is_regression(noise) { "  regression" } else { "" };
            format!(
                "{} on {} at {}/255: output PSNR {:.2}, before {:.2} ({:+.2} dB){word}",
                change.model,
                change.runtime,
                change.budget,
                change.after,
                change.before,
                change.gain()
            )
        };
        let lines = changes.iter().map(line);
        let lines = lines.chain(missing.iter().map(|what| format!("{what}: no longer measured")));
        let lines = lines.chain(settings.iter().map(|what| format!("not the same settings: {what}")));
        say(lines.collect::<Vec<_>>().join("\n"))?;
    }
    let worse = changes.iter().filter(|change| change.is_regression(noise)).count();
    match worse + missing.len() {
        0 => Ok(()),
        count => Err(CliError::missed(format!(
            "{count} of {} rows keep less than before, beyond a noise of {noise} dB, or are missing",
            changes.len() + missing.len()
        ))),
    }
}
