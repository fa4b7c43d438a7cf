//! The network, the estimator and the optimiser under training, one step at a time.
//!
//! Deliberately absent: files, images and time.

use super::HardenError;
use super::adam::Adam;
use super::checkpoint::Checkpoint;
use super::content::Content;
use super::data::Batch;
use super::gan::{self, Opponent};
use super::loss;
use super::random::Purpose;
use super::recipe::Recipe;
use crate::density::{DensityEstimator, Noise};
use crate::onnx::Model;
use crate::runtime::torch::{Mode, Program};
use crate::torch::{Device, Kind, Tensor, no_grad};
use crate::zoo::TAP;

/// The losses of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Losses {
    /// L_r + lambda L_e; of SRGAN with a thousandth of the adversarial loss.
    pub total: f64,
    /// L_r, in the unit of the network's loss.
    pub reconstruction: f64,
    /// L_e: bits per element of Phi.
    pub entropy: Option<f64>,
    /// What the discriminator thinks of the output.
    pub fooling: Option<f64>,
    /// The discriminator's own loss.
    pub discriminator: Option<f64>,
}

/// Everything that a step changes.
pub(super) struct Trainer {
    recipe: Recipe,
    program: Program,
    regulariser: Option<Regulariser>,
    /// Compares by features and not by pixels.
    content: Option<Content>,
    opponent: Option<Opponent>,
    adam: Adam,
    step: u64,
}

/// What eq. (1) to (12) add to plain training.
struct Regulariser {
    tap: String,
    estimator: DensityEstimator,
    noise: Noise,
}

impl Trainer {
    /// A trainer of `model`, the network of `recipe`, at step 0.
    pub fn new(recipe: &Recipe, model: &Model, device: Device) -> Result<Self, HardenError> {
        let mut program = Program::compile(model, device, Kind::Float)?;
        program.set_trainable(true);
        let regulariser =
            if recipe.regularised() { Some(Regulariser::new(recipe, model, &program)?) } else { None };
        let mut leaves = program.parameters();
        leaves.extend(regulariser.iter().flat_map(|regulariser| regulariser.estimator.parameters()));
        let adam = Adam::new(leaves)?;
        let content = match recipe.vgg.as_ref().zip(recipe.vgg_tap.as_ref()) {
            Some((file, tap)) => Some(Content::read(file, tap, device)?),
            None => None,
        };
        let opponent = if recipe.arch.adversarial() { Some(Opponent::new(recipe, device)?) } else { None };
        Ok(Self { recipe: recipe.clone(), program, regulariser, content, opponent, adam, step: 0 })
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
        let estimator = self.regulariser.as_ref();
        (
            count(self.program.parameters()),
            estimator.map_or(0, |regulariser| count(regulariser.estimator.parameters())),
        )
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
        self.program.set_mode(Mode::Train);
        let forward = self.forward(lr);
        self.program.set_mode(Mode::Evaluate);
        let (output, entropy) = forward?;
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

    /// The output, and the entropy of Phi where it is regularised.
    fn forward(&self, lr: Tensor) -> Result<(Tensor, Option<Tensor>), HardenError> {
        let mut bits = None;
        let mut outputs = match &self.regulariser {
            None => self.program.run(&[lr])?,
            Some(regulariser) => {
                let delta = self.recipe.delta;
                self.program.run_tapped::<HardenError>(&[lr], &regulariser.tap, &mut |phi| {
                    // Eq. (12), before the estimator and before what follows in the network.
                    let phi = &phi + regulariser.noise.uniform_like(&phi, delta, self.step)?;
                    bits = Some(regulariser.estimator.bits(&phi, delta)?);
                    Ok(phi)
                })?
            }
        };
        Ok((outputs.swap_remove(0), bits))
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
            estimator: self
                .regulariser
                .iter()
                .flat_map(|regulariser| regulariser.estimator.parameters())
                .collect(),
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
        if let Some(regulariser) = &mut self.regulariser {
            regulariser.estimator.load(&checkpoint.estimator)?;
        }
        if let Some(opponent) = &mut self.opponent {
            opponent.restore(checkpoint.opponent.as_ref())?;
        }
        self.adam.load_state(&checkpoint.adam)?;
        self.step = checkpoint.step;
        Ok(())
    }
}

impl Regulariser {
    fn new(recipe: &Recipe, model: &Model, program: &Program) -> Result<Self, HardenError> {
        let tap = model.metadata.get(TAP).cloned().unwrap_or_default();
        let channels = channels_at(program, &tap)?;
        let seed = Purpose::Estimator.seed(recipe.seed);
        let device = program.device();
        let estimator = DensityEstimator::new(channels, &recipe.density(), Kind::Float, device, seed)?;
        Ok(Self { tap, estimator, noise: Noise::new(Purpose::Noise.seed(recipe.seed)) })
    }
}

/// The number of channels of a value, found by running the network on a small image.
fn channels_at(program: &Program, tap: &str) -> Result<usize, HardenError> {
    let image = Tensor::f_zeros([1, 3, 16, 16], (Kind::Float, program.device()))?;
    let mut channels = 0;
    no_grad(|| {
        program.run_tapped::<HardenError>(&[image], tap, &mut |phi| {
            channels = phi.size().get(1).map_or(0, |&length| length as usize);
            Ok(phi)
        })
    })?;
    Ok(channels)
}

/// Interleaved 8-bit RGB pixels as (N, 3, height, width) on [0, 1], channels-last in memory.
pub(super) fn images(pixels: &[u8], height: i64, width: i64, device: Device) -> Result<Tensor, HardenError> {
    let bytes = Tensor::from_slice(pixels).f_view([-1, height, width, 3])?.f_permute([0i64, 3, 1, 2])?;
    Ok(bytes.f_to_device(device)?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
}
