//! `temper harden`: to be written.

use super::CliError;

/// Trains a network with the entropy regularisation and exports it to ONNX.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: &Args) -> Result<(), CliError> {
    Err(CliError::usage("not written yet"))
}
