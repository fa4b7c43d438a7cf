//! What the members of an ensemble have found.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::AttackKind;

/// How an ensemble went on one image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ensemble {
    /// What each member left, in the order in which they ran; those that could not run are not among them.
    pub members: Vec<Member>,
    /// Whether the plain gradient promises a rise that does not come, is another one within the rounding of 8 bits, or
    /// leads less far than its mean over noise, as on no honest network that was measured.
    pub rugged: bool,
    /// The share of the output's squared change that clipping to the output's range removes, at the worst image
    /// found; `None` where it was not measured.
    pub overshoot: Option<f64>,
}

/// What one member of an ensemble has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What evidence its number is.
    pub kind: AttackKind,
    /// SR PSNR in dB of what it found, on the runtime that crafted; `None` where the output did not change.
    pub sr_psnr: Option<f64>,
    /// The largest part of the budget that it used on purpose; `None` for all of it.
    #[serde(default)]
    pub part: Option<f64>,
    /// Whether it kept to images that a file of 8 bits can carry.
    #[serde(default)]
    pub rounded: bool,
}
