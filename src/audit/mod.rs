//! An audit: plan, run, findings.
//!
//! Every image is attacked with the gradients of every runtime and judged on every runtime. The
//! ball is checked here, outside the attack, and no verdict is given before the gradients have
//! passed their self-test. Deliberately absent: flags and printing.

mod aim;
mod certificate;
mod clever;
mod error;
mod fit;
mod judge;
mod memory;
mod photo;
mod preprocess;
mod run;
mod schedule;
mod single;
mod subject;
mod trust;

use std::path::PathBuf;
use std::time::Duration;

pub use certificate::Smoothing;
pub use error::AuditError;
pub use fit::{Feed, Fitted, fit};
pub use memory::least_bytes;
pub use photo::Images;
pub use preprocess::Preprocessing;
pub use run::{Watch, run};
pub use schedule::Planned;

use crate::attack::{Attack, Budget, Norm, Region, Settings};
use crate::interface::Wishes;
use crate::oracle::Objective;
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
    /// The attacks.
    pub attacks: Vec<Attack>,
    /// What all of them maximise, but for those that have an objective of their own.
    pub objective: Objective,
    /// What it compares the output with.
    pub away_from: Aim,
    /// The values that FDA disrupts; the model's own tap where there is none.
    pub taps: Vec<String>,
    /// The norm of the budgets.
    pub norm: Norm,
    /// The LR pixels that may change; all where `None`.
    pub region: Option<Region>,
    /// The budgets.
    pub budgets: Vec<Budget>,
    /// How the attacks are carried out.
    pub settings: Settings,
    /// Gradients per image that CLEVER is taken from; it is not taken where `None`.
    pub clever: Option<usize>,
    /// The seed of everything random.
    pub seed: u64,
    /// The most bytes that a gradient step may need; what the machine has free where `None`.
    pub memory: Option<u64>,
    /// The runtimes that judge, and craft where `craft` lets them.
    pub runtimes: Vec<Kind>,
    /// Who crafts.
    pub craft: Craft,
    /// The most images, evenly picked; all where `None`.
    pub most_images: Option<usize>,
    /// How long it may take; as long as it takes where `None`.
    pub time_limit: Option<Duration>,
    /// What whoever made the plan left out already, in words.
    pub left_out: Vec<String>,
    /// Every model is audited behind each of these, too.
    pub preprocess: Vec<Preprocessing>,
    /// What a certificate is taken with; none is where `None`.
    pub certify: Option<Smoothing>,
}

/// The runtimes that attacks are crafted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Craft {
    /// All that judge.
    #[default]
    All,
    /// The fastest with a trusted gradient.
    Fastest,
}

/// What an objective compares the output with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Aim {
    /// S(x0).
    #[default]
    Clean,
    /// The ground truth.
    Truth,
    /// What the next runtime gives for the same image: drives the two apart.
    Runtimes,
    /// An image of the output's size, or that is scaled to it.
    Image(PathBuf),
}
