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
    writeln!(stream, "{text}")?;
    stream.flush()
}
