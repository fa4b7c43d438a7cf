//! What the members of the ensemble share: the image that is attacked, what is known so far, and a climb from a point.

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use crate::attack::goal::Goal;
use crate::attack::landscape::Landscape;
use crate::attack::methods::apgd::{Apgd, Resumed};
use crate::attack::methods::trust::Trust;
use crate::attack::settings::Settings;
use crate::attack::template::{AttackError, Attacked, OnStep, Steps, climb};
use crate::oracle::OracleError;

/// What a member is given.
pub struct Arena<'a, 'b> {
    pub landscape: &'a mut dyn Landscape,
    pub goal: &'a Goal,
    pub settings: &'a Settings,
    pub rng: &'a mut ChaCha8Rng,
    pub on_step: &'a mut OnStep<'b>,
    /// How far the plain gradient is to be trusted, where it is there.
    pub trust: Option<Trust>,
    /// The end of the first member.
    pub end: Option<Array4<f32>>,
    /// Where the long climb began.
    pub start: Option<Array4<f32>>,
    /// Gradients that `smooth` did not need.
    pub spared: usize,
    /// The best point of the white-box members so far, with its objective.
    pub best: Option<(f64, Array4<f32>)>,
}

impl Arena<'_, '_> {
    /// Whether mean gradients may lead farther than plain ones.
    pub fn is_uneven(&self) -> bool {
        self.trust.as_ref().is_some_and(Trust::is_uneven)
    }
}

/// Whether an error is of one member alone: another may need no gradient, or a finite one. An output that is not
/// finite is the end of every attack: there is nothing worse.
pub fn is_its_own(error: &OracleError) -> bool {
    matches!(error, OracleError::Rewrite(_) | OracleError::NotFinite { what: "gradient", .. })
}

/// Half of the steps, from one start.
pub fn halved(settings: &Settings) -> Settings {
    Settings { iterations: settings.iterations.div_ceil(2), restarts: 1, ..settings.clone() }
}

/// APGD from a given point.
///
/// # Errors
/// Those of the landscape.
pub fn from(
    arena: &mut Arena<'_, '_>,
    start: Array4<f32>,
    settings: &Settings,
    steps: fn(f64, usize) -> Apgd,
) -> Result<Attacked, AttackError> {
    let Arena { landscape, goal, rng, on_step, .. } = arena;
    let make = |goal: &Goal| -> Box<dyn Steps> {
        Box::new(Resumed { steps: steps(goal.ball.level(), settings.iterations), start: start.clone() })
    };
    let found = climb(&make, *landscape, &[*goal], settings, std::slice::from_mut(*rng), on_step)?;
    Ok(found.into_iter().next().expect("a climb gives one result per goal"))
}
