//! Initial values after Balle et al. 2018: every layer starts as a plain scaling, and the biases
//! break the symmetry between the units of a layer.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::shape::{Layer, Layers};

/// The values and the (channels, width out, width in or 1) sizes of every parameter, by layer.
pub(super) struct Initial {
    pub matrices: Vec<(Vec<f64>, [i64; 3])>,
    pub biases: Vec<(Vec<f64>, [i64; 3])>,
    pub gates: Vec<(Vec<f64>, [i64; 3])>,
}

/// Draws the start of an estimator; a pure function of its arguments.
pub(super) fn draw(channels: usize, layers: &Layers, init_scale: f64, seed: u64) -> Initial {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let list = layers.list();
    let scale = init_scale.powf(1.0 / layers.depth() as f64);
    let size = |rows: usize, columns: usize| [channels as i64, rows as i64, columns as i64];
    let matrix = |layer: &Layer| {
        // softplus of this is 1 / (scale * width out): a layer divides by `scale`, its fan-out apart.
        let raw = (1.0 / (scale * layer.width_out as f64)).exp_m1().ln();
        (vec![raw; channels * layer.matrix.len()], size(layer.width_out, layer.width_in))
    };
    let mut bias = |layer: &Layer| {
        let count = channels * layer.bias.len();
        let values = (0..count).map(|_| rng.random_range(-0.5..=0.5)).collect();
        (values, size(layer.width_out, 1))
    };
    let gate = |layer: &Layer| (vec![0.0; channels * layer.gate.len()], size(layer.width_out, 1));
    Initial {
        matrices: list.iter().map(matrix).collect(),
        biases: list.iter().map(&mut bias).collect(),
        gates: list.iter().filter(|layer| !layer.gate.is_empty()).map(gate).collect(),
    }
}
