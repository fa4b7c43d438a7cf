//! How an attack is carried out, as values: two runs of equal settings, goals and seeds are equal
//! to the last bit.

use serde::Serialize;

/// Forward passes of a gradient-free attack where nothing else is said: as dear as fifty steps of
/// I-FGSM four times over.
pub const QUERIES: usize = 500;
/// The SR PSNR in dB that a minimal perturbation aims at where nothing else is said.
pub const TARGET_PSNR: f64 = 30.0;

/// The settings of an attack beside its goal. The names of the fields are part of the cache's keys
/// and of reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Gradient steps, T; of every restart.
    pub iterations: usize,
    /// Starts in all, of which the best is kept; for `random`, its draws.
    pub restarts: usize,
    /// Forward passes of an attack without gradients.
    pub queries: usize,
    /// The SR PSNR in dB at which an attack stops, and which `cw` aims at.
    pub target_psnr: Option<f64>,
    /// Images that go through a model at once.
    pub batch: usize,
    /// Members that an ensemble leaves out, of those that [`Attack::dispensable`](super::Attack::dispensable) lists
    /// the first ones.
    #[serde(skip_serializing_if = "is_none")]
    pub left_out: usize,
}

fn is_none(members: &usize) -> bool {
    *members == 0
}

impl Default for Settings {
    fn default() -> Self {
        Self { iterations: 50, restarts: 1, queries: QUERIES, target_psnr: None, batch: 1, left_out: 0 }
    }
}
