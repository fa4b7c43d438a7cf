//! Normalisations, by the image's own statistics or by the training set's.

pub mod by_image;
mod by_training_set;

use super::Operator;

pub const OPERATORS: &[&[Operator]] = &[by_image::OPERATORS, by_training_set::OPERATORS];
