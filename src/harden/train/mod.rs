//! Training steps: what a step computes, what it remembers, and how the network is validated between steps.
//!
//! Deliberately absent: the loop over steps, its logs and its files but for the checkpoint (`session`).

mod adversary;
mod checkpoint;
mod content;
mod defence;
mod discriminator;
mod ema;
mod loss;
mod memory;
mod pixels;
mod probe;
mod trainer;
mod validate;
mod validated;

pub use checkpoint::Checkpoint;
pub use discriminator::DiscriminatorState;
pub(super) use loss::Losses;
pub(super) use memory::{advice, ran_out};
pub(super) use pixels::images;
pub(super) use trainer::Trainer;
pub(super) use validate::Validation;
pub use validated::Validated;
