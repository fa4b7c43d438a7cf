//! What the command line tells a person when it stops.

use std::process::ExitCode;

use super::output::complain;

/// A message and the exit code that goes with it.
#[derive(Debug)]
pub struct CliError {
    message: String,
    code: u8,
}

impl CliError {
    /// Bad input or usage: exit code 2.
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), code: 2 }
    }

    /// A threshold was not met: exit code 1.
    pub fn missed(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// A runtime failed: exit code 3.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), code: 3 }
    }

    /// The exit code of a run that Ctrl-C ended, as shells have it.
    pub const INTERRUPTED: u8 = 130;

    /// Ctrl-C ended the run, and this is how to go on: exit code 130.
    pub fn interrupted(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), code: Self::INTERRUPTED }
    }

    /// Prints the message.
    pub fn report(&self) -> ExitCode {
        let prefix = if self.code == Self::INTERRUPTED { "" } else { "error: " };
        complain(format_args!("{prefix}{}", self.message));
        ExitCode::from(self.code)
    }
}
