//! The network, the estimator and the optimiser under training, one step at a time.
//!
//! Deliberately absent: files, images and time.

use super::HardenError;
use super::adam::{Adam, AdamError};
use super::adversary::Adversary;
use super::checkpoint::Checkpoint;
use super::content::Content;
use super::data::Batch;
use super::defence::{Defence, Seen};
use super::ema::{Ema, copies, overwrite};
use super::gan::{self, Opponent};
use super::loss;
use super::memory;
use super::network::Network;
use super::recipe::Recipe;
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
    network: Network,
    program: Program,
    /// Whether the network takes several images at once.
    batches: bool,
    defence: Defence,
    adversary: Option<Adversary>,
    /// Compares by features and not by pixels.
    content: Option<Content>,
    opponent: Option<Opponent>,
    adam: Adam,
    ema: Option<Ema>,
    step: u64,
}

impl Trainer {
    /// A trainer of the recipe's network at step 0.
    pub fn new(recipe: &Recipe, network: Network, device: Device) -> Result<Self, HardenError> {
        let program = network.program(device, recipe.amp)?;
        let side = if network.is_stranger() { recipe.patch } else { 16 };
        let blank =
            network.colours(Tensor::f_zeros([2, 3, side as i64, side as i64], (Kind::Float, device))?)?;
        let channels = channels_at(&program, &blank.f_narrow(0, 0, 1)?, &network.tap, &recipe.tap)?;
        let batches = !network.is_stranger() || takes_batches(&program, &blank);
        let defence = Defence::new(recipe, channels, device)?;
        let mut leaves = program.parameters();
        leaves.extend(defence.parameters());
        let adam = Adam::new(leaves)?;
        let adversary =
            (recipe.adversarial > 0.0).then(|| Adversary::new(recipe.adversarial, 1, recipe.seed));
        let content = match recipe.vgg.as_ref().zip(recipe.vgg_tap.as_ref()) {
            Some((file, tap)) => Some(Content::read(file, tap, device)?),
            None => None,
        };
        let opponent = if recipe.from.is_none() && recipe.arch.adversarial() {
            Some(Opponent::new(recipe, device)?)
        } else {
            None
        };
        let ema = (recipe.ema > 0.0).then(|| Ema::new(recipe.ema, &program.state()));
        let recipe = recipe.clone();
        let (step, program) = (0, program);
        Ok(Self { recipe, network, program, batches, defence, adversary, content, opponent, adam, ema, step })
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

    /// Lets delta count in `unit`.
    pub fn set_unit(&mut self, unit: f64) {
        self.defence.set_unit(unit);
    }

    /// Does something with the network as it would be exported: with the averaged weights, where there
    /// are any.
    pub fn served<T>(&self, what: impl FnOnce(&Self) -> Result<T, HardenError>) -> Result<T, HardenError> {
        let Some(ema) = &self.ema else { return what(self) };
        let own = self.program.state();
        let kept = copies(&own);
        overwrite(&own, &ema.state())?;
        let result = what(self);
        overwrite(&own, &kept)?;
        result
    }

    /// The output and Phi for images as the network takes them, without noise.
    pub fn look(&self, x: &Tensor) -> Result<(Tensor, Tensor), HardenError> {
        let mut seen = None;
        let mut outputs = no_grad(|| {
            self.program.run_tapped::<HardenError>(std::slice::from_ref(x), &self.network.tap, &mut |phi| {
                seen = Some(phi.shallow_clone());
                Ok(phi)
            })
        })?;
        Ok((outputs.swap_remove(0), seen.unwrap_or_default()))
    }

    /// The width of eq. (11)'s bins in units of Phi.
    pub fn bin(&self) -> f64 {
        self.recipe.delta * self.defence.unit()
    }

    /// What delta counts in.
    pub fn unit(&self) -> f64 {
        self.defence.unit()
    }

    /// The spread of Phi over a batch, before any noise.
    pub fn spread(&self, batch: &Batch) -> Result<f64, HardenError> {
        let lr = self.network.colours(self.images(&batch.lr, self.recipe.patch as i64)?)?;
        let (_, seen) = no_grad(|| self.forward(&lr))?;
        Ok(seen.spread.map_or(Ok(f64::NAN), |spread| spread.f_double_value(&[]))?)
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

    /// What the step is to make small, under autograd, and its parts. A discriminator learns meanwhile.
    fn losses(&mut self, batch: &Batch, rate: f64) -> Result<(Tensor, Losses), HardenError> {
        let (lr, hr) = self.pairs(batch)?;
        self.program.set_mode(self.network.mode());
        let forward = self.forward(&lr);
        self.program.set_mode(Mode::Evaluate);
        let (output, Seen { bits: entropy, spread }) = forward?;
        let reconstruction = match &self.content {
            Some(content) => content.distance(&output, &hr)?,
            None => loss::reconstruction(self.recipe.loss(), &output, &hr)?,
        };
        let opponent = self.opponent.as_mut();
        let round = opponent.map(|opponent| opponent.round(&output, &hr, rate)).transpose()?;
        let mut total = reconstruction.shallow_clone();
        if let Some(entropy) = &entropy {
            total = total.f_add(&entropy.f_mul_scalar(self.recipe.lambda)?)?;
        }
        if let Some(round) = &round {
            total = total.f_add(&round.fooling.f_mul_scalar(gan::WEIGHT)?)?;
        }
        let value = |tensor: &Tensor| tensor.f_double_value(&[]);
        let losses = Losses {
            total: value(&total)?,
            reconstruction: value(&reconstruction)?,
            entropy: entropy.as_ref().map(value).transpose()?,
            spread: spread.as_ref().map_or(Ok(f64::NAN), value)?,
            fooling: round.as_ref().map(|round| value(&round.fooling)).transpose()?,
            discriminator: round.map(|round| round.discriminator),
        };
        Ok((total, losses))
    }

    /// What the network takes and what it is to give, attacked images included.
    fn pairs(&self, batch: &Batch) -> Result<(Tensor, Tensor), HardenError> {
        let side = self.recipe.patch as i64;
        let lr = self.network.colours(self.images(&batch.lr, side)?)?;
        let hr = self.images(&batch.hr, side * self.network.scale as i64)?;
        self.with_attacked(lr, self.network.inside(self.network.colours(hr)?)?)
    }

    /// The batch and patch that the device has memory for, after a step ran out of it: what is tried
    /// computes gradients and moves no weight, but a discriminator learns, so that the run ends with it.
    pub fn fitting(&mut self) -> Option<[usize; 2]> {
        let given = [self.recipe.batch, self.recipe.patch];
        let multiple = self.network.multiple();
        let found = memory::fitting(given, multiple, &mut |size| self.fits(size).is_ok());
        [self.recipe.batch, self.recipe.patch] = given;
        found
    }

    fn fits(&mut self, [batch, patch]: [usize; 2]) -> Result<(), HardenError> {
        self.recipe.patch = patch;
        let pixels = 3 * batch * patch * patch;
        let grey = |count: usize| vec![127; count];
        let scale = self.network.scale;
        let batch = Batch { lr: grey(pixels), hr: grey(pixels * scale * scale) };
        self.adam.zero_grad();
        let (total, _) = self.losses(&batch, 0.0)?;
        Ok(total.f_backward()?)
    }

    /// In adversarial training, every image and, behind them, every image attacked, with one target
    /// for both.
    fn with_attacked(&self, lr: Tensor, hr: Tensor) -> Result<(Tensor, Tensor), HardenError> {
        let Some(adversary) = &self.adversary else { return Ok((lr, hr)) };
        let attacked = adversary.attack(&|x| self.run(x), &lr, self.step)?;
        Ok((Tensor::f_cat(&[&lr, &attacked], 0)?, Tensor::f_cat(&[&hr, &hr], 0)?))
    }

    /// The output, and what is seen of Phi.
    fn forward(&self, lr: &Tensor) -> Result<(Tensor, Seen), HardenError> {
        if self.batches {
            return self.forward_once(lr, self.step);
        }
        let count = lr.size()[0];
        let one = |index: i64| {
            let draw = self.step * count as u64 + index as u64;
            self.forward_once(&lr.f_narrow(0, index, 1)?, draw)
        };
        let (outputs, seen): (Vec<_>, Vec<_>) =
            (0..count).map(one).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok((Tensor::f_cat(&outputs, 0)?, Seen::mean(&seen)?))
    }

    /// The output alone, as the network serves.
    pub fn run(&self, lr: &Tensor) -> Result<Tensor, HardenError> {
        let one = |lr: &Tensor| {
            self.program.run(std::slice::from_ref(lr)).map(|mut outputs| outputs.swap_remove(0))
        };
        if self.batches {
            return Ok(one(lr)?);
        }
        let each = (0..lr.size()[0]).map(|index| Ok(one(&lr.f_narrow(0, index, 1)?)?));
        Ok(Tensor::f_cat(&each.collect::<Result<Vec<_>, HardenError>>()?, 0)?)
    }

    fn forward_once(&self, lr: &Tensor, draw: u64) -> Result<(Tensor, Seen), HardenError> {
        let mut seen = Seen::default();
        let tapped = &mut |phi| {
            let (phi, found) = self.defence.pass(phi, draw)?;
            seen = found;
            Ok::<_, HardenError>(phi)
        };
        let mut outputs = self.program.run_tapped(std::slice::from_ref(lr), &self.network.tap, tapped)?;
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
        let (step, value, advice) = (self.step + 1, losses.total, self.advice());
        HardenError::Diverged { step, value, parts, advice, saved: String::new() }
    }

    fn exploded(&self, error: AdamError) -> HardenError {
        match error {
            AdamError::NotFinite { name } => {
                let (step, advice) = (self.step + 1, self.advice());
                HardenError::Exploded { step, name, advice, saved: String::new() }
            }
            error => error.into(),
        }
    }

    /// Why losses and gradients stop being numbers.
    fn advice(&self) -> String {
        let rate = self.recipe.learning_rate_at(self.step);
        let clip = if self.recipe.clip > 0.0 { "" } else { ", or gradients that --clip would shorten" };
        format!(
            "likely causes are a learning rate that is too high (it is {rate}: try --lr {}), a lambda that is \
             too large (it is {}){clip}",
            rate / 10.0,
            self.recipe.lambda
        )
    }

    /// Everything that a resumed run needs.
    pub fn checkpoint(&self) -> Checkpoint {
        let adam = self.adam.state();
        Checkpoint {
            recipe: self.recipe.clone(),
            step: self.step,
            unit: self.defence.unit(),
            weights: self.program.state(),
            estimator: self.defence.parameters(),
            adam,
            opponent: self.opponent.as_ref().map(Opponent::state),
            ema: self.ema.as_ref().map(Ema::state).unwrap_or_default(),
            data: String::new(),
            best: None,
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
        if let Some(ema) = &self.ema {
            ema.restore(&checkpoint.ema)?;
        }
        self.defence.set_unit(checkpoint.unit);
        self.step = checkpoint.step;
        Ok(())
    }
}

/// Whether the network gives one output for each of the images in a batch.
fn takes_batches(program: &Program, batch: &Tensor) -> bool {
    let outputs = no_grad(|| program.run(std::slice::from_ref(batch)));
    outputs.is_ok_and(|outputs| outputs.first().is_some_and(|output| output.size()[0] == batch.size()[0]))
}

/// The number of channels of a value, found by running the network on an image.
fn channels_at(program: &Program, image: &Tensor, tap: &str, wish: &str) -> Result<usize, HardenError> {
    let mut size = Vec::new();
    no_grad(|| {
        program.run_tapped::<HardenError>(std::slice::from_ref(image), tap, &mut |phi| {
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
