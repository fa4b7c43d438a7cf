//! Peak signal-to-noise ratio.
//!
//! Deliberately absent: averages. A report averages dB over images, and it is the report that says
//! so.

use ndarray::ArrayView3;

use super::MetricError;

/// PSNR in dB of two images on [0, 1] (peak 1), over all channels and pixels.
///
/// Values outside [0, 1] count as the nearest end, so that a caller cannot forget to clip what a
/// network put out. Equal images, and images without pixels, give infinity; a NaN in either gives
/// NaN.
///
/// # Errors
/// [`MetricError::ShapeMismatch`].
pub fn psnr(left: ArrayView3<f32>, right: ArrayView3<f32>) -> Result<f64, MetricError> {
    MetricError::unless_same_shape(left.shape(), right.shape())?;
    let clipped = |value: &f32| f64::from(value.clamp(0.0, 1.0));
    Ok(decibels(left.iter().map(clipped), right.iter().map(clipped), 1.0))
}

/// PSNR in dB of two equally long sequences of samples.
pub(super) fn decibels(
    left: impl ExactSizeIterator<Item = f64>,
    right: impl Iterator<Item = f64>,
    peak: f64,
) -> f64 {
    let count = left.len();
    let squares: f64 = left.zip(right).map(|(l, r)| (l - r) * (l - r)).sum();
    if squares == 0.0 {
        return f64::INFINITY;
    }
    10.0 * (peak * peak * count as f64 / squares).log10()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};
    use proptest::prelude::*;

    use super::*;

    /// Two images of one shape, values a little beyond [0, 1].
    fn pair() -> impl Strategy<Value = (Array3<f32>, Array3<f32>)> {
        (1..6usize, 1..6usize).prop_flat_map(|(height, width)| {
            let values = || prop::collection::vec(-0.2f32..1.2, 3 * height * width);
            (values(), values()).prop_map(move |(l, r)| {
                let image = |v| Array3::from_shape_vec((3, height, width), v).unwrap();
                (image(l), image(r))
            })
        })
    }

    #[test]
    fn a_known_error_gives_the_known_decibels() {
        let left = Array3::from_elem((3, 4, 5), 0.5);
        let right = Array3::from_elem((3, 4, 5), 0.75);
        let expected = 20.0 * 4f64.log10();
        assert!((psnr(left.view(), right.view()).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn beyond_the_range_counts_as_its_end() {
        let left = Array3::from_elem((3, 2, 2), 1.0);
        let right = Array3::from_elem((3, 2, 2), 7.5);
        assert_eq!(psnr(left.view(), right.view()).unwrap(), f64::INFINITY);
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let left = Array3::from_elem((3, 2, 2), 0.5);
        let mut right = left.clone();
        right[[1, 1, 1]] = f32::NAN;
        assert!(psnr(left.view(), right.view()).unwrap().is_nan());
    }

    #[test]
    fn different_shapes_are_an_error_that_names_both() {
        let left = Array3::zeros((3, 480, 320));
        let right = Array3::zeros((3, 481, 321));
        let message = psnr(left.view(), right.view()).unwrap_err().to_string();
        assert!(message.contains("3x480x320 (channels x height x width) against 3x481x321"));
    }

    #[test]
    fn the_memory_layout_does_not_matter() {
        let left = Array3::from_shape_fn((3, 5, 7), |(c, y, x)| ((c + y * x) % 11) as f32 / 11.0);
        let right = Array3::from_shape_fn((3, 5, 7), |(c, y, x)| ((c * y + x) % 13) as f32 / 13.0);
        let mut columns_first = Array3::zeros(ndarray::ShapeBuilder::f((3, 5, 7)));
        columns_first.assign(&right);
        let direct = psnr(left.view(), right.view()).unwrap();
        assert_eq!(direct, psnr(left.view(), columns_first.view()).unwrap());
        let flipped = psnr(left.slice(s![.., ..;-1, ..]), right.slice(s![.., ..;-1, ..])).unwrap();
        assert!((direct - flipped).abs() < 1e-12);
    }

    proptest! {
        #![proptest_config(crate::metric::seeded_cases())]

        #[test]
        fn is_symmetric((left, right) in pair()) {
            let forth = psnr(left.view(), right.view()).unwrap();
            prop_assert_eq!(forth, psnr(right.view(), left.view()).unwrap());
        }

        #[test]
        fn is_infinite_for_equal_images((image, _) in pair()) {
            prop_assert_eq!(psnr(image.view(), image.view()).unwrap(), f64::INFINITY);
        }

        #[test]
        fn falls_by_6_decibels_when_the_noise_doubles((noise, _) in pair()) {
            let clean = Array3::from_elem(noise.dim(), 0.5);
            let at = |factor: f32| psnr(clean.view(), (&clean + &noise * factor).view()).unwrap();
            let (weak, strong) = (at(0.125), at(0.25));
            prop_assume!(weak.is_finite());
            prop_assert!(strong < weak);
            prop_assert!((weak - strong - 20.0 * 2f64.log10()).abs() < 1e-3);
        }
    }
}
