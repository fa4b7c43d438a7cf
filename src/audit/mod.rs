//! An audit: plan, run, findings.
//!
//! Every image is attacked with the gradients of every runtime and judged on every runtime. The
//! ball is checked here, outside the attack, and no verdict is given before the gradients have
//! passed their self-test. Deliberately absent: flags and printing.

mod aim;
mod blank;
mod certificate;
mod clever;
mod craft;
mod error;
mod fit;
mod judge;
mod memory;
mod photo;
mod plan;
mod preprocess;
mod run;
mod scene;
mod schedule;
mod single;
mod smallest;
mod store;
mod subject;
mod transfer;
mod trust;
mod universal;

pub use certificate::Smoothing;
pub use error::AuditError;
pub use fit::{Feed, Fitted, fit};
pub use memory::least_bytes;
pub use photo::Images;
pub use plan::{Aim, Craft, MaskPicture, Plan, Shard};
pub use preprocess::Preprocessing;
pub use run::{Watch, run};
pub use schedule::Planned;
