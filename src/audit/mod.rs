//! An audit: what is asked ([`Plan`], [`Settings`]), carried out ([`run`], [`audit`]), as a
//! [`Report`](crate::report::Report).
//!
//! Every image is attacked with the gradients of every runtime and evaluated on every runtime. The ball is
//! checked here, outside the attack, and gradients are checked before they are used. Deliberately absent:
//! flags and printing.

mod context;
mod error;
mod estimate;
mod gradient_check;
mod gradients;
mod index;
mod inputs;
mod measure;
mod objective;
mod plan;
mod preprocess;
mod run;
mod schedule;
mod skeleton;
mod store;
mod watch;

pub use error::AuditError;
pub use estimate::Estimate;
pub use inputs::images::{Image, ImageSource};
pub use inputs::memory::{free_bytes, least_bytes};
pub use inputs::picture::{MaskPicture, TargetPicture};
pub use plan::{Craft, Objective, Plan, Settings, Smoothing};
pub use preprocess::Preprocessing;
pub use run::{audit, estimate, run};
#[cfg(fuzzing)]
pub use store::read_entry;
pub use watch::{Planned, Unwatched, Watch};
