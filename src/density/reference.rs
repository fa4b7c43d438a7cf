//! Eq. (1)-(11) as they stand, in plain tensor operations that autograd differentiates. This is the
//! text the fast paths are held to; it is also what [`super::DensityEstimator::cumulative`] and
//! [`super::DensityEstimator::probability`] run.

use super::{DensityEstimator, FLOOR};
use crate::torch::{Kind, Tensor};

/// The input of the sigmoid of f_K, eq. (5), for `x` (N, C, H, W).
pub(super) fn logits(estimator: &DensityEstimator, x: &Tensor) -> Tensor {
    let size = x.size();
    let channels_first = [size[1], size[0], size[2], size[3]];
    let mut value = x.transpose(0, 1).reshape([size[1], 1, -1]);
    for layer in 0..estimator.layers.depth() {
        value = estimator.matrices[layer].softplus().matmul(&value) + &estimator.biases[layer];
        if let Some(gate) = estimator.gates.get(layer) {
            value = &value + gate.tanh() * value.tanh();
        }
    }
    value.view(channels_first).transpose(0, 1)
}

/// p_d of eq. (11). The two sigmoids are taken on the side of zero where both are small: near 1 a
/// float has no digits left for their difference. The sign itself carries no gradient.
pub(super) fn probability(estimator: &DensityEstimator, phi: &Tensor, delta: f64) -> Tensor {
    let lower = logits(estimator, &(phi - delta / 2.0));
    let upper = logits(estimator, &(phi + delta / 2.0));
    // +1 below the median, -1 from it on: never 0, which would make p vanish at the median.
    let side = (&lower + &upper).detach().lt(0.0).to_kind(phi.kind()) * 2.0 - 1.0;
    ((&upper * &side).sigmoid() - (&lower * &side).sigmoid()) * side
}

/// L_e of eq. (1).
pub(super) fn bits(estimator: &DensityEstimator, phi: &Tensor, delta: f64) -> Tensor {
    let p = probability(estimator, phi, delta);
    let floored = &p + (p.clamp_min(FLOOR) - &p).detach();
    -floored.log2().mean(None::<Kind>)
}
