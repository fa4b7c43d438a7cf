//! Scaled to a random size and back (after Xie et al., ICLR 2018, who pad instead of scaling back, which a
//! network that gives images cannot have).
//!
//! Bilinear in both directions, pixel centres at halves, each value from its two neighbours without
//! smoothing: linear, and separable. Going down and up again is one matrix per axis, and the derivative's
//! transpose is the two matrices' transposes.

use ndarray::{Array2, Array3, ArrayView3, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The share of the sides at a draw, from `least` to 1.
pub fn share(least: f64, draw: u64) -> f64 {
    ChaCha8Rng::seed_from_u64(draw).random_range(least..=1.0)
}

/// An image scaled to a share of its sides and back.
pub fn apply(x: ArrayView3<'_, f32>, share: f64) -> Array3<f32> {
    between(x, share, |matrix| matrix)
}

/// The transpose of [`apply`].
pub fn pull_back(gradient: ArrayView3<'_, f32>, share: f64) -> Array3<f32> {
    between(gradient, share, Array2::reversed_axes)
}

/// Every plane P as A P B^T, with a matrix for the rows and one for the columns.
fn between(
    planes: ArrayView3<'_, f32>,
    share: f64,
    turned: impl Fn(Array2<f32>) -> Array2<f32>,
) -> Array3<f32> {
    let (_, height, width) = planes.dim();
    let [rows, columns] = [height, width].map(|side| turned(there_and_back(side, share)));
    let mut result = Array3::zeros(planes.raw_dim());
    for (plane, mut into) in planes.outer_iter().zip(result.axis_iter_mut(Axis(0))) {
        into.assign(&rows.dot(&plane).dot(&columns.t()));
    }
    result
}

/// The matrix that takes an axis of `side` values to a share of them and back.
fn there_and_back(side: usize, share: f64) -> Array2<f32> {
    let small = ((side as f64 * share).round() as usize).clamp(1, side.max(1));
    bilinear(small, side).dot(&bilinear(side, small)).mapv(|weight| weight as f32)
}

/// The `to` x `from` matrix of linear interpolation; the outermost values go on beyond the border.
fn bilinear(from: usize, to: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((to, from));
    for row in 0..to {
        let last = from.saturating_sub(1);
        let place = ((row as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, last as f64);
        let before = place.floor() as usize;
        let after = (before + 1).min(last);
        matrix[[row, before]] += 1.0 - place.fract();
        matrix[[row, after]] += place.fract();
    }
    matrix
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use proptest::prelude::*;

    use super::*;

    fn dot(a: &Array3<f32>, b: &Array3<f32>) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    fn image(seed: u64, shape: (usize, usize, usize)) -> Array3<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array3::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config {
            rng_seed: proptest::test_runner::RngSeed::Fixed(0), ..Default::default()
        })]

        /// <g(x), y> = <x, g^T(y)>.
        #[test]
        fn the_pull_back_is_the_adjoint(
            seed in 0..1000_u64, channels in 1..4_usize, height in 1..40_usize, width in 1..40_usize,
            least in 0.05..0.999_f64,
        ) {
            let (x, y) = (image(seed, (channels, height, width)), image(seed + 1, (channels, height, width)));
            let share = share(least, seed);
            let there = dot(&apply(x.view(), share), &y);
            let back = dot(&x, &pull_back(y.view(), share));
            let scale = (x.len() as f64).sqrt();
            prop_assert!((there - back).abs() <= 1e-6 * scale, "{} {}", there, back);
        }
    }

    #[test]
    fn rows_of_weights_add_up_to_one_and_none_is_negative() {
        for (from, to) in [(1, 1), (1, 5), (5, 1), (7, 5), (5, 7), (48, 44)] {
            let matrix = bilinear(from, to);
            assert!(matrix.sum_axis(Axis(1)).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
            assert!(matrix.iter().all(|weight| *weight >= 0.0));
        }
    }

    /// Half of 6 values lie in the middle of pairs; twice 3 lie a quarter to either side of each.
    #[test]
    fn halving_and_doubling_are_as_computed_by_hand() {
        let x = Array1::from_vec(vec![0.0, 2.0, 4.0, 6.0, 10.0, 20.0]);
        let half = bilinear(6, 3).dot(&x);
        assert_eq!(half.to_vec(), [1.0, 5.0, 15.0]);
        assert_eq!(bilinear(3, 6).dot(&half).to_vec(), [1.0, 2.0, 4.0, 7.5, 12.5, 15.0]);
    }

    #[test]
    fn draws_differ_and_stay_in_range() {
        let shares: Vec<f64> = (0..100).map(|draw| share(0.9, draw)).collect();
        assert!(shares.iter().all(|share| (0.9..=1.0).contains(share)));
        assert!(shares.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(share(0.9, 7), share(0.9, 7));
        let spread = shares.iter().copied().fold(0.0, f64::max) - shares.iter().copied().fold(1.0, f64::min);
        assert!(spread > 0.09);
    }
}
