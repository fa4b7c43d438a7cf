//! SRGAN's training (Ledig et al., CVPR 2017, Sec. 2): a discriminator learns to tell photographs
//! from what the network makes of them, and the network to be taken for a photograph.
//!
//! Every step trains both, the discriminator first, by Adam at the same rate. The original starts
//! from an SRResNet trained before; from random weights the content loss leads at first, for the
//! adversarial one weighs a thousandth. Deliberately absent: the network itself, its optimiser and
//! the content loss.

use super::HardenError;
use super::adam::{Adam, AdamState};
use super::random::Purpose;
use super::recipe::Recipe;
use crate::runtime::RuntimeError;
use crate::runtime::torch::{Mode, Program};
use crate::torch::{Device, Kind, TchError, Tensor, no_grad};
use crate::zoo::{Discriminator, Preset};

/// What the adversarial loss counts beside the content loss (eq. 3).
pub(super) const WEIGHT: f64 = 1e-3;

/// The width of the discriminator beside a small network.
const SMALL: Discriminator = Discriminator { features: 8 };

/// The discriminator and its optimiser.
pub(super) struct Opponent {
    discriminator: Program,
    adam: Adam,
}

/// One step of the contest.
pub(super) struct Round {
    /// -log D(S(x)), mean over the batch (eq. 6): what the network is to make small.
    pub fooling: Tensor,
    /// What the discriminator made small in this step: its error on photographs and on made ones.
    pub discriminator: f64,
}

/// The discriminator's part of a checkpoint.
#[derive(Debug)]
pub struct OpponentState {
    /// Its parameters and running statistics.
    pub weights: Vec<(String, Tensor)>,
    /// The moments of its optimiser.
    pub adam: AdamState,
}

impl Opponent {
    /// The discriminator of a recipe, with its initial weights.
    pub fn new(recipe: &Recipe, device: Device) -> Result<Self, HardenError> {
        let design = match recipe.preset {
            Preset::Full => Discriminator::FULL,
            Preset::Small => SMALL,
        };
        let model = design.build(Purpose::Discriminator.seed(recipe.seed))?;
        let mut discriminator = Program::compile(&model, device, Kind::Float)?;
        discriminator.set_mode(Mode::Train);
        let adam = Adam::new(discriminator.parameters())?;
        Ok(Self { discriminator, adam })
    }

    /// Trains the discriminator on `made` and `real`, both (N, 3, H, W) on [0, 1], and asks it of
    /// `made` again. Where its loss is no number, it stays as it is.
    pub fn round(&mut self, made: &Tensor, real: &Tensor, rate: f64) -> Result<Round, HardenError> {
        let discriminator = self.learn(&made.f_detach()?, real, rate)?;
        let fooling = surprise(&self.logits(made)?)?;
        Ok(Round { fooling, discriminator })
    }

    fn learn(&mut self, made: &Tensor, real: &Tensor, rate: f64) -> Result<f64, HardenError> {
        self.discriminator.set_trainable(true);
        let on_real = surprise(&self.logits(real)?)?;
        let on_made = surprise(&self.logits(made)?.f_neg()?)?;
        let loss = on_real.f_add(&on_made)?;
        let value = loss.f_double_value(&[])?;
        if value.is_finite() {
            self.adam.zero_grad();
            loss.f_backward()?;
            self.adam.step(rate)?;
        }
        // The network's own step has no use for gradients of these weights.
        self.discriminator.set_trainable(false);
        Ok(value)
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor, RuntimeError> {
        Ok(self.discriminator.run(&[images.shallow_clone()])?.swap_remove(0))
    }

    /// What a checkpoint holds of it.
    pub fn state(&self) -> OpponentState {
        OpponentState { weights: self.discriminator.state(), adam: self.adam.state() }
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// The name and shape of the first weight that it lacks.
    pub fn restore(&mut self, saved: Option<&OpponentState>) -> Result<(), HardenError> {
        let lacks = |what: String| HardenError::Checkpoint {
            path: super::run::CHECKPOINT.into(),
            problem: format!("of the discriminator it has no {what}"),
        };
        let saved = saved.ok_or_else(|| lacks("weights".into()))?;
        for (name, mut own) in self.discriminator.state() {
            let same = saved.weights.iter().find(|(candidate, _)| *candidate == name);
            let value = same.map(|(_, tensor)| tensor).filter(|tensor| tensor.size() == own.size());
            let value = value.ok_or_else(|| lacks(format!("`{name}` of shape {:?}", own.size())))?;
            no_grad(|| own.f_copy_(value))?;
        }
        Ok(self.adam.load_state(&saved.adam)?)
    }
}

/// -log of the probability that these logits give, mean over the batch: the cross-entropy where the
/// answer is yes. Of the negated logits, where it is no.
fn surprise(logits: &Tensor) -> Result<Tensor, TchError> {
    logits.f_log_sigmoid()?.f_neg()?.f_mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::to_vec;
    use crate::zoo::Arch;

    fn opponent() -> Opponent {
        Opponent::new(&Recipe { preset: Preset::Small, ..Recipe::of(Arch::Srgan) }, Device::Cpu).unwrap()
    }

    /// Four smooth images and four fine-grained ones, no two alike: BatchNormalization leaves nothing
    /// of a batch of equal images.
    fn images(side: i64) -> (Tensor, Tensor) {
        let places = Tensor::arange(4 * 3 * side * side, (Kind::Float, Device::Cpu));
        let wave = |height: f64, pace: f64| ((&places * pace).sin() * height + 0.5).view([4, 3, side, side]);
        (wave(0.2, 0.003), wave(0.4, 1.9))
    }

    #[test]
    fn surprise_is_the_cross_entropy() {
        let logits = Tensor::from_slice(&[0f32, 100.0, -100.0]);
        let found = surprise(&logits).unwrap().double_value(&[]);
        assert!((found - (std::f64::consts::LN_2 + 100.0) / 3.0).abs() < 1e-5, "{found}");
    }

    #[test]
    fn the_discriminator_learns_to_tell_and_takes_any_size() {
        let mut opponent = opponent();
        let mut losses = Vec::new();
        for step in 0..36 {
            let (made, real) = images([24, 33, 40][step % 3]);
            losses.push(opponent.round(&made, &real, 2e-3).unwrap().discriminator);
        }
        let (first, last) = (losses[..3].iter().sum::<f64>(), losses[33..].iter().sum::<f64>());
        assert!(last < 0.8 * first, "{losses:?}");
    }

    #[test]
    fn the_image_gets_a_gradient_and_the_discriminators_weights_none() {
        let mut opponent = opponent();
        let (made, real) = images(24);
        let made = made.set_requires_grad(true);
        let round = opponent.round(&made, &real, 1e-3).unwrap();
        let before: Vec<_> =
            opponent.discriminator.parameters().iter().map(|(_, own)| own.grad().copy()).collect();
        round.fooling.backward();
        assert!(made.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
        let after: Vec<_> = opponent.discriminator.parameters().iter().map(|(_, own)| own.grad()).collect();
        assert!(before.iter().zip(&after).all(|(before, after)| before.equal(after)));
    }

    #[test]
    fn a_restored_opponent_goes_on_bit_identically() {
        let (made, real) = images(24);
        let mut whole = opponent();
        let mut parts = opponent();
        for opponent in [&mut whole, &mut parts] {
            opponent.round(&made, &real, 1e-3).unwrap();
        }
        let saved = parts.state();
        let mut parts = opponent();
        parts.restore(Some(&saved)).unwrap();
        for opponent in [&mut whole, &mut parts] {
            opponent.round(&made, &real, 1e-3).unwrap();
        }
        for ((name, one), (_, other)) in whole.state().weights.iter().zip(&parts.state().weights) {
            assert_eq!(to_vec::<f32>(one).unwrap(), to_vec::<f32>(other).unwrap(), "{name}");
        }
        let lacking = OpponentState { weights: Vec::new(), adam: saved.adam };
        let error = parts.restore(Some(&lacking)).unwrap_err().to_string();
        assert!(error.contains("no `body.0.weight` of shape [8, 3, 3, 3]"), "{error}");
        assert!(parts.restore(None).unwrap_err().to_string().contains("no weights"));
    }
}
