//! The same elements under another shape, in another order, cut, joined or repeated.

mod join;
mod movement;
mod shuffle;
mod tile;

use super::Operator;

pub(super) const OPERATORS: &[&[Operator]] =
    &[join::OPERATORS, movement::OPERATORS, shuffle::OPERATORS, tile::OPERATORS];
