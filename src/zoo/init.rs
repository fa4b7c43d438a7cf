//! Initial weights, as PyTorch draws them by default.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::onnx::Tensor;

/// Draws weights in the order in which a network asks for them.
pub struct Weights {
    rng: ChaCha8Rng,
}

impl Weights {
    /// A source that gives the same weights for the same seed, on every machine.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Weight and bias of a layer, each uniform in +-1 / sqrt(fan in): PyTorch's default for
    /// convolutions and linear layers (He et al. 2015 with a = sqrt(5)). The weight's shape is
    /// (outputs, ...), and its fan in the product of the rest.
    pub fn layer(&mut self, shape: &[usize]) -> (Tensor, Tensor) {
        let fan_in: usize = shape[1..].iter().product();
        let bound = 1.0 / (fan_in as f32).sqrt();
        (self.uniform(shape, bound), self.uniform(&shape[..1], bound))
    }

    fn uniform(&mut self, shape: &[usize], bound: f32) -> Tensor {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| self.rng.random_range(-bound..=bound)).collect();
        filled(shape, values)
    }
}

/// `value` in every place.
pub fn constant(shape: &[usize], value: f32) -> Tensor {
    filled(shape, vec![value; shape.iter().product()])
}

fn filled(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::f32(shape, values).expect("there are as many values as the shape holds")
}
