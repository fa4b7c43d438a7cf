//! Initial weights, as PyTorch draws them for a convolution.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::onnx::{GraphBuilder, Tensor};

/// Draws weights in the order in which a network asks for them.
pub struct Weights {
    rng: ChaCha8Rng,
}

impl Weights {
    /// A source that gives the same weights for the same seed, on every machine.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { rng }
    }

    /// Adds weight and bias of a square convolution, each uniform in +-1 / sqrt(fan in): PyTorch's
    /// default (He et al. 2015 with a = sqrt(5)). Gives their names.
    pub fn conv(
        &mut self,
        graph: &mut GraphBuilder,
        name: &str,
        outputs: usize,
        inputs: usize,
        kernel: usize,
    ) -> (String, String) {
        let bound = 1.0 / ((inputs * kernel * kernel) as f32).sqrt();
        let weight = self.uniform(&[outputs, inputs, kernel, kernel], bound);
        let bias = self.uniform(&[outputs], bound);
        let weight = graph.initializer(&format!("{name}.weight"), weight);
        (weight, graph.initializer(&format!("{name}.bias"), bias))
    }

    fn uniform(&mut self, shape: &[usize], bound: f32) -> Tensor {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| self.rng.random_range(-bound..=bound)).collect();
        Tensor::f32(shape, values).expect("as many values as the shape holds were drawn")
    }
}
