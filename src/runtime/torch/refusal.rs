//! Why an operator does not take what it was given: one line, without the node's name, which the
//! program adds.

use crate::torch::{TchError, TorchError, first_line};

/// A reason, in words for a person.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0}")]
pub(super) struct Refusal(pub String);

impl Refusal {
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl From<TchError> for Refusal {
    fn from(error: TchError) -> Self {
        Self(first_line(&error))
    }
}

impl From<TorchError> for Refusal {
    fn from(error: TorchError) -> Self {
        Self(error.to_string())
    }
}
