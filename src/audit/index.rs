//! Places in the lists of a [`Context`](super::context::Context), each of a type of its own: the runtime
//! that crafts an attack and the one that judges it are easily swapped, and then numbers are attributed to
//! the wrong one.

use crate::attack::{Attack, Budget};

/// An image of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageIndex(pub usize);

/// A runtime of the audit, whatever it is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeIndex(pub usize);

/// The runtime that an attack is crafted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crafter(pub RuntimeIndex);

/// The runtime that upscales an attacked image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judge(pub RuntimeIndex);

impl From<Crafter> for RuntimeIndex {
    fn from(Crafter(index): Crafter) -> Self {
        index
    }
}

impl From<Judge> for RuntimeIndex {
    fn from(Judge(index): Judge) -> Self {
        index
    }
}

/// What identifies an attack beside its image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackCell {
    /// The attack.
    pub attack: Attack,
    /// Its budget; all that a pixel can move for an attack that looks for the smallest perturbation.
    pub budget: Budget,
    /// The runtime that it is crafted on.
    pub crafter: Crafter,
}
