//! Lines to standard output and standard error that never end the program by a panic, as `println!`
//! does where nobody reads any more.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use serde::Serialize;

use super::CliError;

/// How much is said, and in which form.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print results and errors only: no notes, no progress
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say also where the time went and which libraries were used
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// What the command line asked for; one per process, as the streams are.
static OUTPUT: OnceLock<Output> = OnceLock::new();

impl Output {
    /// Holds for all that is printed from now on.
    pub fn apply(self) {
        OUTPUT.get_or_init(|| self);
    }

    fn current() -> Self {
        OUTPUT.get().copied().unwrap_or_default()
    }
}

/// Whether results are printed as JSON.
pub fn is_json() -> bool {
    Output::current().json
}

/// Whether notes and progress are left out.
pub fn is_quiet() -> bool {
    Output::current().quiet
}

/// A result as JSON, to standard output.
pub fn say_json(result: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(result).map_err(CliError::failed)?;
    say(text)
}

/// What only `--verbose` says, to standard error.
pub fn detail(text: impl Display) {
    if Output::current().verbose {
        write_line(&mut io::stderr(), text).ok();
    }
}

/// A result, to standard output. A reader that has gone, as in `temper ... | head`, has seen enough.
pub fn say(text: impl Display) -> Result<(), CliError> {
    match write_line(&mut io::stdout(), text) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::usage(format!("standard output cannot be written: {cause}; send it elsewhere")))
        }
        _ => Ok(()),
    }
}

/// A message that `--quiet` leaves out, to standard error.
pub fn note(text: impl Display) {
    if !is_quiet() {
        complain(text);
    }
}

/// What ended the program, to standard error. Where that cannot be written, there is nobody left to tell.
pub fn complain(text: impl Display) {
    write_line(&mut io::stderr(), text).ok();
}

fn write_line(stream: &mut dyn Write, text: impl Display) -> io::Result<()> {
    writeln!(stream, "{}", harmless(&text.to_string()))?;
    stream.flush()
}

/// Text that moves no cursor: names come from strangers' files.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_cannot_steer_a_terminal() {
        let mut written = Vec::new();
        write_line(&mut written, "node `a\u{1b}[2J\r`\nnext").unwrap();
        assert_eq!(written, b"node `a?[2J?`\nnext\n");
    }
}
