//! Why an audit ended without a verdict.

use std::path::PathBuf;

use crate::attack::{AttackError, Interrupted, OutsideBall};
use crate::image::{ImageError, PairError};
use crate::metric::MetricError;
use crate::onnx::{OnnxError, Problem};
use crate::oracle::OracleError;
use crate::rewrite::RewriteError;
use crate::runtime::RuntimeError;

/// An audit that stopped.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The model file.
    #[error(transparent)]
    Model(#[from] OnnxError),
    /// The model file is whole, and its interface or a part of it is not taken.
    #[error("`{}` cannot be audited: {problem}", path.display())]
    Interface {
        /// The file.
        path: PathBuf,
        /// What is unusual.
        problem: Problem,
    },
    /// The model cannot be given a size or differentiated.
    #[error("`{model}` cannot be audited: {source}")]
    Rewrite {
        /// The model.
        model: String,
        /// Why.
        source: RewriteError,
    },
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A pair of LR and HR image.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Ground truth that leaves no LR pixel.
    #[error("{}: is smaller than the model's scale of {scale} pixels; give larger images", path.display())]
    TooSmall {
        /// The file.
        path: PathBuf,
        /// The scale.
        scale: usize,
    },
    /// Ground truth of a size that the model's output does not have.
    #[error(
        "{}: the ground truth has {found:?} pixels (height, width), and the output of `{model}` for its LR \
         image has {expected:?}; give ground truth of the model's scale",
        path.display()
    )]
    TruthSize {
        /// The ground truth.
        path: PathBuf,
        /// The model.
        model: String,
        /// The size of the ground truth.
        found: [usize; 2],
        /// The size of the output.
        expected: [usize; 2],
    },
    /// Quality could not be measured.
    #[error("image {image}: {source}")]
    Metric {
        /// The image.
        image: String,
        /// Why.
        source: MetricError,
    },
    /// A runtime that is not there, or failed on a model.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A runtime failed on an image.
    #[error("`{model}` on image {image}: {source}")]
    Oracle {
        /// The model.
        model: String,
        /// The image.
        image: String,
        /// Why.
        source: OracleError,
    },
    /// The self-test of the gradient failed.
    #[error(
        "the gradient of `{model}` on runtime {runtime} cannot be trusted: {reason}; an attack with it would \
         prove nothing, so nothing is reported"
    )]
    NotTrusted {
        /// The model.
        model: String,
        /// The runtime.
        runtime: String,
        /// The numbers.
        reason: String,
    },
    /// An attack that broke its budget.
    #[error(transparent)]
    OutsideBall(#[from] OutsideBall),
    /// Ctrl-C.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl AuditError {
    /// Whether it was the runtime that failed, rather than what it was given.
    pub fn is_runtime_failure(&self) -> bool {
        match self {
            AuditError::Runtime(RuntimeError::Failed { .. }) | AuditError::NotTrusted { .. } => true,
            AuditError::Oracle { source, .. } => !matches!(source, OracleError::Rewrite(_)),
            AuditError::OutsideBall(_) => true,
            _ => false,
        }
    }

    /// An error of an attack, with the place it happened at.
    pub fn attack(model: &str, image: &str, error: AttackError) -> Self {
        match error {
            AttackError::Interrupted(interrupted) => AuditError::Interrupted(interrupted),
            AttackError::Oracle(source) => Self::oracle(model, image, source),
        }
    }

    /// An error of an oracle, with the place it happened at.
    pub fn oracle(model: &str, image: &str, source: OracleError) -> Self {
        AuditError::Oracle { model: model.into(), image: image.into(), source }
    }
}
