//! Lines to standard output and standard error that never end the program by a panic, as `println!`
//! does where nobody reads any more.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use super::CliError;

/// A result, to standard output. A reader that has gone, as in `temper ... | head`, has seen enough.
pub fn say(text: impl Display) -> Result<(), CliError> {
    match write_line(&mut io::stdout(), text) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::usage(format!("standard output cannot be written: {cause}; send it elsewhere")))
        }
        _ => Ok(()),
    }
}

/// A message, to standard error. Where that cannot be written, there is nobody left to tell.
pub fn note(text: impl Display) {
    write_line(&mut io::stderr(), text).ok();
}

fn write_line(stream: &mut dyn Write, text: impl Display) -> io::Result<()> {
    writeln!(stream, "{}", harmless(&text.to_string()))?;
    stream.flush()
}

/// The most characters of a quoted name that are printed, and of a line.
const MOST_OF_A_NAME: usize = 160;
const MOST_OF_A_LINE: usize = 4000;

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
        assert!(said.contains("[... 9999841 characters ...]") && said.len() < 300, "{said}");
        let whole = harmless(&"é".repeat(5000));
        assert!(whole.chars().count() < MOST_OF_A_LINE + 40, "{}", whole.len());
    }
}
