//! Convolutions and their transposes.

pub mod convolution;
mod transposed;

use super::Operator;

pub const OPERATORS: &[&[Operator]] = &[convolution::OPERATORS, transposed::OPERATORS];
