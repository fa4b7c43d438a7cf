//! I-FGSM, eq. (14), by autograd on the network under training: with T = 1 the attack of adversarial
//! training (Sec. 5.6), with a few more steps that of validation.
//!
//! At x0 the norm has no gradient, so the first step starts from x0 plus seeded uniform noise of at
//! most alpha / T; all stay within alpha of x0. The sign of the norm's gradient is that of its
//! square's. Deliberately absent: the defence's noise, for what is attacked is the network as it
//! would serve.

use crate::density::Noise;
use crate::harden::HardenError;
use crate::harden::seed::Purpose;
use crate::runtime::torch::gradient;
use crate::torch::{Kind, Tensor, no_grad};

/// An attack on inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adversary {
    /// On [0, 1].
    alpha: f64,
    /// T.
    steps: u32,
    start: Noise,
}

impl Adversary {
    /// An attack of `budget` / 255 in `steps` steps under a run's seed.
    pub fn new(budget: f64, steps: u32, seed: u64) -> Self {
        Self { alpha: budget / 255.0, steps, start: Noise::new(Purpose::Attack.seed(seed)) }
    }

    /// Attacked versions of the images `x` (N, C, H, W) on [0, 1]; the same for the same step.
    ///
    /// # Errors
    /// The network or libtorch refuses.
    pub fn attack(
        &self,
        network: &dyn Fn(&Tensor) -> Result<Tensor, HardenError>,
        x: &Tensor,
        step: u64,
    ) -> Result<Tensor, HardenError> {
        let target = no_grad(|| network(x))?;
        let size = self.alpha / f64::from(self.steps);
        let noise = self.start.uniform_like(x, 2.0 * size, step)?;
        let mut attacked = (x + noise).f_clamp(0.0, 1.0)?.f_detach()?;
        for _ in 0..self.steps {
            let start = attacked.f_detach()?.set_requires_grad(true);
            let distance = network(&start)?.f_sub(&target)?.f_square()?.f_sum(Kind::Float)?;
            let direction = gradient(&distance, &start)?.f_sign()?;
            attacked = no_grad(|| -> Result<Tensor, HardenError> {
                let moved = start.f_detach()? + direction * size;
                let within = moved.f_minimum(&(x + self.alpha))?.f_maximum(&(x - self.alpha))?;
                Ok(within.f_clamp(0.0, 1.0)?)
            })?;
        }
        Ok(attacked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::torch::Program;
    use crate::torch::Device;
    use crate::zoo::Edsr;

    #[test]
    fn an_attack_stays_in_the_ball_and_does_more_than_noise() {
        let model = Edsr { features: 8, blocks: 1, scale: 2 }.build(3).unwrap();
        let mut network = Program::compile(&model, Device::Cpu, Kind::Float).unwrap();
        network.set_trainable(true);
        let parameters = network.parameters();
        let ramp = Tensor::arange(2 * 3 * 12 * 10, (Kind::Float, Device::Cpu)) / 719.0;
        let x = ramp.view([2, 3, 12, 10]);
        let adversary = Adversary::new(8.0, 1, 5);
        let network = |x: &Tensor| Ok(network.run(&[x.shallow_clone()])?.remove(0));
        let attacked = adversary.attack(&network, &x, 7).unwrap();
        assert!(!attacked.requires_grad());
        let apart = (&attacked - &x).abs().max().double_value(&[]);
        assert!(apart <= 8.0 / 255.0 + 1e-6 && apart > 7.9 / 255.0, "{apart}");
        assert!(attacked.min().double_value(&[]) >= 0.0 && attacked.max().double_value(&[]) <= 1.0);

        let run = |x: &Tensor| no_grad(|| network(x)).unwrap();
        let moved = |x: &Tensor, y: &Tensor| (run(x) - run(y)).square().sum(Kind::Double).double_value(&[]);
        let noisy = x.shallow_clone() + Noise::new(1).uniform_like(&x, 16.0 / 255.0, 0).unwrap();
        assert!(moved(&attacked, &x) > 3.0 * moved(&noisy, &x));
        // The weights keep no trace of it, and a step repeats itself.
        assert!(parameters.iter().all(|(_, weight)| !weight.grad().defined()));
        assert_eq!(attacked, adversary.attack(&network, &x, 7).unwrap());
        assert_ne!(attacked, adversary.attack(&network, &x, 8).unwrap());
    }
}
