//! What `temper audit` does where flags do not say: a quick look, the paper's grid, or what was asked for.

use clap::ValueEnum;

use crate::attack::{Attack, QUERIES};
use crate::audit::Craft;

/// The presets, as a flag names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// About two minutes for a small network: few steps, and only the middles of three images
    Quick,
    /// What a verdict rests on: the strongest attack, 50 steps, on all images in full
    Standard,
    /// The paper's grid, for numbers beside the paper's: I-FGSM and FDA, 50 steps, six budgets
    Paper,
}

impl Name {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Quick, Self::Standard, Self::Paper];

    /// As the flag takes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Paper => "paper",
        }
    }
}

/// The values of a preset, each of which a flag overrides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// The attacks.
    pub attacks: &'static [Attack],
    /// Budgets as the flag takes them.
    pub budgets: &'static str,
    /// Gradient steps per attack.
    pub iterations: usize,
    /// Forward passes of attacks without gradients.
    pub queries: usize,
    /// The most LR pixels a side.
    pub crop: Option<usize>,
    /// The most images.
    pub images: Option<usize>,
    /// Who crafts.
    pub craft: Craft,
    /// What it leaves out, in words.
    pub left_out: Option<&'static str>,
}

/// What is done where some flags say what to attack with: nothing is left out.
const GIVEN: Preset = Preset {
    attacks: &[Attack::IFGSM],
    budgets: "1,4,8",
    iterations: 50,
    queries: QUERIES,
    crop: None,
    images: None,
    craft: Craft::All,
    left_out: None,
};

const QUICK: Preset = Preset {
    attacks: &[Attack::IFGSM, Attack::SQUARE],
    iterations: 20,
    queries: 100,
    crop: Some(64),
    images: Some(3),
    craft: Craft::Fastest,
    left_out: Some(
        "this is a quick look and not a verdict, of 20 steps and 100 tries on at most 3 images cut to 64 pixels a side, crafted \
         on the fastest runtime; --preset standard and flags of your own do more",
    ),
    ..GIVEN
};

const STANDARD: Preset = Preset { attacks: &[Attack::STRONGEST], ..GIVEN };

const PAPER: Preset = Preset { attacks: &[Attack::IFGSM, Attack::FDA], budgets: "1,2,4,8,16,32", ..GIVEN };

impl Preset {
    /// The preset of a name; without one, what a verdict rests on where one is asked for (`gated`), else a quick
    /// look unless flags say what to attack with (`chosen`).
    pub fn of(name: Option<Name>, gated: bool, chosen: bool) -> Self {
        match name {
            Some(Name::Quick) => QUICK,
            Some(Name::Standard) => STANDARD,
            Some(Name::Paper) => PAPER,
            None if gated => STANDARD,
            None if chosen => GIVEN,
            None => QUICK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::parse_budgets;

    #[test]
    fn presets_hold_what_flags_would_take() {
        for preset in [GIVEN, QUICK, STANDARD, PAPER] {
            assert!(parse_budgets(preset.budgets).is_ok());
        }
        assert_eq!(Preset::of(None, false, true).left_out, None);
        assert!(Preset::of(None, false, false).left_out.is_some());
        assert_eq!(Preset::of(None, true, true), STANDARD);
        assert_eq!(Preset::of(Some(Name::Paper), true, false), PAPER);
    }
}
