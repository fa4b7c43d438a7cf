//! What eq. (1) to (12) add to plain training: the estimator and the noise, each switchable.
//!
//! Deliberately absent: the losses' weights, and which value is Phi.

use crate::density::{DensityEstimator, Noise};
use crate::harden::HardenError;
use crate::harden::config::Recipe;
use crate::harden::seed::Purpose;
use crate::torch::{Device, Kind, Tensor, no_grad};

/// The estimator and the noise of one run.
pub(super) struct Defence {
    estimator: Option<DensityEstimator>,
    noise: Option<Noise>,
    delta: f64,
    noise_width: f64,
    unit: f64,
}

/// What a pass through the tap shows.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// L_e in bits per element, under autograd; none without the estimator.
    pub bits: Option<Tensor>,
    /// The standard deviation of Phi over all its elements, before the noise.
    pub spread: Option<Tensor>,
}

impl Seen {
    /// The mean of several passes, as though they had been one.
    pub fn mean(all: &[Self]) -> Result<Self, HardenError> {
        let mean = |part: fn(&Self) -> Option<&Tensor>| -> Result<Option<Tensor>, HardenError> {
            let parts: Vec<&Tensor> = all.iter().filter_map(part).collect();
            if parts.is_empty() {
                Ok(None)
            } else {
                Ok(Some(Tensor::f_stack(&parts, 0)?.f_mean(Kind::Float)?))
            }
        };
        Ok(Self { bits: mean(|seen| seen.bits.as_ref())?, spread: mean(|seen| seen.spread.as_ref())? })
    }
}

impl Defence {
    /// The parts that the recipe switches on, for Phi of `channels` channels.
    pub fn new(recipe: &Recipe, channels: usize, device: Device) -> Result<Self, HardenError> {
        let seed = |purpose: Purpose| purpose.seed(recipe.seed);
        let shape = recipe.density();
        let estimator = recipe
            .estimated()
            .then(|| DensityEstimator::new(channels, &shape, Kind::Float, device, seed(Purpose::Estimator)));
        let noise = recipe.noisy().then(|| Noise::new(seed(Purpose::Noise)));
        Ok(Self {
            estimator: estimator.transpose()?,
            noise,
            delta: recipe.delta,
            noise_width: recipe.noise_width(),
            unit: 1.0,
        })
    }

    /// States delta and the estimator's features in units of `unit`.
    pub fn set_unit(&mut self, unit: f64) {
        self.unit = unit;
    }

    /// The unit of Phi that delta is stated in.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// The estimator's leaves by name; none without one.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.estimator.iter().flat_map(DensityEstimator::parameters).collect()
    }

    /// Overwrites the estimator's leaves with saved ones.
    pub fn load(&mut self, saved: &[(String, Tensor)]) -> Result<(), HardenError> {
        self.estimator.iter_mut().try_for_each(|estimator| estimator.load(saved))?;
        Ok(())
    }

    /// Phi as the rest of the network gets it in draw `draw`, and what was seen of it.
    pub fn pass(&self, phi: Tensor, draw: u64) -> Result<(Tensor, Seen), HardenError> {
        let spread = no_grad(|| phi.f_detach()?.f_to_kind(Kind::Float)?.f_std(true))?;
        // Eq. (12), before the estimator and before what follows in the network.
        let phi = match &self.noise {
            Some(noise) => &phi + noise.uniform_like(&phi, self.noise_width * self.unit, draw)?,
            None => phi,
        };
        let bits = self.estimator.as_ref().map(|estimator| match self.unit {
            1.0 => estimator.bits(&phi, self.delta),
            unit => estimator.bits(&(&phi / unit), self.delta),
        });
        Ok((phi, Seen { bits: bits.transpose()?, spread: Some(spread) }))
    }
}
