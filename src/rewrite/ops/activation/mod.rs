//! Activations and Dropout.

mod dropout;
mod rectifier;
mod smooth;
mod softmax;

use super::Operator;

pub const OPERATORS: &[&[Operator]] =
    &[dropout::OPERATORS, rectifier::OPERATORS, smooth::OPERATORS, softmax::OPERATORS];
