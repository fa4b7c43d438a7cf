//! The paper's density estimator and entropy loss (eq. 1-11) and its noise (eq. 12), on libtorch.
//!
//! [`DensityEstimator`] holds one small monotone network per channel of Phi; [`DensityEstimator::bits`]
//! is the loss L_e. `reference` states the mathematics in tensors and lets autograd differentiate it;
//! `fused` and `kernel` evaluate the same loss with its analytic gradient, many times cheaper. The
//! exported model holds nothing of this module. It knows no network, no optimiser and no file.
//!
//! Conventions: bits per feature element (log base 2, mean over all elements), p floored at 1e-9,
//! c_d evaluated at Phi +/- delta/2. Below the floor the loss is constant, and its gradient is that of p
//! over the floor, -(dp / dPhi) / (FLOOR ln 2), in place of zero. It points back towards the density's mass,
//! but fades as p does: an element far outside, whose p underflows, is not pulled at all.

mod fused;
mod initial;
mod kernel;
mod noise;
mod real;
mod reference;
mod shape;

pub use noise::Noise;
pub use shape::DensityShape;

use crate::torch::{self, Device, Kind, Tensor, TorchError, no_grad};
use shape::Layers;

/// Probabilities below this count as this: no element costs more than -log2(1e-9) = 29.9 bits.
pub const FLOOR: f64 = 1e-9;

/// What can be wrong with an estimator's settings, its input or its saved state.
#[derive(Debug, thiserror::Error)]
pub enum DensityError {
    /// A setting outside its range.
    #[error("density estimator: {what} is {given}; it must be {must}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What was given.
        given: String,
        /// What it may be.
        must: &'static str,
    },
    /// Phi is not a feature map this estimator was made for.
    #[error(
        "density estimator: the tapped value has shape {given:?}, expected [N, {channels}, H, W] \
         with at least one element; tap a feature map with {channels} channels"
    )]
    Phi {
        /// The shape of Phi as it came.
        given: Vec<i64>,
        /// The channels of this estimator.
        channels: usize,
    },
    /// A saved state that does not fit this estimator.
    #[error(
        "density estimator: the saved state {problem}; resume with the settings of the run that \
         saved it"
    )]
    State {
        /// What does not fit.
        problem: String,
    },
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl From<torch::TchError> for DensityError {
    fn from(error: torch::TchError) -> Self {
        Self::Torch(error.into())
    }
}

/// One cumulative distribution c_d per channel of Phi, eq. (3)-(10), with trainable parameters.
#[derive(Debug)]
pub struct DensityEstimator {
    channels: usize,
    layers: Layers,
    kind: Kind,
    device: Device,
    /// M-hat of eq. (9), per layer: (channels, width out, width in).
    matrices: Vec<Tensor>,
    /// b of eq. (5), per layer: (channels, width out, 1).
    biases: Vec<Tensor>,
    /// a-hat of eq. (10), per layer but the last: (channels, width out, 1).
    gates: Vec<Tensor>,
}

impl DensityEstimator {
    /// An estimator for Phi of `channels` channels, initialised after Balle et al. 2018.
    ///
    /// The initial values are drawn from ChaCha8 with `seed` and are the same on every device.
    /// `kind` is `Float` or `Double`.
    ///
    /// # Errors
    /// No channels, a width of 0, an init_scale that is not positive, another kind.
    pub fn new(
        channels: usize,
        shape: &DensityShape,
        kind: Kind,
        device: Device,
        seed: u64,
    ) -> Result<Self, DensityError> {
        if channels == 0 {
            let given = channels.to_string();
            return Err(DensityError::Setting { what: "channels", given, must: "at least 1" });
        }
        if !matches!(kind, Kind::Float | Kind::Double) {
            let given = format!("{kind:?}");
            return Err(DensityError::Setting { what: "kind", given, must: "Float or Double" });
        }
        let layers = shape.layers()?;
        let start = initial::draw(channels, &layers, shape.init_scale, seed);
        let leaf = |(values, size): (Vec<f64>, [i64; 3])| -> Result<Tensor, DensityError> {
            let tensor = Tensor::from_slice(&values).view(size);
            Ok(tensor.f_to_device(device)?.f_to_kind(kind)?.set_requires_grad(true))
        };
        let leaves = |part: Vec<_>| part.into_iter().map(leaf).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            channels,
            kind,
            device,
            matrices: leaves(start.matrices)?,
            biases: leaves(start.biases)?,
            gates: leaves(start.gates)?,
            layers,
        })
    }

    /// How many channels Phi must have.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The trainable leaves by name: `density.matrix.0` ..., `density.bias.0` ..., `density.gate.0` ...
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        let parts = [("matrix", &self.matrices), ("bias", &self.biases), ("gate", &self.gates)];
        parts
            .iter()
            .flat_map(|(part, tensors)| {
                let name = move |(layer, tensor): (usize, &Tensor)| {
                    (format!("density.{part}.{layer}"), tensor.shallow_clone())
                };
                tensors.iter().enumerate().map(name)
            })
            .collect()
    }

    /// Overwrites the parameters with saved ones of the same names; names it does not know are
    /// left alone, so that a whole checkpoint may be given.
    ///
    /// # Errors
    /// A parameter is missing or has another shape; nothing is overwritten then.
    pub fn load(&mut self, saved: &[(String, Tensor)]) -> Result<(), DensityError> {
        let mut pairs = Vec::new();
        for (name, own) in self.parameters() {
            let found = saved.iter().find(|(candidate, _)| *candidate == name);
            let (_, value) =
                found.ok_or_else(|| DensityError::State { problem: format!("lacks `{name}`") })?;
            if value.size() != own.size() {
                let problem = format!("has `{name}` as {:?}, expected {:?}", value.size(), own.size());
                return Err(DensityError::State { problem });
            }
            pairs.push((own, value));
        }
        no_grad(|| pairs.iter_mut().try_for_each(|(own, value)| own.f_copy_(value)))?;
        Ok(())
    }

    /// The input of the last sigmoid at every element of `x` (N, C, H, W), differentiable.
    ///
    /// # Errors
    /// `x` has another rank or number of channels.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor, DensityError> {
        self.check(x)?;
        Ok(reference::logits(self, &x.f_to_kind(self.kind)?))
    }

    /// c_d at every element of `x` (N, C, H, W), eq. (3), differentiable.
    ///
    /// # Errors
    /// `x` has another rank or number of channels.
    pub fn cumulative(&self, x: &Tensor) -> Result<Tensor, DensityError> {
        Ok(self.logits(x)?.sigmoid())
    }

    /// p_d at every element of `phi` (N, C, H, W), eq. (11), without the floor, differentiable.
    ///
    /// # Errors
    /// `phi` has another rank or number of channels, or delta is not a positive number.
    pub fn probability(&self, phi: &Tensor, delta: f64) -> Result<Tensor, DensityError> {
        self.check(phi)?;
        check_delta(delta)?;
        Ok(reference::probability(self, &phi.f_to_kind(self.kind)?, delta))
    }

    /// The entropy loss L_e of eq. (1): a scalar, bits per element of `phi` (N, C, H, W).
    ///
    /// Its first derivative, with respect to `phi` and to the parameters, is the analytic one; a
    /// second derivative is not available. A NaN in `phi` makes the loss NaN.
    ///
    /// # Errors
    /// `phi` has another rank or number of channels, or delta is not a positive number.
    pub fn bits(&self, phi: &Tensor, delta: f64) -> Result<Tensor, DensityError> {
        self.check(phi)?;
        check_delta(delta)?;
        let phi = phi.f_to_kind(self.kind)?;
        let packed = self.packed();
        let loss = no_grad(|| self.evaluate(&phi, &packed, delta))?;
        // A scalar whose gradient is the analytic one. Subtracting its own value leaves the
        // gradient and makes the value L_e exactly.
        let d_phi = no_grad(|| torch::in_layout_of(&phi, &loss.d_phi));
        let surrogate = (&phi * d_phi).sum(self.kind) + (&packed * loss.d_packed).sum(self.kind);
        Ok(loss.value + (&surrogate - surrogate.detach()))
    }

    /// The value of [`Self::bits`] as a number, for validation and logs.
    ///
    /// # Errors
    /// As [`Self::bits`].
    pub fn bits_value(&self, phi: &Tensor, delta: f64) -> Result<f64, DensityError> {
        self.check(phi)?;
        check_delta(delta)?;
        no_grad(|| {
            let phi = phi.f_to_kind(self.kind)?;
            let loss = self.evaluate(&phi, &self.packed(), delta)?;
            Ok(loss.value.double_value(&[]))
        })
    }

    /// L_e by the plain transcription of eq. (1)-(11), differentiated by autograd: several times
    /// slower than [`Self::bits`], which is tested against it.
    ///
    /// # Errors
    /// As [`Self::bits`].
    pub fn bits_reference(&self, phi: &Tensor, delta: f64) -> Result<Tensor, DensityError> {
        self.check(phi)?;
        check_delta(delta)?;
        Ok(reference::bits(self, &phi.f_to_kind(self.kind)?, delta))
    }

    fn evaluate(&self, phi: &Tensor, packed: &Tensor, delta: f64) -> Result<Loss, TorchError> {
        match (self.device, self.kind) {
            (Device::Cpu, Kind::Float) => kernel::evaluate::<f32>(&self.layers, phi, packed, delta),
            (Device::Cpu, _) => kernel::evaluate::<f64>(&self.layers, phi, packed, delta),
            _ => Ok(fused::evaluate(&self.layers, phi, packed, delta)),
        }
    }

    /// The effective parameters, eq. (9) and (10), as one differentiable (channels, count) tensor:
    /// a row is a channel, layer by layer its M, b and a (see [`Layers`]).
    fn packed(&self) -> Tensor {
        let row = |tensor: &Tensor| tensor.view([self.channels as i64, -1]);
        let mut parts = Vec::new();
        for layer in 0..self.layers.depth() {
            parts.push(row(&self.matrices[layer].softplus()));
            parts.push(row(&self.biases[layer]));
            parts.extend(self.gates.get(layer).map(|gate| row(&gate.tanh())));
        }
        Tensor::cat(&parts, 1)
    }

    fn check(&self, phi: &Tensor) -> Result<(), DensityError> {
        let given = phi.size();
        let fits =
            given.len() == 4 && given[1] == self.channels as i64 && given.iter().all(|&length| length > 0);
        if fits { Ok(()) } else { Err(DensityError::Phi { given, channels: self.channels }) }
    }
}

/// L_e with its analytic gradient.
struct Loss {
    /// Bits per element: a scalar tensor.
    value: Tensor,
    /// dL_e / dPhi, in the shape of Phi.
    d_phi: Tensor,
    /// dL_e / d(effective parameters), in the shape of [`DensityEstimator::packed`].
    d_packed: Tensor,
}

fn check_delta(delta: f64) -> Result<(), DensityError> {
    if delta.is_finite() && delta > 0.0 {
        return Ok(());
    }
    let given = delta.to_string();
    Err(DensityError::Setting { what: "delta", given, must: "a positive number" })
}

#[cfg(test)]
mod tests;
