//! Where a run reads and writes, on which device, and how often it writes something down.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::setting;
use crate::harden::HardenError;

/// What does not decide what a run computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Files, device and intervals")]
pub struct Run {
    /// Folder of HR images to train on (PNG, JPEG, BMP, TIFF, WebP, PNM), or of DIV2K
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Folder of LR images, matched to the HR images by name [default: made by bicubic]
    #[arg(long = "lr-data", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<PathBuf>,
    /// Folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// Where to compute: cpu, cuda, cuda:N, or auto (a GPU if there is one)
    #[arg(long)]
    pub device: String,
    /// Steps per line of train.jsonl
    #[arg(long, value_name = "STEPS")]
    pub log_every: u64,
    /// Steps per checkpoint
    #[arg(long, value_name = "STEPS")]
    pub save_every: u64,
    /// Folder of HR images to validate on: PSNR and SSIM on luma, SR PSNR under a short attack
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate: Option<PathBuf>,
    /// Steps per validation
    #[arg(long, value_name = "STEPS")]
    pub validate_every: u64,
    /// Folder for TensorBoard's event files: losses, learning rate, validations and a validation picture
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensorboard: Option<PathBuf>,
    /// Refuse a network whose training needs more memory than this by estimate, in GiB [default: what is free]
    #[arg(long, value_name = "GIB", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
    /// Do not audit the written model at the end; the key is then `audit = false`
    #[arg(long = "no-audit", action = clap::ArgAction::SetFalse)]
    pub audit: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            data: None,
            lr: None,
            out: None,
            device: "auto".to_owned(),
            log_every: 10,
            save_every: 1000,
            validate: None,
            validate_every: 1000,
            tensorboard: None,
            memory: None,
            audit: true,
        }
    }
}

impl Run {
    /// The memory that training may need, in bytes, where it is stated.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        self.memory.map(|gib| (gib * f64::from(1 << 30)) as u64)
    }

    /// Checks the intervals and the bound on memory.
    pub(super) fn check(&self) -> Result<(), HardenError> {
        if let Some(memory) = self.memory.filter(|memory| !(memory.is_finite() && *memory > 0.0)) {
            return Err(setting("memory", memory, "a positive number of GiB"));
        }
        let intervals = [
            ("log interval", self.log_every),
            ("save interval", self.save_every),
            ("validation interval", self.validate_every),
        ];
        match intervals.into_iter().find(|(_, steps)| *steps == 0) {
            Some((what, given)) => Err(setting(what, given, "at least 1 step")),
            None => Ok(()),
        }
    }

    /// The folder of images to train on.
    pub(in crate::harden) fn data(&self) -> Result<&PathBuf, HardenError> {
        needed(self.data.as_ref(), "--data", "folder of images to train on")
    }

    /// The folder to write to.
    pub(in crate::harden) fn out(&self) -> Result<&PathBuf, HardenError> {
        needed(self.out.as_ref(), "--out", "folder to write to")
    }
}

fn needed<'a>(
    path: Option<&'a PathBuf>,
    flag: &'static str,
    what: &'static str,
) -> Result<&'a PathBuf, HardenError> {
    path.ok_or(HardenError::Missing { flag, what })
}
