//! What is asked of the written file: element type, one size, folded normalisations.
//!
//! None of it decides what is trained. Deliberately absent: how it is done (`output::transform`).

use serde::{Deserialize, Serialize};

use crate::interface::Size;

/// What becomes of the trained network in its file. The defaults write the graph that was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "The written model")]
pub struct ExportOptions {
    /// Write float16 weights and arithmetic; images stay float32
    #[arg(long)]
    pub fp16: bool,
    /// Write a file for one image of this LR size, height x width, such as 48x64 [default: any]
    #[arg(long, value_name = "HxW", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Size>,
    /// Fold BatchNormalization into the convolution before it
    #[arg(long)]
    pub fold_batchnorm: bool,
}
