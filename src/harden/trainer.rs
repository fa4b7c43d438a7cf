//! The network, the estimator and the optimiser under training, one step at a time.
//!
//! Deliberately absent: files, images and time.

use super::HardenError;
use super::adam::Adam;
use super::adversary::Adversary;
use super::checkpoint::Checkpoint;
use super::content::Content;
use super::data::Batch;
use super::defence::{Defence, Seen};
use super::gan::{self, Opponent};
use super::loss;
use super::recipe::Recipe;
use super::tap;
use crate::onnx::Model;
use crate::runtime::torch::{Mode, Program};
use crate::torch::{Device, Kind, Tensor, no_grad};

/// The losses of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Losses {
    /// L_r + lambda L_e; of SRGAN with a thousandth of the adversarial loss.
    pub total: f64,
    /// L_r, in the unit of the network's loss.
    pub reconstruction: f64,
    /// L_e: bits per element of Phi.
    pub entropy: Option<f64>,
    /// The standard deviation of Phi, before the noise.
    pub spread: f64,
    /// What the discriminator thinks of the output.
    pub fooling: Option<f64>,
    /// The discriminator's own loss.
    pub discriminator: Option<f64>,
}

/// Everything that a step changes.
pub(super) struct Trainer {
    recipe: Recipe,
    program: Program,
    tap: String,
    defence: Defence,
    adversary: Option<Adversary>,
    /// Compares by features and not by pixels.
    content: Option<Content>,
    opponent: Option<Opponent>,
    adam: Adam,
    step: u64,
}

impl Trainer {
    /// A trainer of `model`, the network of `recipe`, at step 0.
    pub fn new(recipe: &Recipe, model: &Model, device: Device) -> Result<Self, HardenError> {
        let mut program = Program::compile(model, device, Kind::Float)?;
        program.set_trainable(true);
        let tap = tap::resolve(model, &recipe.tap)?;
        let channels = channels_at(&program, &tap, &recipe.tap)?;
        let defence = Defence::new(recipe, channels, device)?;
        let mut leaves = program.parameters();
        leaves.extend(defence.parameters());
        let adam = Adam::new(leaves)?;
        let adversary = (recipe.adversarial > 0.0).then(|| Adversary::new(recipe.adversarial, recipe.seed));
        let content = match recipe.vgg.as_ref().zip(recipe.vgg_tap.as_ref()) {
            Some((file, tap)) => Some(Content::read(file, tap, device)?),
            None => None,
        };
        let opponent = if recipe.arch.adversarial() { Some(Opponent::new(recipe, device)?) } else { None };
        let recipe = recipe.clone();
        Ok(Self { recipe, program, tap, defence, adversary, content, opponent, adam, step: 0 })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The network as it stands.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Parameters of the network and of the estimator.
    pub fn parameter_counts(&self) -> (usize, usize) {
        let count = |list: Vec<(String, Tensor)>| list.iter().map(|(_, tensor)| tensor.numel()).sum();
        (count(self.program.parameters()), count(self.defence.parameters()))
    }

    /// One step of Adam on the crops of this step.
    ///
    /// # Errors
    /// [`HardenError::Diverged`] before anything is changed where the loss is no number.
    pub fn train(&mut self, batch: &Batch) -> Result<Losses, HardenError> {
        let side = self.recipe.patch as i64;
        let scale = self.recipe.scale as i64;
        let lr = self.images(&batch.lr, side)?;
        let hr = self.images(&batch.hr, side * scale)?;
        let (lr, hr) = self.with_attacked(lr, hr)?;
        self.program.set_mode(Mode::Train);
        let forward = self.forward(lr);
        self.program.set_mode(Mode::Evaluate);
        let (output, Seen { bits: entropy, spread }) = forward?;
        let rate = self.recipe.learning_rate_at(self.step);
        let reconstruction = match &self.content {
            Some(content) => content.distance(&output, &hr)?,
            None => loss::reconstruction(self.recipe.arch.loss(), &output, &hr)?,
        };
        let round = match &mut self.opponent {
            Some(opponent) => Some(opponent.round(&output, &hr, rate)?),
            None => None,
        };
        let mut total = reconstruction.shallow_clone();
        if let Some(entropy) = &entropy {
            total = total.f_add(&entropy.f_mul_scalar(self.recipe.lambda)?)?;
        }
        if let Some(round) = &round {
            total = total.f_add(&round.fooling.f_mul_scalar(gan::WEIGHT)?)?;
        }
        let losses = Losses {
            total: total.f_double_value(&[])?,
            reconstruction: reconstruction.f_double_value(&[])?,
            entropy: entropy.map(|entropy| entropy.f_double_value(&[])).transpose()?,
            spread: spread.map_or(Ok(f64::NAN), |spread| spread.f_double_value(&[]))?,
            fooling: round.as_ref().map(|round| round.fooling.f_double_value(&[])).transpose()?,
            discriminator: round.map(|round| round.discriminator),
        };
        if !(losses.total.is_finite() && losses.discriminator.is_none_or(f64::is_finite)) {
            return Err(self.diverged(&losses));
        }
        self.adam.zero_grad();
        total.f_backward()?;
        self.adam.step(rate)?;
        self.step += 1;
        Ok(losses)
    }

    /// In adversarial training, every image and, behind them, every image attacked, with one target
    /// for both.
    fn with_attacked(&self, lr: Tensor, hr: Tensor) -> Result<(Tensor, Tensor), HardenError> {
        let Some(adversary) = &self.adversary else { return Ok((lr, hr)) };
        let attacked = adversary.attack(&self.program, &lr, self.step)?;
        Ok((Tensor::f_cat(&[&lr, &attacked], 0)?, Tensor::f_cat(&[&hr, &hr], 0)?))
    }

    /// The output, and what is seen of Phi.
    fn forward(&self, lr: Tensor) -> Result<(Tensor, Seen), HardenError> {
        let mut seen = Seen::default();
        let mut outputs = self.program.run_tapped::<HardenError>(&[lr], &self.tap, &mut |phi| {
            let (phi, found) = self.defence.pass(phi, self.step)?;
            seen = found;
            Ok(phi)
        })?;
        Ok((outputs.swap_remove(0), seen))
    }

    /// Interleaved 8-bit pixels as (N, 3, side, side) on [0, 1], channels-last in memory.
    fn images(&self, pixels: &[u8], side: i64) -> Result<Tensor, HardenError> {
        images(pixels, side, side, self.program.device())
    }

    fn diverged(&self, losses: &Losses) -> HardenError {
        let mut parts = format!("reconstruction {}", losses.reconstruction);
        if let Some(entropy) = losses.entropy {
            parts += &format!(", entropy {entropy}");
        }
        if let (Some(fooling), Some(discriminator)) = (losses.fooling, losses.discriminator) {
            parts += &format!(", adversarial {fooling}, discriminator {discriminator}");
        }
        let rate = self.recipe.learning_rate_at(self.step);
        let advice = format!(
            "likely causes are a learning rate that is too high (it is {rate}: try --lr {}) or a lambda \
             that is too large (it is {}); the last checkpoint is from before this step",
            rate / 10.0,
            self.recipe.lambda
        );
        HardenError::Diverged { step: self.step + 1, value: losses.total, parts, advice }
    }

    /// Everything that a resumed run needs.
    pub fn checkpoint(&self) -> Checkpoint {
        let adam = self.adam.state();
        Checkpoint {
            recipe: self.recipe.clone(),
            step: self.step,
            weights: self.program.state(),
            estimator: self.defence.parameters(),
            adam,
            opponent: self.opponent.as_ref().map(Opponent::state),
        }
    }

    /// Continues from a checkpoint of the same recipe.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), HardenError> {
        no_grad(|| -> Result<(), HardenError> {
            for (name, mut own) in self.program.state() {
                own.f_copy_(checkpoint.weight(&name, &own.size())?)?;
            }
            Ok(())
        })?;
        self.defence.load(&checkpoint.estimator)?;
        if let Some(opponent) = &mut self.opponent {
            opponent.restore(checkpoint.opponent.as_ref())?;
        }
        self.adam.load_state(&checkpoint.adam)?;
        self.step = checkpoint.step;
        Ok(())
    }
}

/// The number of channels of a value, found by running the network on a small image.
fn channels_at(program: &Program, tap: &str, wish: &str) -> Result<usize, HardenError> {
    let image = Tensor::f_zeros([1, 3, 16, 16], (Kind::Float, program.device()))?;
    let mut size = Vec::new();
    no_grad(|| {
        program.run_tapped::<HardenError>(&[image], tap, &mut |phi| {
            size = phi.size();
            Ok(phi)
        })
    })?;
    match size[..] {
        [_, channels, _, _] if channels > 0 => Ok(channels as usize),
        _ => {
            let problem = format!(
                "value `{tap}` has shape {size:?}; a feature map of four axes (N, C, H, W) is wanted"
            );
            Err(HardenError::Tap { wish: wish.to_owned(), problem })
        }
    }
}

/// Interleaved 8-bit RGB pixels as (N, 3, height, width) on [0, 1], channels-last in memory.
pub(super) fn images(pixels: &[u8], height: i64, width: i64, device: Device) -> Result<Tensor, HardenError> {
    let bytes = Tensor::from_slice(pixels).f_view([-1, height, width, 3])?.f_permute([0i64, 3, 1, 2])?;
    Ok(bytes.f_to_device(device)?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
}
