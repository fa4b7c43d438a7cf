//! Attacks: one small file per attack over two templates, one that climbs gradients and one that
//! searches by forward passes alone. `cw`, which looks for the smallest perturbation, and universal
//! perturbations have loops of their own.
//!
//! An attack knows no runtime: it sees a [`Landscape`], which an oracle is, and a [`Goal`] with its
//! [`Ball`]. It cannot cheat either: the ball is checked outside it.

mod apgd;
mod ball;
mod budget;
mod cw;
mod discrepancy;
mod expected;
mod fgsm;
mod goal;
mod ifgsm;
mod mask;
mod mifgsm;
mod pgd;
mod random;
mod search;
mod settings;
mod spsa;
mod square;
mod template;
mod universal;

use std::str::FromStr;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::suggest::no_such;

pub use ball::{Ball, Norm, OutsideBall};
pub use budget::{Budget, parse_budgets};
pub use discrepancy::Discrepancy;
pub use goal::{Goal, Landscape};
pub use mask::{Mask, MaskError, Region};
pub use random::signed_noise;
pub use settings::{QUERIES, Settings, TARGET_PSNR};
pub use template::{AttackError, Attacked, Interrupted, OnStep};
pub use universal::Universal;

use template::{Steps, climb};

/// The attacks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attack {
    /// One step of the whole budget.
    Fgsm,
    /// Iterated steps along the sign of the gradient, eq. (14).
    Ifgsm,
    /// Iterated steps from random starts.
    Pgd,
    /// Iterated steps along a running sum of gradients.
    Mifgsm,
    /// Steps that halve when progress stalls.
    Apgd,
    /// The smallest perturbation that reaches a target.
    Cw,
    /// Iterated steps that disrupt features, eq. (13).
    Fda,
    /// Random search over windows; forward passes only.
    Square,
    /// Estimated gradients; forward passes only.
    Spsa,
    /// Random signs; forward passes only.
    Random,
}

/// Names on the command line and in reports.
const NAMES: [(&str, Attack); 10] = [
    ("fgsm", Attack::Fgsm),
    ("ifgsm", Attack::Ifgsm),
    ("pgd", Attack::Pgd),
    ("mifgsm", Attack::Mifgsm),
    ("apgd", Attack::Apgd),
    ("cw", Attack::Cw),
    ("fda", Attack::Fda),
    ("square", Attack::Square),
    ("spsa", Attack::Spsa),
    ("random", Attack::Random),
];

impl Attack {
    /// Every attack, those with gradients first.
    pub fn all() -> impl Iterator<Item = Attack> {
        NAMES.into_iter().map(|(_, attack)| attack)
    }

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, attack)| *attack == self).map_or("", |(name, _)| name)
    }

    /// Whether it climbs gradients, which must be trusted then.
    pub fn needs_gradient(self) -> bool {
        !matches!(self, Attack::Square | Attack::Spsa | Attack::Random)
    }

    /// Whether its objective is that of features, whatever else is asked for.
    pub fn needs_tap(self) -> bool {
        self == Attack::Fda
    }

    /// Whether it looks for the smallest perturbation, whatever the budget, and only away from S(x0).
    pub fn is_minimal(self) -> bool {
        self == Attack::Cw
    }

    /// Whether its starts or draws are random, so that more of them may find more.
    pub fn restarts(self) -> bool {
        matches!(self, Attack::Pgd | Attack::Apgd | Attack::Random)
    }

    /// How often `on_step` is called for one image at most: gradients, or points tried.
    pub fn steps(self, settings: &Settings) -> u64 {
        let restarts = if self.restarts() { settings.restarts.max(1) } else { 1 };
        let steps = match self {
            Attack::Fgsm => 1,
            Attack::Square | Attack::Spsa => settings.queries,
            Attack::Random => restarts,
            Attack::Cw => settings.iterations * cw::TRADES,
            _ => settings.iterations * restarts,
        };
        steps as u64
    }

    /// The settings that matter to it, the others as they are where nothing is said: two that are equal give
    /// equal results.
    pub fn settings(self, all: &Settings) -> Settings {
        let unsaid = Settings::default();
        let climbs = self.needs_gradient() && self != Attack::Fgsm;
        let searches = matches!(self, Attack::Square | Attack::Spsa);
        Settings {
            iterations: if climbs { all.iterations } else { unsaid.iterations },
            restarts: if self.restarts() { all.restarts } else { unsaid.restarts },
            queries: if searches { all.queries } else { unsaid.queries },
            ..all.clone()
        }
    }

    /// Attacks images of one shape, each as if it were alone, with random numbers of its own.
    ///
    /// `landscape` answers for the objective that the attack needs. The results lie in their balls
    /// as far as the attack knows; who ordered it checks.
    ///
    /// # Errors
    /// What the landscape refuses, and an interruption.
    pub fn run(
        self,
        landscape: &mut dyn Landscape,
        goals: &[&Goal],
        settings: &Settings,
        rngs: &mut [ChaCha8Rng],
        on_step: &mut OnStep<'_>,
    ) -> Result<Vec<Attacked>, AttackError> {
        let once =
            Settings { restarts: if self.restarts() { settings.restarts } else { 1 }, ..settings.clone() };
        let (steps, queries) = (settings.iterations, settings.queries);
        if self == Attack::Cw {
            let each = goals.iter().zip(rngs);
            return each.map(|(goal, rng)| cw::smallest(landscape, goal, settings, rng, on_step)).collect();
        }
        let mut up = |settings: &Settings, make: &dyn Fn(&Goal) -> Box<dyn Steps>| {
            climb(make, landscape, goals, settings, rngs, on_step)
        };
        match self {
            Attack::Cw => Ok(vec![]),
            Attack::Fgsm => up(&Settings { iterations: 1, ..once }, &|_| Box::new(fgsm::Fgsm)),
            Attack::Ifgsm => up(&once, &|goal| Box::new(ifgsm::Ifgsm::new(goal.ball.level(), steps))),
            Attack::Fda => up(&once, &|goal| Box::new(ifgsm::Ifgsm::from_x0(goal.ball.level(), steps))),
            Attack::Pgd => up(&once, &|goal| Box::new(pgd::Pgd::new(goal.ball.level(), steps))),
            Attack::Mifgsm => up(&once, &|goal| Box::new(mifgsm::Mifgsm::new(goal.ball.level(), steps))),
            Attack::Apgd => up(&once, &|goal| Box::new(apgd::Apgd::new(goal.ball.level(), steps))),
            Attack::Square => {
                let make = |_: &Goal| -> Box<dyn search::Search> { Box::new(square::Square::new(queries)) };
                search::search(&make, landscape, goals, (settings, queries), rngs, on_step)
            }
            Attack::Spsa => {
                let make = |goal: &Goal| -> Box<dyn search::Search> {
                    Box::new(spsa::Spsa::new(goal.ball.level(), queries))
                };
                search::search(&make, landscape, goals, (settings, queries), rngs, on_step)
            }
            Attack::Random => {
                let make =
                    |_: &Goal| -> Box<dyn search::Search> { Box::new(random::Random::new(settings.batch)) };
                search::search(&make, landscape, goals, (settings, once.restarts), rngs, on_step)
            }
        }
    }

    /// Attacks one image.
    ///
    /// # Errors
    /// As for [`Self::run`].
    pub fn run_one(
        self,
        landscape: &mut dyn Landscape,
        goal: &Goal,
        settings: &Settings,
        rng: &mut ChaCha8Rng,
        on_step: &mut OnStep<'_>,
    ) -> Result<Attacked, AttackError> {
        let found = self.run(landscape, &[goal], settings, std::slice::from_mut(rng), on_step)?;
        let nothing =
            || Attacked { image: goal.ball.centre().to_owned(), values: vec![], value: None, reached: None };
        Ok(found.into_iter().next().unwrap_or_else(nothing))
    }
}

impl Serialize for Attack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if let Some((_, attack)) = NAMES.iter().find(|(name, _)| *name == given) {
            return Ok(*attack);
        }
        Err(no_such("attack", given, NAMES.iter().map(|(name, _)| *name)))
    }
}

/// The random numbers of one attack on one image: the same on every runtime and whatever else is
/// attacked beside it.
pub fn seeded(seed: u64, image: &str, attack: Attack, budget: Budget) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    for part in [seed.to_string().as_str(), image, attack.name(), &budget.to_string()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn an_unknown_attack_names_the_nearest() {
        for attack in Attack::all() {
            assert_eq!(attack.name().parse(), Ok(attack));
        }
        assert!("ifsgm".parse::<Attack>().unwrap_err().contains("did you mean `ifgsm`"));
        assert!("sqare".parse::<Attack>().unwrap_err().contains("did you mean `square`"));
    }

    #[test]
    fn settings_that_do_not_matter_to_an_attack_do_not_count() {
        let plain = Settings::default();
        let other = Settings { iterations: 7, restarts: 3, queries: 9, ..plain.clone() };
        assert_eq!(Attack::Fgsm.settings(&other), plain);
        assert_eq!(Attack::Ifgsm.settings(&other), Settings { iterations: 7, ..plain.clone() });
        assert_eq!(Attack::Square.settings(&other), Settings { queries: 9, ..plain.clone() });
        assert_eq!(Attack::Random.settings(&other), Settings { restarts: 3, ..plain.clone() });
        let apgd = Settings { iterations: 7, restarts: 3, ..plain };
        assert_eq!(Attack::Apgd.settings(&other), apgd);
    }

    #[test]
    fn settings_and_attacks_have_stable_names_in_files() {
        let json = serde_json::to_value((Attack::Ifgsm, Norm::L2, Settings::default())).unwrap();
        let settings = r#"{"iterations":50,"restarts":1,"queries":500,"target_psnr":null,"batch":1}"#;
        let expected: serde_json::Value =
            serde_json::from_str(&format!(r#"["ifgsm","l2",{settings}]"#)).unwrap();
        assert_eq!(json, expected);
    }

    #[test]
    fn random_numbers_depend_on_all_that_names_the_attack() {
        let budget = |value: &str| parse_budgets(value).unwrap()[0];
        let draw = |seed, image: &str, value| seeded(seed, image, Attack::Ifgsm, budget(value)).next_u64();
        assert_eq!(draw(0, "a.png", "4"), draw(0, "a.png", "4.0"));
        for other in [draw(1, "a.png", "4"), draw(0, "b.png", "4"), draw(0, "a.png", "8")] {
            assert_ne!(draw(0, "a.png", "4"), other);
        }
    }
}
