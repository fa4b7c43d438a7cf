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
