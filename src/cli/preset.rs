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

/// What a verdict rests on, and what flags that say what to attack with start from: nothing is left out.
const STANDARD: Preset = Preset {
    attacks: &[Attack::STRONGEST],
    budgets: "1,4,8",
    iterations: 50,
    queries: QUERIES,
    crop: None,
    images: None,
    craft: Craft::All,
    left_out: None,
};

/// For steps or tries that are too few for a verdict: an ensemble of such members would prove no more.
const BRIEF: Preset = Preset { attacks: &[Attack::IFGSM], ..STANDARD };

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
    ..STANDARD
};

const PAPER: Preset = Preset { attacks: &[Attack::IFGSM, Attack::FDA], budgets: "1,2,4,8,16,32", ..STANDARD };

/// What flags say beside the preset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Whether a threshold asks for a verdict.
    pub gate: bool,
    /// Whether anything is said of which attacks there are and how hard they try.
    pub attacks: bool,
    /// Whether the steps or the tries that they ask for are too few for a verdict.
    pub too_little: bool,
}

impl Preset {
    /// The preset of a name; without one, what a verdict rests on where one is asked for or the plan gives one, else
    /// a quick look unless flags say what to attack with.
    pub fn of(name: Option<Name>, asked: Asked) -> Self {
        match name {
            Some(Name::Quick) => QUICK,
            Some(Name::Standard) => STANDARD,
            Some(Name::Paper) => PAPER,
            None if asked.gate => STANDARD,
            None if asked.attacks && asked.too_little => BRIEF,
            None if asked.attacks => STANDARD,
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
        for preset in [STANDARD, BRIEF, QUICK, PAPER] {
            assert!(parse_budgets(preset.budgets).is_ok());
        }
        let quick = Preset::of(None, Asked::default());
        assert!(quick.left_out.is_some_and(|left_out| left_out.contains("not a verdict")));
        let paper = Preset::of(Some(Name::Paper), Asked { gate: true, ..Asked::default() });
        assert_eq!(paper, PAPER);
    }

    #[test]
    fn the_strongest_attack_is_the_default_wherever_a_verdict_is_given() {
        let attacks = |asked| Preset::of(None, asked).attacks;
        let flags = Asked { attacks: true, ..Asked::default() };
        let few = Asked { too_little: true, ..flags };
        assert_eq!(attacks(flags), [Attack::STRONGEST]);
        assert_eq!(attacks(Asked { gate: true, ..few }), [Attack::STRONGEST]);
        assert_eq!(attacks(few), [Attack::IFGSM]);
    }
}
