//! The losses of a step, and L_r of eq. (2) in the unit that lambda is meant for.

use crate::torch::{Kind, TchError, Tensor};
use crate::zoo::Loss;

/// The losses of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::harden) struct Losses {
    /// L_r + lambda L_e; of SRGAN with 1e-3 times the adversarial loss.
    pub total: f64,
    /// L_r, in the unit of the network's loss.
    pub reconstruction: f64,
    /// L_e: bits per element of Phi.
    pub entropy: Option<f64>,
    /// The standard deviation of Phi, before the noise.
    pub spread: f64,
    /// SRGAN's adversarial loss of the network.
    pub adversarial: Option<f64>,
    /// SRGAN's loss of the discriminator.
    pub discriminator: Option<f64>,
}

/// L_r of two images on [0, 1], a mean over all elements.
pub(super) fn reconstruction(loss: Loss, output: &Tensor, target: &Tensor) -> Result<Tensor, TchError> {
    let difference = output.f_sub(target)?;
    match loss {
        Loss::L1 => difference.f_abs()?.f_mean(Kind::Float)?.f_mul_scalar(255.0),
        // Twice as far apart as on [0, 1], squared.
        Loss::L2 => difference.f_square()?.f_mean(Kind::Float)?.f_mul_scalar(4.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_in_the_papers_units() {
        let (black, grey) = (Tensor::from_slice(&[0f32, 0.0]), Tensor::from_slice(&[0.5f32, 0.5]));
        let of = |loss| reconstruction(loss, &grey, &black).unwrap().double_value(&[]);
        assert_eq!(of(Loss::L1), 127.5);
        // Half of [0, 1] is 1 on [-1, 1].
        assert_eq!(of(Loss::L2), 1.0);
    }
}
