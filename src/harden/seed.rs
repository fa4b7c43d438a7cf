//! Seeds derived from a recipe's one seed, so that draws for different purposes are independent.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What random numbers are drawn for. The network's weights are drawn from the seed itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Which crops make a batch, and how they are turned.
    Crops = 1,
    /// Eq. (12).
    Noise = 2,
    /// The estimator's initial values.
    Estimator = 3,
    /// Where adversarial training's attack starts.
    Attack = 4,
    /// The noise with which a validation measures what follows Phi.
    Gain = 5,
    /// The initial weights of SRGAN's discriminator.
    Discriminator = 16,
}

impl Purpose {
    /// The seed for this purpose.
    pub fn seed(self, seed: u64) -> u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(self as u64);
        rng.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_seeds_do_not_share_numbers() {
        let purposes = [
            Purpose::Crops,
            Purpose::Noise,
            Purpose::Estimator,
            Purpose::Attack,
            Purpose::Gain,
            Purpose::Discriminator,
        ];
        let seeds: std::collections::HashSet<_> =
            (0..100).flat_map(|seed| purposes.map(|purpose| purpose.seed(seed))).collect();
        assert_eq!(seeds.len(), 600);
    }
}
