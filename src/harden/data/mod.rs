//! The training images: which files they are, decoded pairs, and batches of random crops cut ahead of the
//! training loop.
//!
//! Deliberately absent: libtorch.

mod batch;
mod dataset;
mod files;
mod load;
mod pixels;
mod prefetcher;
#[cfg(test)]
mod tests;

pub(super) use batch::Batch;
pub use dataset::Dataset;
pub(in crate::harden) use dataset::{ImagePair, Sample};
pub(super) use files::{Part, find};
pub use load::{Reason, Skipped};
pub(super) use prefetcher::Prefetcher;
