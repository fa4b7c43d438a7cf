//! The runtimes that serve ONNX files, behind one small trait.
//!
//! A runtime loads a model of fixed size and runs it on float32 tensors. Deliberately absent:
//! gradients by rewriting (`rewrite` makes those, as models like any other) and any knowledge of
//! images. Only libtorch brings gradients of its own, and they serve as an independent judge.

mod failure;
mod find;
mod ort;
mod signature;
#[cfg(feature = "torch")]
pub mod torch;
mod tract;

use std::str::FromStr;

use ndarray::{ArrayD, ArrayViewD};

pub use self::ort::{Options as OrtOptions, Ort};
pub use self::tract::Tract;
use crate::onnx::Model;

/// Something that runs ONNX models.
pub trait Runtime: Send + Sync {
    /// Which runtime it is.
    fn kind(&self) -> Kind;

    /// Its version, for reports.
    fn version(&self) -> String;

    /// Whether it computes in half precision at a usable speed.
    fn half_precision(&self) -> bool {
        true
    }

    /// Prepares a model whose inputs have fixed sizes.
    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError>;

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

/// Makes a runtime ready, with its own defaults.
pub fn open(kind: Kind) -> Result<Box<dyn Runtime>, RuntimeError> {
    match kind {
        Kind::Ort => Ok(Box::new(Ort::open(OrtOptions::default())?)),
        Kind::OrtPlain => Ok(Box::new(Ort::open(OrtOptions { optimise: false, ..OrtOptions::default() })?)),
        Kind::OrtCuda => Ok(Box::new(Ort::open(OrtOptions { cuda: true, ..OrtOptions::default() })?)),
        Kind::Tract => Ok(Box::new(Tract::open()?)),
        Kind::Torch => open_torch(),
    }
}

#[cfg(feature = "torch")]
fn open_torch() -> Result<Box<dyn Runtime>, RuntimeError> {
    Ok(Box::new(torch::Torch::new(crate::torch::Device::Cpu)))
}

/// Stands in for libtorch where it was left out.
#[cfg(not(feature = "torch"))]
fn open_torch() -> Result<Box<dyn Runtime>, RuntimeError> {
    let reason = "this temper was built without libtorch; build it with --features torch".to_owned();
    Err(RuntimeError::Unavailable { kind: Kind::Torch, reason })
}

/// The runtimes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// ONNX Runtime on the CPU, loaded when first used.
    Ort,
    /// The same, running the graph as it is written: nothing fused, nothing laid out anew.
    OrtPlain,
    /// ONNX Runtime on an NVIDIA GPU, where its library was built for one.
    OrtCuda,
    /// tract, part of this program.
    Tract,
    /// libtorch, with autograd.
    Torch,
}

impl Kind {
    /// Every runtime, as it is by default.
    pub const ALL: [Kind; 3] = [Kind::Ort, Kind::Tract, Kind::Torch];

    /// Other ways in which one of them can run.
    pub const VARIANTS: [Kind; 2] = [Kind::OrtPlain, Kind::OrtCuda];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ort => "ort",
            Kind::OrtPlain => "ort-plain",
            Kind::OrtCuda => "ort-cuda",
            Kind::Tract => "tract",
            Kind::Torch => "torch",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter().chain(Self::VARIANTS);
        let names =
            || [Self::ALL.map(Kind::name).join(", "), Self::VARIANTS.map(Kind::name).join(", ")].join(", ");
        let kind = all.find(|kind| kind.name() == name);
        kind.ok_or_else(|| format!("there is no runtime `{name}`; there are {}", names()))
    }
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
