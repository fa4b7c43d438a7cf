//! I-FGSM, eq. (14), by autograd on the network under training: the attack of validation, and of
//! adversarial training (Sec. 5.6, T = 1), there with more and longer steps where a recipe asks for them
//! (PGD, Madry et al., ICLR 2018).
//!
//! At x0 the norm has no gradient, so the first step starts from x0 plus seeded uniform noise; all
//! points stay within alpha of x0. The sign of the norm's gradient is that of its square's. Deliberately absent: the defence's noise, for what is attacked is the network as it
//! would serve.

use crate::density::Noise;
use crate::harden::HardenError;
use crate::harden::config::Recipe;
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
    /// The length of a step and the reach of the noise at the start, on [0, 1].
    step_size: f64,
    reach: f64,
    start: Noise,
}

/// The steps of PGD together, in budgets: far enough to cross from anywhere in the ball to its border.
const PATH: f64 = 2.5;

impl Adversary {
    /// I-FGSM of `budget` / 255 in `steps` equal steps under a run's seed.
    pub fn ifgsm(budget: f64, steps: u32, seed: u64) -> Self {
        let alpha = budget / 255.0;
        let step_size = alpha / f64::from(steps);
        Self { alpha, steps, step_size, reach: step_size, start: Noise::new(Purpose::Attack.seed(seed)) }
    }

    /// The attack of a recipe's adversarial training, where it has any.
    pub fn of(recipe: &Recipe) -> Option<Self> {
        let (budget, steps) = (recipe.adversarial, recipe.adversarial_steps);
        let alpha = budget / 255.0;
        let step_size = alpha * (PATH / f64::from(steps)).min(1.0);
        let reach = alpha * recipe.adversarial_start.reach();
        (budget > 0.0).then(|| Self { step_size, reach, ..Self::ifgsm(budget, steps, recipe.seed) })
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
        let noise = self.start.uniform_like(x, 2.0 * self.reach, step)?;
        let mut attacked = (x + noise).f_clamp(0.0, 1.0)?.f_detach()?;
        for _ in 0..self.steps {
            let start = attacked.f_detach()?.set_requires_grad(true);
            let distance = network(&start)?.f_sub(&target)?.f_square()?.f_sum(Kind::Float)?;
            let direction = gradient(&distance, &start)?.f_sign()?;
            attacked = no_grad(|| -> Result<Tensor, HardenError> {
                let moved = start.f_detach()? + direction * self.step_size;
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
    use crate::harden::config::AttackStart;
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
        let adversary = Adversary::ifgsm(8.0, 1, 5);
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
    #[test]
    fn training_attacks_from_where_the_recipe_says_and_more_steps_do_more() {
        let model = Edsr { features: 8, blocks: 1, scale: 2 }.build(3).unwrap();
        let network = Program::compile(&model, Device::Cpu, Kind::Float).unwrap();
        let run = |x: &Tensor| Ok(network.run(&[x.shallow_clone()])?.remove(0));
        let x = (Tensor::arange(3 * 12 * 10, (Kind::Float, Device::Cpu)) / 359.0).view([1, 3, 12, 10]);
        let moved = |steps, start| {
            let recipe = Recipe {
                adversarial: 8.0,
                adversarial_steps: steps,
                adversarial_start: start,
                ..Recipe::default()
            };
            let attacked = Adversary::of(&recipe).unwrap().attack(&run, &x, 0).unwrap();
            assert!((&attacked - &x).abs().max().double_value(&[]) <= 8.0 / 255.0 + 1e-6);
            no_grad(|| (run(&attacked).unwrap() - run(&x).unwrap()).square().sum(Kind::Double))
                .double_value(&[])
        };
        assert!(moved(4, AttackStart::Ball) > moved(1, AttackStart::Ball));
        assert_ne!(moved(1, AttackStart::Crop), moved(1, AttackStart::Ball));
        assert!(Adversary::of(&Recipe::default()).is_none());
    }
}
