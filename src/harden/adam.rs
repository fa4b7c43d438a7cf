//! Adam (Kingma and Ba 2015, algorithm 1) with moments that a checkpoint can hold: `tch`'s own
//! optimisers do not give theirs. [`Adam::step_clipped`] also clips the gradient by its L2 norm over all
//! parameters.
//!
//! The moments are one flat vector each, so that a step is a dozen operations over all parameters
//! at once and one subtraction for each, which matters where launching an operation is the cost.
//! Deliberately absent: a schedule (the caller gives the learning rate of every step) and weight decay.

use crate::torch::{Device, Kind, TchError, Tensor, TorchError, no_grad};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// What can be wrong with the parameters or a saved state.
#[derive(Debug, thiserror::Error)]
pub enum AdamError {
    /// There is nothing to train.
    #[error("adam: no parameters to train; the network has no trainable weight")]
    Nothing,
    /// Parameters of two kinds or on two devices.
    #[error(
        "adam: `{name}` is {kind:?} on {device:?}, unlike the parameters before it; convert all \
         to one kind and device"
    )]
    Mixed {
        /// The first parameter that differs.
        name: String,
        /// Its kind.
        kind: Kind,
        /// Its device.
        device: Device,
    },
    /// A saved state of other parameters.
    #[error("adam: the saved state {problem}; resume with the settings of the run that saved it")]
    State {
        /// What does not fit.
        problem: String,
    },
    /// A gradient with NaN or infinity in it.
    #[error("adam: the gradient of `{name}` is not finite")]
    NotFinite {
        /// The first such parameter.
        name: String,
    },
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl From<TchError> for AdamError {
    fn from(error: TchError) -> Self {
        Self::Torch(error.into())
    }
}

/// Everything a resumed run needs to continue as though it had not stopped.
#[derive(Debug)]
pub struct AdamState {
    /// Steps done.
    pub steps: u64,
    /// The first moment of every parameter, by the parameter's name and in its shape.
    pub first: Vec<(String, Tensor)>,
    /// The second moment, likewise.
    pub second: Vec<(String, Tensor)>,
}

/// The optimiser of one set of named leaves: betas 0.9 and 0.999, epsilon 1e-8.
#[derive(Debug)]
pub struct Adam {
    parameters: Vec<(String, Tensor)>,
    steps: u64,
    first: Tensor,
    second: Tensor,
}

impl Adam {
    /// An optimiser of `parameters`, leaves that require a gradient, with moments zero. The tensors
    /// are handles: [`Adam::step`] changes the network's own weights.
    ///
    /// # Errors
    /// No parameters, or parameters of different kinds or devices.
    pub fn new(parameters: Vec<(String, Tensor)>) -> Result<Self, AdamError> {
        let options = |tensor: &Tensor| (tensor.kind(), tensor.device());
        let (_, model) = parameters.first().ok_or(AdamError::Nothing)?;
        let expected = options(model);
        if let Some((name, odd)) = parameters.iter().find(|(_, own)| options(own) != expected) {
            let (kind, device) = options(odd);
            return Err(AdamError::Mixed { name: name.clone(), kind, device });
        }
        let count: usize = parameters.iter().map(|(_, tensor)| tensor.numel()).sum();
        let zeros = || Tensor::f_zeros([count as i64], expected);
        Ok(Self { first: zeros()?, second: zeros()?, parameters, steps: 0 })
    }

    /// Steps done so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moves every parameter along its gradient. A parameter that no backward pass has reached
    /// counts as having gradient zero.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn step(&mut self, learning_rate: f64) -> Result<(), AdamError> {
        self.step_clipped(learning_rate, 0.0)
    }

    /// As [`Self::step`], with the gradient g over all parameters replaced by g clip / ||g||_2 where its
    /// norm is larger than `clip`; 0 clips nothing.
    ///
    /// # Errors
    /// [`AdamError::NotFinite`] before anything is changed; libtorch cannot allocate.
    pub fn step_clipped(&mut self, learning_rate: f64, clip: f64) -> Result<(), AdamError> {
        no_grad(|| self.step_without_graph(learning_rate, clip))
    }

    /// The first parameter whose gradient is not finite.
    fn not_finite(&self) -> Option<String> {
        let finite = |tensor: &Tensor| flat_gradient(tensor).isfinite().all().int64_value(&[]) == 1;
        self.parameters.iter().find(|(_, tensor)| !finite(tensor)).map(|(name, _)| name.clone())
    }

    fn step_without_graph(&mut self, learning_rate: f64, clip: f64) -> Result<(), AdamError> {
        let gradients: Vec<Tensor> =
            self.parameters.iter().map(|(_, parameter)| flat_gradient(parameter)).collect();
        let mut gradient = Tensor::f_cat(&gradients, 0)?;
        let length = gradient.f_norm()?.f_double_value(&[])?;
        if !length.is_finite()
            && let Some(name) = self.not_finite()
        {
            return Err(AdamError::NotFinite { name });
        }
        if clip > 0.0 && length > clip {
            let _ = gradient.g_mul_scalar_(clip / length);
        }
        self.steps += 1;
        // m <- beta m + (1 - beta) g, as a step of 1 - beta from m towards g.
        let _ = self.first.f_lerp_(&gradient, 1.0 - BETA1)?;
        let _ = self.second.f_lerp_(&gradient.f_square()?, 1.0 - BETA2)?;
        let steps = self.steps as f64;
        let (unbias1, unbias2) = (1.0 - BETA1.powf(steps), 1.0 - BETA2.powf(steps));
        let mut scale = self.second.f_sqrt()?;
        let _ = scale.g_mul_scalar_(1.0 / unbias2.sqrt()).g_add_scalar_(EPSILON);
        let mut change = self.first.f_div(&scale)?;
        let _ = change.g_mul_scalar_(learning_rate / unbias1);
        for ((_, parameter), change) in self.parameters.iter().zip(self.split(&change)) {
            let _ = parameter.shallow_clone().g_sub_(&change);
        }
        Ok(())
    }

    /// Sets all gradients to zero.
    pub fn zero_grad(&mut self) {
        self.parameters.iter_mut().for_each(|(_, parameter)| parameter.zero_grad());
    }

    /// A copy of the step count and the moments.
    pub fn state(&self) -> AdamState {
        let named = |moment: &Tensor| {
            let names = self.parameters.iter().map(|(name, _)| name.clone());
            names.zip(self.split(&moment.copy())).collect()
        };
        AdamState { steps: self.steps, first: named(&self.first), second: named(&self.second) }
    }

    /// Continues from a saved state of the same parameters, found by name.
    ///
    /// # Errors
    /// A parameter is missing or has another shape; nothing is changed then.
    pub fn load_state(&mut self, state: &AdamState) -> Result<(), AdamError> {
        let first = self.gather(&state.first, "first")?;
        let second = self.gather(&state.second, "second")?;
        no_grad(|| self.first.f_copy_(&first).and_then(|()| self.second.f_copy_(&second)))?;
        self.steps = state.steps;
        Ok(())
    }

    /// The saved moments in the order of the parameters, flat.
    fn gather(&self, saved: &[(String, Tensor)], which: &str) -> Result<Tensor, AdamError> {
        let find = |(name, own): &(String, Tensor)| {
            let found = saved.iter().find(|(candidate, _)| candidate == name);
            let (_, value) = found.ok_or_else(|| AdamError::State {
                problem: format!("lacks the {which} moment of `{name}`"),
            })?;
            if value.size() != own.size() {
                let (found, expected) = (value.size(), own.size());
                let problem =
                    format!("has the {which} moment of `{name}` as {found:?}, expected {expected:?}");
                return Err(AdamError::State { problem });
            }
            Ok(value.f_to_device(own.device())?.f_to_kind(own.kind())?.f_reshape([-1])?)
        };
        let parts = self.parameters.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// A flat vector cut into views of the parameters' shapes.
    fn split(&self, flat: &Tensor) -> Vec<Tensor> {
        let mut start = 0;
        let mut cut = |(_, parameter): &(String, Tensor)| {
            let length = parameter.numel() as i64;
            let view = flat.narrow(0, start, length).view(parameter.size().as_slice());
            start += length;
            view
        };
        self.parameters.iter().map(&mut cut).collect()
    }
}

fn flat_gradient(parameter: &Tensor) -> Tensor {
    let gradient = parameter.grad();
    if gradient.defined() { gradient.reshape([-1]) } else { parameter.zeros_like().reshape([-1]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{channels_last, to_vec};

    const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

    /// The quantity minimised: sum over i of (i + 1) (w_i - i)^2 / 2, and the like for a matrix.
    fn backward(weights: &[Tensor]) {
        for weight in weights {
            let places = Tensor::arange(weight.numel() as i64, (weight.kind(), Device::Cpu));
            let places = places.view(weight.size().as_slice());
            let loss = (&places + 1.0) * (weight - &places).square() / 2.0;
            loss.sum(weight.kind()).backward();
        }
    }

    /// Algorithm 1 as printed, on the same quantity.
    fn transcription(count: usize, steps: i32, rate: f64) -> Vec<f64> {
        let mut weights = vec![0.5; count];
        let (mut m, mut v) = (vec![0.0; count], vec![0.0; count]);
        for t in 1..=steps {
            for i in 0..count {
                let g = (i as f64 + 1.0) * (weights[i] - i as f64);
                m[i] = 0.9 * m[i] + (1.0 - 0.9) * g;
                v[i] = 0.999 * v[i] + (1.0 - 0.999) * g * g;
                let m_hat = m[i] / (1.0 - 0.9f64.powi(t));
                let v_hat = v[i] / (1.0 - 0.999f64.powi(t));
                weights[i] -= rate * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        weights
    }

    fn leaves(kind: Kind) -> Vec<Tensor> {
        let vector = Tensor::full([3], 0.5, (kind, Device::Cpu));
        let kernel = channels_last(&Tensor::full([2, 3, 2, 2], 0.5, (kind, Device::Cpu)));
        vec![vector.set_requires_grad(true), kernel.set_requires_grad(true)]
    }

    fn adam(weights: &[Tensor]) -> Adam {
        let named = weights.iter().enumerate();
        Adam::new(named.map(|(i, weight)| (format!("w{i}"), weight.shallow_clone())).collect()).unwrap()
    }

    fn train(adam: &mut Adam, weights: &[Tensor], steps: usize) {
        for _ in 0..steps {
            adam.zero_grad();
            backward(weights);
            adam.step(0.05).unwrap();
        }
    }

    fn values(weights: &[Tensor]) -> Vec<Vec<f64>> {
        weights.iter().map(|weight| to_vec::<f64>(weight).unwrap()).collect()
    }

    #[test]
    fn steps_follow_the_algorithm_as_printed() {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 2e-5)] {
            for steps in [1, 2, 50] {
                let weights = leaves(kind);
                train(&mut adam(&weights), &weights, steps);
                for found in values(&weights) {
                    let expected = transcription(found.len(), steps as i32, 0.05);
                    let pairs = found.iter().zip(&expected);
                    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(worst < tolerance, "{kind:?}, {steps} steps: {worst}");
                }
            }
        }
    }

    #[test]
    fn a_gradient_is_clipped_by_its_norm_and_refused_where_it_is_not_finite() {
        let weights = leaves(Kind::Double);
        let mut adam = adam(&weights);
        backward(&weights);
        let squares = weights.iter().map(|weight| weight.grad().square().sum(Kind::Double).double_value(&[]));
        let length = squares.sum::<f64>().sqrt();
        adam.step_clipped(0.1, length / 4.0).unwrap();
        // The gradient of element 2 at 0.5 is 3 (0.5 - 2).
        let first = adam.state().first[0].1.double_value(&[2]);
        assert!((first - 0.1 * 3.0 * -1.5 / 4.0).abs() < 1e-12, "{first}");

        let before = values(&weights);
        let _ = weights[1].grad().get(0).fill_(f64::NAN);
        assert!(matches!(adam.step(0.1), Err(AdamError::NotFinite { name }) if name == "w1"));
        assert_eq!((values(&weights), adam.steps()), (before, 1));
    }

    #[test]
    fn a_resumed_run_ends_bit_identically() {
        let whole = leaves(Kind::Float);
        train(&mut adam(&whole), &whole, 9);

        let parts = leaves(Kind::Float);
        let mut before = adam(&parts);
        train(&mut before, &parts, 4);
        let state = before.state();
        // The state is a copy: what the old optimiser does afterwards does not reach it.
        let spoiled = leaves(Kind::Float);
        before.parameters = adam(&spoiled).parameters;
        train(&mut before, &spoiled, 3);

        let mut after = adam(&parts);
        after.load_state(&state).unwrap();
        assert_eq!(after.steps(), 4);
        train(&mut after, &parts, 5);
        assert_eq!(values(&whole), values(&parts));
    }

    #[test]
    fn moments_are_given_by_name_in_the_parameters_shape() {
        let weights = leaves(Kind::Double);
        let mut adam = adam(&weights);
        backward(&weights);
        adam.step(0.1).unwrap();
        let state = adam.state();
        assert_eq!((state.steps, state.first[1].0.as_str()), (1, "w1"));
        assert_eq!(state.second[1].1.size(), [2, 3, 2, 2]);
        // The gradient of element i at 0.5 is (i + 1) (0.5 - i).
        let first = state.first[0].1.double_value(&[2]);
        assert!((first - 0.1 * 3.0 * -1.5).abs() < 1e-15);
        let second = state.second[0].1.double_value(&[2]);
        assert!((second - 0.001 * 4.5 * 4.5).abs() < 1e-15);
    }

    #[test]
    fn a_parameter_out_of_reach_stays_and_zero_grad_forgets() {
        let weights = leaves(Kind::Double);
        let mut adam = adam(&weights);
        backward(&weights[..1]);
        adam.step(0.1).unwrap();
        assert!(values(&weights)[1].iter().all(|&value| value == 0.5));
        assert!(values(&weights)[0].iter().all(|&value| value != 0.5));
        adam.zero_grad();
        assert_eq!(weights[0].grad().abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        assert!(matches!(Adam::new(Vec::new()), Err(AdamError::Nothing)));
        let mixed = vec![
            ("a".to_owned(), Tensor::zeros([2], DOUBLE)),
            ("b".to_owned(), Tensor::zeros([2], (Kind::Float, Device::Cpu))),
        ];
        let error = Adam::new(mixed).unwrap_err().to_string();
        assert!(error.contains("`b` is Float on Cpu"), "{error}");

        let weights = leaves(Kind::Double);
        let mut adam = adam(&weights);
        let mut state = adam.state();
        state.steps = 7;
        state.second[1].1 = Tensor::zeros([5], DOUBLE);
        let error = adam.load_state(&state).unwrap_err().to_string();
        assert!(error.contains("second moment of `w1` as [5], expected [2, 3, 2, 2]"), "{error}");
        assert_eq!(adam.steps(), 0);
        drop(state.first.remove(0));
        let error = adam.load_state(&state).unwrap_err().to_string();
        assert!(error.contains("lacks the first moment of `w0`"), "{error}");
    }
}
