//! `temper harden` in a program without libtorch: its place in the help. `temper-torch` reads the flags.

use std::ffi::OsString;

/// Trains a network with the entropy regularisation and exports it to ONNX.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// The flags; `temper harden --help` lists them where libtorch is installed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    _flags: Vec<OsString>,
}
