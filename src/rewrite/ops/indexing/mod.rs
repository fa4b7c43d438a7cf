//! Entries that are chosen by indices or coordinates.

mod elements;
pub mod gather;
mod grid_sample;
mod selection;

use super::Operator;

pub const OPERATORS: &[&[Operator]] =
    &[elements::OPERATORS, gather::OPERATORS, grid_sample::OPERATORS, selection::OPERATORS];
