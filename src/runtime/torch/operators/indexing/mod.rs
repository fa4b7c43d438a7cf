//! Entries that are chosen by indices or coordinates.

mod elements;
mod selection;

use super::Operator;

pub(super) const OPERATORS: &[&[Operator]] = &[elements::OPERATORS, selection::OPERATORS];
