//! What can be wrong with a model file, in words for a person.

use std::path::PathBuf;

use crate::files::FileError;

/// A model that cannot be read, written or trusted.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are something else.
    #[error("`{}` is not an ONNX model: it {found}; pass a file that an ONNX exporter wrote", path.display())]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What it is instead, as the end of "it ...".
        found: String,
    },
    /// The bytes are an ONNX model up to some point.
    #[error("`{}` is damaged or cut short: {reason}; fetch or export it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder stumbled over.
        reason: String,
    },
    /// The model is whole and says something that does not hold, or that Temper does not take.
    #[error("`{}` cannot be used: {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: Problem,
    },
}

/// Something in a model that does not hold: the part that `check` and the codec name.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{place}: {what}")]
pub struct Problem {
    /// The node, value or field.
    pub place: String,
    /// What is wrong with it, and what to do.
    pub what: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    /// Something that no exporter means to write, and that only another file can put right.
    pub fn defect(place: impl Into<String>, what: impl std::fmt::Display) -> Self {
        Self::new(place, format!("{what}; no runtime reads this file as it is meant: export it again"))
    }
}
