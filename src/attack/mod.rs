//! Attacks: a table of small files over two loops, one that climbs gradients and one that searches by forward
//! passes alone.
//!
//! `methods` holds the attacks, a file and a row each; a row says what evidence an attack's numbers are, so
//! that nobody else needs a list of names. `template` and `search` are the loops; `row` carries a row out. An
//! attack that fits neither loop (`cw`, which looks for the smallest perturbation) brings its own.
//!
//! An attack knows no runtime: it sees a [`Landscape`], which an oracle is, and a [`Goal`] with its [`Ball`].
//! It cannot cheat either: the ball is checked outside it.

mod ball;
mod budget;
mod discrepancy;
mod ensemble;
mod expected;
mod goal;
mod grid;
mod kind;
mod landscape;
mod mask;
mod methods;
mod norm;
mod points;
mod rounding;
mod row;
mod search;
mod seeds;
mod settings;
mod template;
mod universal;
mod view;
mod views;

pub use ball::{Ball, OutsideBall};
pub use budget::{Budget, parse_budgets};
pub use discrepancy::Discrepancy;
pub use ensemble::{Ensemble, Member};
pub use goal::Goal;
pub use kind::{AttackKind, ObjectiveKind};
pub use landscape::Landscape;
pub use mask::{Mask, MaskError, Region};
pub use norm::Norm;
pub use points::signed_noise;
pub use row::{Attack, Maximises};
pub use seeds::seeded;
pub use settings::{QUERIES, Settings, TARGET_PSNR};
pub use template::{AttackError, Attacked, Interrupted, OnStep};
pub use universal::Universal;
pub use view::View;
pub use views::Views;
