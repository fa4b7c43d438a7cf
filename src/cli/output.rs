//! Lines to standard output and standard error that never end the program by a panic, as `println!`
//! does where nobody reads any more.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
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
    say_exactly(&text)
}

/// A text that a program reads: to a file or a pipe as it is, to a terminal like any other.
pub fn say_exactly(text: &str) -> Result<(), CliError> {
    if io::stdout().is_terminal() {
        return say(text);
    }
    let mut stdout = io::stdout().lock();
    written(writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// What only `--verbose` says, to standard error.
pub fn detail(text: impl Display) {
    if Output::current().verbose {
        write_line(&mut io::stderr(), text).ok();
    }
}

/// A result, to standard output.
pub fn say(text: impl Display) -> Result<(), CliError> {
    let text = match terminal_width() {
        Some(width) => wrapped(&text.to_string(), width),
        None => text.to_string(),
    };
    written(write_line(&mut io::stdout(), text))
}

/// A reader that has gone, as in `temper ... | head`, has seen enough.
fn written(result: io::Result<()>) -> Result<(), CliError> {
    match result {
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

/// The most characters of a quoted name that are printed, and of a line.
const MOST_OF_A_NAME: usize = 160;
const MOST_OF_A_LINE: usize = 4000;

/// The width of the terminal that standard output is; `None` where it is a file or another program.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Lines of prose broken between words; those of tables, which begin with a space or a rule, stay whole.
fn wrapped(text: &str, width: usize) -> String {
    let line = |line: &str| match line.chars().next() {
        Some(' ' | '─' | '═' | '{' | '}') | None => line.to_owned(),
        Some(_) => textwrap::fill(line, textwrap::Options::new(width.max(20)).break_words(false)),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Text that moves no cursor, changes no direction of writing and fills no screen: names come from
/// strangers' files.
pub fn harmless(text: &str) -> String {
    let visible: String = text.chars().map(|c| if is_invisible(c) && c != '\n' { '?' } else { c }).collect();
    let lines: Vec<String> = visible.split('\n').map(short_line).collect();
    lines.join("\n")
}

/// Whether a character steers a terminal or cannot be seen: controls, marks of direction, joiners, tags.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A line whose quoted names, and which itself, end within their bounds.
fn short_line(line: &str) -> String {
    if line.len() <= MOST_OF_A_NAME {
        return line.to_owned();
    }
    let parts = line.split('`').enumerate();
    let quoted: Vec<String> = parts
        .map(
            |(index, part)| {
                if index % 2 == 1 { without_middle(part, MOST_OF_A_NAME) } else { part.to_owned() }
            },
        )
        .collect();
    without_middle(&quoted.join("`"), MOST_OF_A_LINE)
}

/// The beginning and the end of a text of more than `most` characters.
fn without_middle(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let (head, tail) = (most * 2 / 3, most / 3);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{start}[... {} characters ...]{end}", count - head - tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_breaks_between_words_and_tables_stay() {
        let long = "a_name_that_is_longer_than_the_line.onnx";
        let text = format!("one two three four five six {long}\n  1. a row of a table stays whole");
        let lines: Vec<String> = wrapped(&text, 24).lines().map(str::to_owned).collect();
        assert_eq!(lines, ["one two three four five", "six", long, "  1. a row of a table stays whole"]);
    }

    #[test]
    fn names_from_files_cannot_steer_a_terminal() {
        let mut written = Vec::new();
        write_line(&mut written, "node `a\u{1b}[2J\r`\nnext").unwrap();
        assert_eq!(written, b"node `a?[2J?`\nnext\n");
        assert_eq!(harmless("a\u{202e}gnp.exe \u{1b}]0;title\u{7} b\u{200b}c"), "a?gnp.exe ?]0;title? b?c");
        assert_eq!(harmless("é\u{301} 画像 \u{1f4f7}"), "é\u{301} 画像 \u{1f4f7}");
    }

    #[test]
    fn a_name_without_an_end_is_shortened_and_what_is_said_of_it_stays() {
        let said = harmless(&format!("error: Conv node `{}b`: lacks its input 1", "a".repeat(10_000_000)));
        assert!(
            said.starts_with("error: Conv node `aaa") && said.ends_with("ab`: lacks its input 1"),
            "{said}"
        );
        assert!(said.contains("[... 9999842 characters ...]") && said.len() < 300, "{said}");
        let whole = harmless(&"é".repeat(5000));
        assert!(whole.chars().count() < MOST_OF_A_LINE + 40, "{}", whole.len());
    }
}
