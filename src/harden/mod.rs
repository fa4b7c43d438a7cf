//! Training with the entropy regularisation, from a recipe and a folder of images to a hardened
//! ONNX file.
//!
//! [`harden`] is the whole job. Every random draw is a pure function of the recipe's seed and the
//! step, so that a run which stops and resumes is the run that never stopped. `ARCHITECTURE.md` has the
//! order of the parts. Deliberately absent: printing and progress bars (`cli` observes), and the networks
//! themselves (`zoo` builds graphs).

pub mod adam;
mod config;
mod data;
mod error;
pub mod metadata;
mod names;
mod network;
mod output;
mod run;
mod seed;
mod session;
mod train;

pub use config::{AttackStart, AttackTarget, ExportOptions, Recipe, Run, Schedule, Settings};
pub use data::{Dataset, Reason, Skipped};
pub use error::HardenError;
pub use output::{Agreement, Record};
pub use run::{Event, Outcome, Start, harden};
pub use train::{Checkpoint, DiscriminatorState, Validated};

#[cfg(test)]
mod tests;
