//! The choices of adversarial training: where the attack starts, and what the attacked crop's output is
//! compared with.

use serde::{Deserialize, Serialize};

/// Where the attack on a crop starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttackStart {
    /// Uniformly anywhere in the ball (Wong et al., ICLR 2020).
    #[default]
    Ball,
    /// At the crop, but for noise of a fiftieth of the budget: at the crop itself the distance between the
    /// outputs has no gradient. The first point of the paper's attack with T = 50.
    Crop,
}

impl AttackStart {
    /// The largest distance of the start from the crop, as a share of the budget.
    pub fn reach(self) -> f64 {
        match self {
            Self::Ball => 1.0,
            Self::Crop => 0.02,
        }
    }
}

/// What the output for an attacked crop is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttackTarget {
    /// The ground truth, as in the paper's Sec. 5.6.
    #[default]
    Truth,
    /// The output for the crop as it was, under autograd too: TRADES (Zhang et al., ICML 2019) with a distance
    /// between images in place of one between classes.
    Output,
}
