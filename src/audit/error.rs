//! Why an audit ended without a verdict.

use std::path::PathBuf;

use crate::attack::{AttackError, Interrupted, MaskError, OutsideBall};
use crate::files::FileError;
use crate::image::{ImageError, PairError};
use crate::interface::InterfaceError;
use crate::metric::MetricError;
use crate::onnx::OnnxError;
use crate::oracle::{OracleError, TileError};
use crate::rewrite::RewriteError;
use crate::runtime::{Kind, RuntimeError};

/// An audit that stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The model file.
    #[error(transparent)]
    File(#[from] OnnxError),
    /// The model file is whole, and its interface or a part of it is not taken.
    #[error("`{}` cannot be audited: {source}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is unusual.
        source: InterfaceError,
    },
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A pair of LR and HR image.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Pixels in memory that are no RGB image on [0, 1].
    #[error("image {image}: {what}; give RGB of the shape 3 x height x width with values on [0, 1]")]
    Pixels {
        /// The image.
        image: String,
        /// What is wrong.
        what: String,
    },
    /// Ground truth too small to be compared with.
    #[error(
        "{}: {}x{} pixels of ground truth (height x width) are too few for SSIM at scale {scale}; give at \
         least {least}x{least}, or a larger --crop if there is one",
        path.display(), size[0], size[1]
    )]
    TruthTooSmall {
        /// The file.
        path: PathBuf,
        /// Height and width of what there is.
        size: [usize; 2],
        /// The scale.
        scale: usize,
        /// The smallest side that will do.
        least: usize,
    },
    /// An image of a size that a model does not take.
    #[error(
        "{}: `{model}` cannot take its {}x{} pixels (height x width): {source}; give images of another size",
        path.display(), size[0], size[1]
    )]
    Unfit {
        /// The image's file.
        path: PathBuf,
        /// The model.
        model: String,
        /// Height and width of the LR image.
        size: [usize; 2],
        /// Why.
        source: Box<RewriteError>,
    },
    /// An image that would need more memory than there is.
    #[error(
        "{}: attacks on `{model}` at its {}x{} pixels (height x width) may take {}, and {} may be used; {}allow more \
         with --memory",
        path.display(), size[0], size[1], amount(*needed), amount(*memory), cut(*fitting)
    )]
    TooLarge {
        /// The image's file.
        path: PathBuf,
        /// The model.
        model: String,
        /// Height and width of the LR image.
        size: [usize; 2],
        /// A bound on the bytes that attacks take.
        needed: u64,
        /// Bytes that may be used.
        memory: u64,
        /// The longest side in LR pixels that would do; none where not even the smallest does.
        fitting: Option<usize>,
    },
    /// Images that do not go through a model in tiles.
    #[error("{}: `{model}` {source}", path.display())]
    Tiles {
        /// The image's file.
        path: PathBuf,
        /// The model.
        model: String,
        /// Why.
        source: Box<TileError>,
    },
    /// An attack on what is no sum over output pixels, on images that go through in tiles.
    #[error(
        "`{model}` takes these images in tiles, and {what} is not made of parts of the output; attack l2, luma or \
         cosine, cut the images with --crop, or leave --tile out"
    )]
    NotInTiles {
        /// The model.
        model: String,
        /// The attack or the objective.
        what: String,
    },
    /// A feature attack on a model that does not say which features.
    #[error(
        "`{model}` names no feature map (metadata `temper.tap`) and shows none, and {attack} attacks one; name a value \
         before upsampling with --tap"
    )]
    NoTap {
        /// The model.
        model: String,
        /// The attack.
        attack: &'static str,
    },
    /// Nothing to drive apart.
    #[error("the objective `runtimes` drives two runtimes apart; name two or more with --runtime")]
    OneRuntime,
    /// An objective that has no place in a model.
    #[error("`{model}`: {source}")]
    Objective {
        /// The model.
        model: String,
        /// Why.
        source: RewriteError,
    },
    /// An attack on quality without ground truth.
    #[error("{}: has no ground truth, which the objective or the cost is measured against; give --truth", path.display())]
    NoTruth {
        /// The image's file.
        path: PathBuf,
    },
    /// One perturbation for images of several sizes.
    #[error(
        "{} has {}x{} pixels (height x width) and {} has {}x{}, and one perturbation is to fit all; cut them to \
         one size with --crop",
        first.display(), expected[0], expected[1], path.display(), size[0], size[1]
    )]
    UnequalSizes {
        /// The image's file.
        path: PathBuf,
        /// Height and width of its LR image.
        size: [usize; 2],
        /// The first image's file.
        first: PathBuf,
        /// Height and width of that.
        expected: [usize; 2],
    },
    /// One perturbation for one image.
    #[error("a universal perturbation is found on some images and judged on others; give two or more")]
    TooFewForUniversal,
    /// What was worked out cannot be kept.
    #[error("{0}; choose another folder with --cache, or do without with --no-cache")]
    Store(#[from] FileError),
    /// There is no place for what is kept while the audit runs.
    #[error("{0}; set TMPDIR to a folder that can be written to, or keep what is worked out with --cache")]
    Temporary(FileError),
    /// Pictures that cannot be written.
    #[error("{0}; choose another folder with --save-images, or do without")]
    Pictures(FileError),
    /// A region that an image has no room for.
    #[error("{}: {source}", path.display())]
    Mask {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: MaskError,
    },
    /// Ground truth of a size that the model's output does not have.
    #[error(
        "{}: the ground truth has {}x{} pixels (height x width), and the output of `{model}` for its LR \
         image, x{scale}, has {}x{}; give ground truth of the model's scale",
        path.display(), found[0], found[1], expected[0], expected[1]
    )]
    TruthSize {
        /// The ground truth.
        path: PathBuf,
        /// The model.
        model: String,
        /// Its scale.
        scale: usize,
        /// Height and width of the ground truth.
        found: [usize; 2],
        /// Height and width of the output.
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
    #[error("`{model}` on image {image}: {source}{}", elsewhere(source))]
    Oracle {
        /// The model.
        model: String,
        /// The image.
        image: String,
        /// Why.
        source: OracleError,
    },
    /// An attack that broke its budget.
    #[error(transparent)]
    OutsideBall(#[from] OutsideBall),
    /// Ctrl-C.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// An amount of memory for people.
fn amount(bytes: u64) -> String {
    let (unit, name) = if bytes < 1 << 30 { (20, "MiB") } else { (30, "GiB") };
    format!("{:.1} {name}", bytes as f64 / f64::from(1 << unit))
}

/// The remedy of smaller images, where there is one.
fn cut(fitting: Option<usize>) -> String {
    fitting.map_or(String::new(), |side| format!("cut the images with --crop {side}, or "))
}

/// What to do where a runtime failed on a model that others may run.
fn elsewhere(source: &OracleError) -> &'static str {
    let failed =
        matches!(source, OracleError::Runtime(RuntimeError::Failed { .. } | RuntimeError::Died { .. }));
    if failed { "; try another --runtime" } else { "" }
}

impl AuditError {
    /// Whether it was the runtime that failed, rather than what it was given.
    pub fn is_runtime_failure(&self) -> bool {
        match self {
            AuditError::Runtime(RuntimeError::Failed { .. } | RuntimeError::Died { .. }) => true,
            AuditError::Model { source, .. } => matches!(source, InterfaceError::Runtime(_)),
            AuditError::Oracle { source, .. } => !matches!(source, OracleError::Rewrite(_)),
            AuditError::OutsideBall(_) => true,
            _ => false,
        }
    }

    /// The runtime whose process died, and the model that it ran, where that is what happened.
    pub fn died(&self) -> Option<(Kind, Option<String>)> {
        match self {
            AuditError::Runtime(RuntimeError::Died { kind, .. }) => Some((*kind, None)),
            AuditError::Model { path, source: InterfaceError::Runtime(RuntimeError::Died { kind, .. }) } => {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                Some((*kind, name))
            }
            AuditError::Oracle {
                model,
                source: OracleError::Runtime(RuntimeError::Died { kind, .. }),
                ..
            } => Some((*kind, Some(model.clone()))),
            _ => None,
        }
    }

    /// Whether a runtime gave values that are not finite numbers.
    pub fn is_not_finite(&self) -> bool {
        matches!(self, AuditError::Oracle { source: OracleError::NotFinite { .. }, .. })
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
