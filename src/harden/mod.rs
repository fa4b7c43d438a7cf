//! Training with the entropy regularisation, from a recipe and a folder of images to a hardened
//! ONNX file.
//!
//! [`harden`] is the whole job. Every random draw is a pure function of the recipe's seed and the
//! step, so that a run which stops and resumes is the run that never stopped. Deliberately absent:
//! printing and progress bars (`cli` observes), and the networks themselves (`zoo` builds graphs).

pub mod adam;
mod adversary;
mod checkpoint;
mod content;
mod data;
mod defence;
mod ema;
mod error;
mod export;
mod feed;
mod gan;
mod log;
mod loss;
mod memory;
mod network;
mod output;
mod packing;
mod quick;
mod random;
mod recipe;
mod run;
mod schedule;
mod session;
mod settings;
mod source;
mod stranger;
mod tap;
#[cfg(test)]
mod tests;
mod trainer;
mod validate;

pub use checkpoint::Checkpoint;
pub use data::{Dataset, Reason, Skipped};
pub use error::HardenError;
pub use export::{
    Agreement, DATA, DELTA, FROM, LAMBDA, PACKING, RECIPE, SEED, STEPS, TAPPED, UNIT, VALIDATION, VERSIONS,
};
pub use gan::OpponentState;
pub use log::Record;
pub use packing::Packing;
pub use recipe::Recipe;
pub use run::{Event, Job, Outcome, harden};
pub use schedule::Schedule;
pub use settings::{Run, Settings};
pub use validate::Validated;
