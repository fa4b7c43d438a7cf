//! Quantised values and their products.

mod products;
pub mod scales;

use super::Operator;

pub const OPERATORS: &[&[Operator]] = &[products::OPERATORS, scales::OPERATORS];
