//! SRGAN's discriminator (Ledig et al., CVPR 2017, Sec. 2): it learns to tell HR images from outputs of the
//! network, and gives the network the adversarial loss.
//!
//! Every step trains both, the discriminator first, by Adam at the same rate. The original starts
//! from an SRResNet trained before; from random weights the content loss leads at first, for the
//! adversarial one has a weight of 1e-3. Deliberately absent: the network itself, its optimiser and
//! the content loss.

use crate::harden::HardenError;
use crate::harden::adam::{Adam, AdamState};
use crate::harden::config::Recipe;
use crate::harden::names::CHECKPOINT;
use crate::harden::seed::Purpose;
use crate::runtime::RuntimeError;
use crate::runtime::torch::{Mode, Program};
use crate::torch::{Device, Kind, TchError, Tensor, no_grad};
use crate::zoo::{self, Preset};

/// The weight of the adversarial loss beside the content loss (eq. 3).
pub(super) const WEIGHT: f64 = 1e-3;

/// The discriminator beside a small network.
const SMALL: zoo::Discriminator = zoo::Discriminator { features: 8 };

/// The discriminator and its optimiser.
pub(super) struct Discriminator {
    program: Program,
    adam: Adam,
}

/// The losses of one step.
pub(super) struct Round {
    /// The network's adversarial loss, -log D(S(x)), mean over the batch (eq. 6).
    pub adversarial: Tensor,
    /// The discriminator's own loss: its cross-entropy on HR images plus that on outputs.
    pub discriminator: f64,
}

/// The discriminator's part of a checkpoint.
#[derive(Debug)]
pub struct DiscriminatorState {
    /// Its parameters and running statistics.
    pub weights: Vec<(String, Tensor)>,
    /// The moments of its optimiser.
    pub adam: AdamState,
}

impl Discriminator {
    /// The discriminator of a recipe, with its initial weights.
    pub fn new(recipe: &Recipe, device: Device) -> Result<Self, HardenError> {
        let design = match recipe.size {
            Preset::Full => zoo::Discriminator::FULL,
            Preset::Small => SMALL,
        };
        let model = design.build(Purpose::Discriminator.seed(recipe.seed))?;
        let mut program = Program::compile(&model, device, Kind::Float)?;
        program.set_mode(Mode::Train);
        let adam = Adam::new(program.parameters())?;
        Ok(Self { program, adam })
    }

    /// Trains the discriminator on outputs and HR images, both (N, 3, H, W) on [0, 1], and then takes the
    /// adversarial loss of the outputs. Where its own loss is not finite, it stays as it is.
    pub fn round(&mut self, outputs: &Tensor, hr: &Tensor, rate: f64) -> Result<Round, HardenError> {
        let discriminator = self.learn(&outputs.f_detach()?, hr, rate)?;
        let adversarial = cross_entropy(&self.logits(outputs)?)?;
        Ok(Round { adversarial, discriminator })
    }

    fn learn(&mut self, outputs: &Tensor, hr: &Tensor, rate: f64) -> Result<f64, HardenError> {
        self.program.set_trainable(true);
        let on_hr = cross_entropy(&self.logits(hr)?)?;
        let on_outputs = cross_entropy(&self.logits(outputs)?.f_neg()?)?;
        let loss = on_hr.f_add(&on_outputs)?;
        let value = loss.f_double_value(&[])?;
        if value.is_finite() {
            self.adam.zero_grad();
            loss.f_backward()?;
            self.adam.step(rate)?;
        }
        // The network's own step needs no gradients of these weights.
        self.program.set_trainable(false);
        Ok(value)
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor, RuntimeError> {
        Ok(self.program.run(&[images.shallow_clone()])?.swap_remove(0))
    }

    /// What a checkpoint holds of it.
    pub fn state(&self) -> DiscriminatorState {
        DiscriminatorState { weights: self.program.state(), adam: self.adam.state() }
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// The name and shape of the first weight that it lacks.
    pub fn restore(&mut self, saved: Option<&DiscriminatorState>) -> Result<(), HardenError> {
        let lacks = |what: String| HardenError::Checkpoint {
            path: CHECKPOINT.into(),
            problem: format!("of the discriminator it has no {what}"),
        };
        let saved = saved.ok_or_else(|| lacks("weights".into()))?;
        for (name, mut own) in self.program.state() {
            let same = saved.weights.iter().find(|(candidate, _)| *candidate == name);
            let value = same.map(|(_, tensor)| tensor).filter(|tensor| tensor.size() == own.size());
            let value = value.ok_or_else(|| lacks(format!("`{name}` of shape {:?}", own.size())))?;
            no_grad(|| own.f_copy_(value))?;
        }
        Ok(self.adam.load_state(&saved.adam)?)
    }
}

/// The cross-entropy of logits where all labels are 1: -log sigmoid, mean over the batch. With the logits
/// negated, that where all labels are 0.
fn cross_entropy(logits: &Tensor) -> Result<Tensor, TchError> {
    logits.f_log_sigmoid()?.f_neg()?.f_mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::to_vec;
    use crate::zoo::Arch;

    fn discriminator() -> Discriminator {
        Discriminator::new(&Recipe { size: Preset::Small, ..Recipe::of(Arch::Srgan) }, Device::Cpu).unwrap()
    }

    /// Four smooth images and four fine-grained ones, no two alike: BatchNormalization leaves nothing
    /// of a batch of equal images.
    fn images(side: i64) -> (Tensor, Tensor) {
        let places = Tensor::arange(4 * 3 * side * side, (Kind::Float, Device::Cpu));
        let wave = |height: f64, pace: f64| ((&places * pace).sin() * height + 0.5).view([4, 3, side, side]);
        (wave(0.2, 0.003), wave(0.4, 1.9))
    }

    #[test]
    fn the_cross_entropy_is_of_labels_of_one() {
        let logits = Tensor::from_slice(&[0f32, 100.0, -100.0]);
        let found = cross_entropy(&logits).unwrap().double_value(&[]);
        assert!((found - (std::f64::consts::LN_2 + 100.0) / 3.0).abs() < 1e-5, "{found}");
    }

    #[test]
    fn the_discriminator_learns_to_tell_and_takes_any_size() {
        let mut discriminator = discriminator();
        let mut losses = Vec::new();
        for step in 0..36 {
            let (made, real) = images([24, 33, 40][step % 3]);
            losses.push(discriminator.round(&made, &real, 2e-3).unwrap().discriminator);
        }
        let (first, last) = (losses[..3].iter().sum::<f64>(), losses[33..].iter().sum::<f64>());
        assert!(last < 0.8 * first, "{losses:?}");
    }

    #[test]
    fn the_image_gets_a_gradient_and_the_discriminators_weights_none() {
        let mut discriminator = discriminator();
        let (made, real) = images(24);
        let made = made.set_requires_grad(true);
        let round = discriminator.round(&made, &real, 1e-3).unwrap();
        let before: Vec<_> =
            discriminator.program.parameters().iter().map(|(_, own)| own.grad().copy()).collect();
        round.adversarial.backward();
        assert!(made.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
        let after: Vec<_> = discriminator.program.parameters().iter().map(|(_, own)| own.grad()).collect();
        assert!(before.iter().zip(&after).all(|(before, after)| before.equal(after)));
    }

    #[test]
    fn a_restored_discriminator_goes_on_bit_identically() {
        let (made, real) = images(24);
        let mut whole = discriminator();
        let mut parts = discriminator();
        for discriminator in [&mut whole, &mut parts] {
            discriminator.round(&made, &real, 1e-3).unwrap();
        }
        let saved = parts.state();
        let mut parts = discriminator();
        parts.restore(Some(&saved)).unwrap();
        for discriminator in [&mut whole, &mut parts] {
            discriminator.round(&made, &real, 1e-3).unwrap();
        }
        for ((name, one), (_, other)) in whole.state().weights.iter().zip(&parts.state().weights) {
            assert_eq!(to_vec::<f32>(one).unwrap(), to_vec::<f32>(other).unwrap(), "{name}");
        }
        let lacking = DiscriminatorState { weights: Vec::new(), adam: saved.adam };
        let error = parts.restore(Some(&lacking)).unwrap_err().to_string();
        assert!(error.contains("no `body.0.weight` of shape [8, 3, 3, 3]"), "{error}");
        assert!(parts.restore(None).unwrap_err().to_string().contains("no weights"));
    }
}
