//! The same elements under another shape, in another order, cut, joined or repeated.

mod axes;
mod join;
mod movement;
mod shuffle;
mod tile;

use super::Operator;

pub const OPERATORS: &[&[Operator]] =
    &[axes::OPERATORS, join::OPERATORS, movement::OPERATORS, shuffle::OPERATORS, tile::OPERATORS];
