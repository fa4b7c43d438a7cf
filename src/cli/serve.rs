//! `temper serve-runtime`: the child process of an isolated runtime. Not for people.

use super::CliError;
use crate::runtime::{self, Kind};

/// Runs one model on one runtime for the process that started this one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The runtime
    kind: Kind,
    /// Bytes of memory that may be allocated
    memory: Option<u64>,
}

impl Args {
    /// Whether the runtime is libtorch.
    pub fn is_libtorch(&self) -> bool {
        self.kind == Kind::TORCH
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    runtime::serve(args.kind, args.memory)
        .map_err(|error| CliError::failed(format!("runtime {}: {error}", args.kind)))
}
