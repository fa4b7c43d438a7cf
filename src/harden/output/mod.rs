//! What a run leaves behind: the model and its verification, logs, and the plan of an initial audit.
//!
//! Deliberately absent: printing, and checkpoints, which are the trainer's state (`train`).

mod export;
mod initial_audit;
mod log;
mod model_card;
mod page;
mod tensorboard;
mod transform;
mod verify;

pub(super) use export::{Written, write};
pub(super) use initial_audit::plan;
pub use log::Record;
pub(super) use log::{Log, Means};
pub(super) use model_card::{Facts, model_card, name};
pub(super) use page::{PageFacts, write_page};
pub(super) use tensorboard::TensorBoard;
pub(super) use transform::transform;
pub use verify::Agreement;
pub(super) use verify::{Reference, agree, tolerances, verify};
