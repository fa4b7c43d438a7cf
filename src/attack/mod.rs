//! Attacks: one template loop, one small file per attack.
//!
//! An attack knows no runtime: it sees an [`Oracle`] and a [`Ball`]. It cannot cheat either: the
//! ball is checked outside it.

mod ball;
mod budget;
mod ifgsm;
mod template;

use std::str::FromStr;

use ndarray::Array4;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

pub use ball::{Ball, OutsideBall};
pub use budget::{Budget, parse_budgets};
pub use template::{AttackError, Attacked, Interrupted, OnStep};

use crate::oracle::Oracle;

/// The attacks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Iterated steps along the sign of the gradient, eq. (14).
    Ifgsm,
}

/// Names on the command line and in reports.
const NAMES: [(&str, Attack); 1] = [("ifgsm", Attack::Ifgsm)];

impl Attack {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, attack)| *attack == self).map_or("", |(name, _)| name)
    }

    /// Attacks the image in the middle of the ball; `target` is S(x0).
    pub fn run(
        self,
        oracle: &mut Oracle,
        target: &Array4<f32>,
        ball: &Ball,
        iterations: usize,
        rng: &mut ChaCha8Rng,
        on_step: &mut OnStep<'_>,
    ) -> Result<Attacked, AttackError> {
        let mut steps = match self {
            Attack::Ifgsm => ifgsm::Ifgsm::new(ball.radius(), iterations),
        };
        template::climb(&mut steps, oracle, target, ball, iterations, rng, on_step)
    }
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if let Some((_, attack)) = NAMES.iter().find(|(name, _)| *name == given) {
            return Ok(*attack);
        }
        let near = NAMES.iter().max_by(|a, b| strsim::jaro(a.0, given).total_cmp(&strsim::jaro(b.0, given)));
        Err(format!(
            "there is no attack `{given}`; did you mean `{}`?",
            near.map_or("ifgsm", |(name, _)| name)
        ))
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
        assert_eq!("ifgsm".parse::<Attack>(), Ok(Attack::Ifgsm));
        assert!("ifsgm".parse::<Attack>().unwrap_err().contains("did you mean `ifgsm`"));
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
