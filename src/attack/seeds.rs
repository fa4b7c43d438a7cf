//! The random numbers of attacks.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::budget::Budget;
use super::row::Attack;

/// The random numbers of one attack on one image: the same on every runtime, and whatever else is attacked
/// beside it. An ensemble has those of its first member, which then does what it does alone.
pub fn seeded(seed: u64, image: &str, attack: Attack, budget: Budget) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    for part in [seed.to_string().as_str(), image, attack.stream(), &budget.to_string()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::super::parse_budgets;
    use super::*;

    #[test]
    fn random_numbers_depend_on_all_that_names_the_attack() {
        let budget = |value: &str| parse_budgets(value).unwrap()[0];
        let draw = |seed, image: &str, value| seeded(seed, image, Attack::IFGSM, budget(value)).next_u64();
        assert_eq!(draw(0, "a.png", "4"), draw(0, "a.png", "4.0"));
        for other in [draw(1, "a.png", "4"), draw(0, "b.png", "4"), draw(0, "a.png", "8")] {
            assert_ne!(draw(0, "a.png", "4"), other);
        }
    }
}
