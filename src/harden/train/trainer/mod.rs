//! The network, the estimator and the optimiser under training, one step at a time.
//!
//! Deliberately absent: image files, logs and time.

mod failure;
mod forward;
mod resume;

use super::adversary::Adversary;
use super::content::Content;
use super::defence::{Defence, Seen};
use super::discriminator::{self, Discriminator};
use super::ema::{Ema, copies, overwrite};
use super::loss::{self, Losses};
use super::pixels::Pairs;
use super::probe::{channels_at, takes_batches};
use crate::harden::HardenError;
use crate::harden::adam::Adam;
use crate::harden::config::{AttackTarget, Recipe};
use crate::harden::data::Batch;
use crate::harden::network::Network;
use crate::runtime::torch::{Mode, Program};
use crate::torch::{Device, Kind, Tensor, no_grad};

/// Everything that a step changes.
pub(in crate::harden) struct Trainer {
    recipe: Recipe,
    network: Network,
    program: Program,
    /// Whether the network takes several images at once.
    batches: bool,
    defence: Defence,
    adversary: Option<Adversary>,
    /// Replaces the loss on pixels.
    content: Option<Content>,
    discriminator: Option<Discriminator>,
    adam: Adam,
    ema: Option<Ema>,
    step: u64,
}

/// How many numbers are trained.
pub(in crate::harden) struct ParameterCounts {
    /// In the network.
    pub network: usize,
    /// In the density estimator.
    pub estimator: usize,
}

impl Trainer {
    /// A trainer of the recipe's network at step 0.
    pub fn new(recipe: &Recipe, network: Network, device: Device) -> Result<Self, HardenError> {
        let program = network.program(device, recipe.amp)?;
        let side = if network.is_foreign() { recipe.patch } else { 16 };
        let probe =
            network.colours(Tensor::f_zeros([2, 3, side as i64, side as i64], (Kind::Float, device))?)?;
        let channels = channels_at(&program, &probe.f_narrow(0, 0, 1)?, &network.tap, &recipe.tap)?;
        let batches = !network.is_foreign() || takes_batches(&program, &probe);
        let defence = Defence::new(recipe, channels, device)?;
        let mut leaves = program.parameters();
        leaves.extend(defence.parameters());
        let adam = Adam::new(leaves)?;
        let adversary = Adversary::of(recipe);
        let content = match recipe.vgg.as_ref().zip(recipe.vgg_tap.as_ref()) {
            Some((file, tap)) => Some(Content::read(file, tap, device)?),
            None => None,
        };
        let discriminator = if recipe.from.is_none() && recipe.arch.adversarial() {
            Some(Discriminator::new(recipe, device)?)
        } else {
            None
        };
        let ema = (recipe.ema > 0.0).then(|| Ema::new(recipe.ema, &program.state()));
        Ok(Self {
            recipe: recipe.clone(),
            network,
            program,
            batches,
            defence,
            adversary,
            content,
            discriminator,
            adam,
            ema,
            step: 0,
        })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The network as it stands.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The network as a graph.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// States delta, and the estimator's init_scale, in units of `unit`.
    pub fn set_unit(&mut self, unit: f64) {
        self.defence.set_unit(unit);
    }

    /// Runs `f` on the network as it is exported: with the EMA weights swapped in, where there are any, and
    /// in float32 arithmetic. Restores the state of training.
    pub fn with_exported<T>(
        &mut self,
        f: impl FnOnce(&Self) -> Result<T, HardenError>,
    ) -> Result<T, HardenError> {
        self.program.set_amp(false);
        let result = self.with_averages(f);
        self.program.set_amp(self.recipe.amp);
        result
    }

    /// Runs `f` with the EMA weights swapped in, where there are any, and restores the trained ones.
    fn with_averages<T>(&self, f: impl FnOnce(&Self) -> Result<T, HardenError>) -> Result<T, HardenError> {
        let Some(ema) = &self.ema else { return f(self) };
        let own = self.program.state();
        let kept = copies(&own);
        overwrite(&own, &ema.state())?;
        let result = f(self);
        overwrite(&own, &kept)?;
        result
    }

    /// The largest difference that bfloat16 arithmetic makes to the output for `x` (N, C, H, W), the weights
    /// being the exported ones; `None` where training is in float32.
    pub fn bfloat16_difference(&mut self, x: &Tensor) -> Result<Option<f64>, HardenError> {
        if !self.recipe.amp {
            return Ok(None);
        }
        let exact = self.with_exported(|trainer| no_grad(|| trainer.run(x)))?;
        let rounded = self.with_averages(|trainer| no_grad(|| trainer.run(x)))?;
        Ok(Some(rounded.f_sub(&exact)?.f_abs()?.f_max()?.f_double_value(&[])?))
    }

    /// The width of eq. (11)'s bins in units of Phi.
    pub fn bin(&self) -> f64 {
        self.recipe.delta * self.defence.unit()
    }

    /// The width of eq. (12)'s noise in units of Phi.
    pub fn noise_width(&self) -> f64 {
        self.recipe.noise_width() * self.defence.unit()
    }

    /// The unit of Phi that delta is stated in.
    pub fn unit(&self) -> f64 {
        self.defence.unit()
    }

    /// Parameters of the network and of the estimator.
    pub fn parameter_counts(&self) -> ParameterCounts {
        let count = |list: Vec<(String, Tensor)>| list.iter().map(|(_, tensor)| tensor.numel()).sum();
        let network = count(self.program.parameters());
        ParameterCounts { network, estimator: count(self.defence.parameters()) }
    }

    /// One step of Adam on the crops of this step.
    ///
    /// # Errors
    /// [`HardenError::Diverged`] before anything is changed where the loss is not finite.
    pub fn train(&mut self, batch: &Batch) -> Result<Losses, HardenError> {
        let rate = self.recipe.learning_rate_at(self.step);
        let (total, losses) = self.losses(batch, rate)?;
        if !(losses.total.is_finite() && losses.discriminator.is_none_or(f64::is_finite)) {
            return Err(self.diverged(&losses));
        }
        self.adam.zero_grad();
        total.f_backward()?;
        self.adam.step_clipped(rate, self.recipe.clip).map_err(|error| self.exploded(error))?;
        if let Some(ema) = &mut self.ema {
            ema.update(&self.program.state())?;
        }
        self.step += 1;
        Ok(losses)
    }

    /// The loss of a step, under autograd, and its parts as numbers. Moves a discriminator, where there is one.
    fn losses(&mut self, batch: &Batch, rate: f64) -> Result<(Tensor, Losses), HardenError> {
        let Pairs { lr, hr } = self.pairs(batch)?;
        self.program.set_mode(self.network.mode());
        let forward = self.forward(&lr);
        self.program.set_mode(Mode::Evaluate);
        let (output, Seen { bits: entropy, spread }) = forward?;
        let reconstruction = self.reconstruction(&output, &hr)?;
        let discriminator = self.discriminator.as_mut();
        let round = discriminator.map(|other| other.round(&output, &hr, rate)).transpose()?;
        let mut total = reconstruction.shallow_clone();
        if let Some(entropy) = &entropy {
            total = total.f_add(&entropy.f_mul_scalar(self.recipe.lambda_at(self.step))?)?;
        }
        if let Some(round) = &round {
            total = total.f_add(&round.adversarial.f_mul_scalar(discriminator::WEIGHT)?)?;
        }
        let value = |tensor: &Tensor| tensor.f_double_value(&[]);
        let losses = Losses {
            total: value(&total)?,
            reconstruction: value(&reconstruction)?,
            entropy: entropy.as_ref().map(value).transpose()?,
            spread: spread.as_ref().map_or(Ok(f64::NAN), value)?,
            adversarial: round.as_ref().map(|round| value(&round.adversarial)).transpose()?,
            discriminator: round.map(|round| round.discriminator),
        };
        Ok((total, losses))
    }
    /// L_r of the crops, or, in adversarial training with weight w, (L_r + w L_a) / (1 + w), where L_a is that of
    /// the attacked crops, which stand behind them.
    fn reconstruction(&self, output: &Tensor, hr: &Tensor) -> Result<Tensor, HardenError> {
        if self.adversary.is_none() {
            return self.distance(output, hr);
        }
        let count = output.size()[0] / 2;
        let (clean, attacked) = (output.f_narrow(0, 0, count)?, output.f_narrow(0, count, count)?);
        let truth = hr.f_narrow(0, 0, count)?;
        let target = match self.recipe.adversarial_target {
            AttackTarget::Truth => &truth,
            AttackTarget::Output => &clean,
        };
        let weight = self.recipe.adversarial_weight;
        let attacked = self.distance(&attacked, target)?.f_mul_scalar(weight)?;
        Ok(self.distance(&clean, &truth)?.f_add(&attacked)?.f_div_scalar(1.0 + weight)?)
    }

    /// The distance of two batches by the recipe's loss.
    fn distance(&self, output: &Tensor, target: &Tensor) -> Result<Tensor, HardenError> {
        match &self.content {
            Some(content) => content.distance(output, target),
            None => Ok(loss::reconstruction(self.recipe.loss(), output, target)?),
        }
    }
}
