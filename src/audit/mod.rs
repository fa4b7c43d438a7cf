//! An audit: plan, run, findings.
//!
//! Every image is attacked with the gradients of every runtime and judged on every runtime. The
//! ball is checked here, outside the attack, and no verdict is given before the gradients have
//! passed their self-test. Deliberately absent: flags and printing.

mod context;
mod error;
mod gradient_check;
mod inputs;
mod measure;
mod objective;
mod plan;
mod preprocess;
mod run;
mod schedule;
mod skeleton;
mod store;

pub use error::AuditError;
pub use inputs::images::Images;
pub use inputs::memory::{free_bytes, least_bytes};
pub use inputs::requirements::{Fitted, ImageRequirements, fit};
pub use measure::certificate::Smoothing;
pub use plan::{Craft, MaskPicture, Plan, Shard, Target};
pub use preprocess::Preprocessing;
pub use run::{Watch, run};
pub use schedule::Planned;
