//! An audit: plan, run, findings.
//!
//! Every image is attacked with the gradients of every runtime and judged on every runtime. The
//! ball is checked here, outside the attack, and no verdict is given before the gradients have
//! passed their self-test. Deliberately absent: flags and printing.

mod error;
mod fit;
mod memory;
mod photo;
mod run;
mod single;
mod subject;
mod trust;

use std::path::PathBuf;

pub use error::AuditError;
pub use fit::{Feed, Fitted, fit};
pub use memory::least_bytes;
pub use photo::Images;
pub use run::{Watch, run};

use crate::attack::{Attack, Budget};
use crate::interface::Wishes;
use crate::runtime::Kind;

/// What is asked of an audit.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model files.
    pub models: Vec<PathBuf>,
    /// What is stated of the models' interface; the rest is found.
    pub wishes: Wishes,
    /// The images.
    pub images: Images,
    /// The most LR pixels a side that are kept of an image; all where `None`.
    pub crop: Option<usize>,
    /// The attack.
    pub attack: Attack,
    /// The budgets.
    pub budgets: Vec<Budget>,
    /// Gradient steps per attack.
    pub iterations: usize,
    /// The seed of everything random.
    pub seed: u64,
    /// The most bytes that a gradient step may need; what the machine has free where `None`.
    pub memory: Option<u64>,
    /// The runtimes that craft and judge.
    pub runtimes: Vec<Kind>,
}
