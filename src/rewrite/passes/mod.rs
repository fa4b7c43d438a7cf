//! The passes: each takes a graph and gives one that computes the same, or its gradient.
//!
//! `gradient`, `specialise` and `cost` name no operator: what they must know of one they ask the table in
//! `ops`. The others are about particular operators and name those: `branches` If, `fuse` and `norms` the
//! patterns they replace, `promote` and `to_f16` what states an element type, `upgrade` what an opset changed.

mod branches;
mod cost;
mod fuse;
mod gradient;
mod norms;
mod promote;
mod prune;
mod specialise;
mod straight_through;
mod to_f16;
mod upgrade;

pub use cost::flops;
pub use gradient::{Gradient, Stop, gradient};
pub use norms::fold_norms;
pub use promote::promote;
pub use prune::prune;
pub use specialise::{outputs_at, resized, specialise};
pub use straight_through::straight_through;
pub use to_f16::to_f16;
pub use upgrade::upgrade;

pub(super) use fuse::fuse;
pub(super) use specialise::fold;
