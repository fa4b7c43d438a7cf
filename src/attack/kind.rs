//! What there is to know of an attack and of its objective when its numbers are weighed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an attack sees of a model, and how far it goes: the evidence that its numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttackKind {
    /// Follows gradients as far as the budget goes.
    WhiteBox,
    /// Searches by forward passes alone: a masked gradient does not mislead it.
    GradientFree,
    /// Several attacks, of which the worst outcome counts; its members say which evidence they are.
    Ensemble,
    /// Noise, which every attack has to beat.
    Baseline,
    /// Follows gradients to the smallest perturbation that reaches a target, whatever the budget: it does not
    /// say how far a gradient leads within one.
    Minimal,
}

impl AttackKind {
    /// Whether it follows gradients, which must be checked then.
    pub fn needs_gradient(self) -> bool {
        matches!(self, AttackKind::WhiteBox | AttackKind::Minimal | AttackKind::Ensemble)
    }

    /// Whether its numbers count where gradients are not trusted: no outcome of it is better than one that was
    /// found without.
    pub fn stands_without_gradient(self) -> bool {
        !matches!(self, AttackKind::WhiteBox | AttackKind::Minimal)
    }
}

/// What an objective compares an output with, and whether a large value means far from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveKind {
    /// The output, away from S(x0) or from the ground truth: what robustness is measured by.
    Away,
    /// Feature maps, away from what they hold undisturbed: how far the output moves is not what is maximised.
    Features,
    /// Toward another image.
    Toward,
    /// Away from what another runtime gives for the same input.
    Runtimes,
}
