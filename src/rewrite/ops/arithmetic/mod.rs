//! Numbers element by element.

pub mod elementary;
mod extrema;
mod functions;
mod rounding;

use super::Operator;

pub const OPERATORS: &[&[Operator]] =
    &[elementary::OPERATORS, extrema::OPERATORS, functions::OPERATORS, rounding::OPERATORS];
