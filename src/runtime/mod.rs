//! The runtimes that serve ONNX files, behind one small trait.
//!
//! A runtime loads a model of fixed size and runs it on float32 tensors. Each is one file and one row of
//! `table`; a caller may also hand in one of its own. Deliberately absent: gradients by rewriting (`rewrite` makes those, as models like any other)
//! and any knowledge of images. Only libtorch brings gradients of its own, and they serve as an independent judge.

mod failure;
pub mod faults;
mod isolate;
mod kind;
mod libtorch;
mod ort;
#[cfg(feature = "rten")]
mod rten;
mod signature;
mod table;
#[cfg(feature = "torch")]
pub mod torch;
mod tract;

use ndarray::{ArrayD, ArrayViewD};

pub use self::isolate::{Confinement, Isolated, VERB as SERVE, fault, serve};
pub use self::kind::Kind;
pub use self::ort::{Level, Options as OrtOptions, Ort, Provider};
pub use self::table::{audited_by_default, grammar, open};
pub use self::tract::Tract;
use crate::onnx::Model;

/// Something that runs ONNX models.
pub trait Runtime: Send + Sync {
    /// Which runtime it is, with its settings.
    fn kind(&self) -> Kind;

    /// Its version, for reports.
    fn version(&self) -> String;

    /// Whether it computes in half precision at a usable speed.
    fn half_precision(&self) -> bool {
        true
    }

    /// Prepares a model whose inputs have fixed sizes.
    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError>;

    /// Whether it differentiates by itself: whether [`Runtime::autograd`] gives something.
    fn has_autograd(&self) -> bool {
        false
    }

    /// Prepares a model for `[value, gradient]` by the runtime's own differentiation: the graph's
    /// first output, a scalar, and its gradient with respect to the input named `wrt`; its other
    /// outputs follow. `None` where the runtime has none.
    fn autograd(&self, model: &Model, wrt: &str) -> Option<Result<Box<dyn Session>, RuntimeError>> {
        let _ = (model, wrt);
        None
    }
}

impl std::fmt::Debug for dyn Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runtime({})", self.kind())
    }
}

/// A model ready to run.
pub trait Session: Send {
    /// Runs on one tensor per required input of the graph, in the graph's order; gives one per
    /// output, in order.
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError>;
}

/// A runtime that is not there, or that failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The runtime cannot be had as things stand.
    #[error("runtime {kind} is not available: {reason}")]
    Unavailable {
        /// Which runtime.
        kind: Kind,
        /// Why, and how to get it.
        reason: String,
    },
    /// The process that it ran in ended, or had to be ended.
    #[error("runtime {kind} died as it was to {action}: {reason}")]
    Died {
        /// Which runtime.
        kind: Kind,
        /// What it was doing, as in "load the model".
        action: &'static str,
        /// How it ended, in one line.
        reason: String,
    },
    /// It was there and failed.
    #[error("runtime {kind} failed to {action}: {reason}")]
    Failed {
        /// Which runtime.
        kind: Kind,
        /// What it was doing, as in "load the model".
        action: &'static str,
        /// What it said, in one line.
        reason: String,
    },
}
