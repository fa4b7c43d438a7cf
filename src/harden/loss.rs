//! L_r of eq. (2): how far an output is from its target, in the unit that lambda is meant for.

use crate::torch::{Kind, TchError, Tensor};
use crate::zoo::Loss;

/// The mean over all elements of two images on [0, 1].
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
