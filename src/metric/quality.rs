//! Clean quality: how near an SR image is to the ground truth, as the SR literature counts it.
//!
//! Luma follows MATLAB's `rgb2ycbcr` on 8-bit images, except that luma itself is not rounded
//! again. Deliberately absent: the comparison of an attacked output with a clean one, which is
//! plain RGB [`psnr`](super::psnr()).

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};

use super::psnr::decibels;
use super::{
    MetricError,
    ssim::{self, ssim},
};

/// Quality of an SR image against its ground truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Luma PSNR in dB, peak 255; infinite for equal images.
    pub psnr: f64,
    /// Mean SSIM on luma, at most 1.
    pub ssim: f64,
}

/// Clips to [0, 1] and rounds to the nearest of the 256 levels `k / 255`; a NaN stays NaN.
#[must_use]
pub fn round_to_8_bits(image: ArrayView3<f32>) -> Array3<f32> {
    image.mapv(|value| (value.clamp(0.0, 1.0) * 255.0).round() / 255.0)
}

/// BT.601 luma of an RGB image (3, H, W) on [0, 1]: (H, W) in [16, 235].
///
/// `16 + 65.481 R + 128.553 G + 24.966 B`. Give it an image already rounded to 8 bits; the result
/// is not rounded.
///
/// # Errors
/// [`MetricError::NotRgb`].
pub fn luma(rgb: ArrayView3<f32>) -> Result<Array2<f64>, MetricError> {
    if rgb.len_of(Axis(0)) != 3 {
        return Err(MetricError::NotRgb { channels: rgb.len_of(Axis(0)) });
    }
    let channel = |index| rgb.index_axis(Axis(0), index).mapv(f64::from);
    Ok(channel(0) * 65.481 + channel(1) * 128.553 + channel(2) * 24.966 + 16.0)
}

/// The smallest side in pixels that [`clean_quality`] takes.
#[must_use]
pub fn smallest_side(border: usize) -> usize {
    ssim::WINDOW + 2 * border
}

/// PSNR and SSIM on luma after 8-bit rounding, with a border of `scale` pixels removed.
///
/// Both images are RGB (3, H, W) on [0, 1], or both are luma over 255, (1, H, W).
///
/// # Errors
/// [`MetricError::ShapeMismatch`] naming both sizes, [`MetricError::NotRgb`], and
/// [`MetricError::TooSmall`] where less than an SSIM window is left inside the border.
pub fn clean_quality(
    sr: ArrayView3<f32>,
    truth: ArrayView3<f32>,
    scale: usize,
) -> Result<Quality, MetricError> {
    MetricError::unless_same_shape(sr.shape(), truth.shape())?;
    let (sr, truth) = (judged_luma(sr)?, judged_luma(truth)?);
    let (sr, truth) = (without_border(&sr, scale), without_border(&truth, scale));
    let ssim = ssim(sr, truth)?;
    let psnr = decibels(sr.iter().copied(), truth.iter().copied(), 255.0);
    Ok(Quality { psnr, ssim })
}

/// Mean SSIM on luma of two images on [0, 1] of equal size, clipped and not rounded; `None` where they
/// are smaller than an SSIM window.
///
/// # Errors
/// As for [`clean_quality`], save [`MetricError::TooSmall`].
pub fn luma_ssim(left: ArrayView3<f32>, right: ArrayView3<f32>) -> Result<Option<f64>, MetricError> {
    MetricError::unless_same_shape(left.shape(), right.shape())?;
    let luma = |image: ArrayView3<f32>| {
        let clipped = image.mapv(|value| value.clamp(0.0, 1.0));
        match clipped.len_of(Axis(0)) {
            1 => Ok(clipped.index_axis(Axis(0), 0).mapv(|value| f64::from(value) * 255.0)),
            _ => luma(clipped.view()),
        }
    };
    match ssim(luma(left)?.view(), luma(right)?.view()) {
        Err(MetricError::TooSmall { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// Luma after rounding to 8 bits, of RGB or of luma itself.
fn judged_luma(image: ArrayView3<f32>) -> Result<Array2<f64>, MetricError> {
    let rounded = round_to_8_bits(image);
    match rounded.len_of(Axis(0)) {
        1 => Ok(rounded.index_axis(Axis(0), 0).mapv(|value| f64::from(value) * 255.0)),
        _ => luma(rounded.view()),
    }
}

/// The image without `border` pixels on every side; empty where nothing is left.
fn without_border(image: &Array2<f64>, border: usize) -> ArrayView2<'_, f64> {
    let (height, width) = image.dim();
    let inside = |length: usize| {
        let start = border.min(length);
        start..length.saturating_sub(border).max(start)
    };
    image.slice(s![inside(height), inside(width)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A smooth image with some texture, every value of it an 8-bit level.
    fn photograph(height: usize, width: usize) -> Array3<f32> {
        Array3::from_shape_fn((3, height, width), |(c, y, x)| {
            let wave = ((x as f32) * 0.7 + (y as f32) * 0.3 + c as f32).sin();
            (127.0 + 100.0 * wave).round() / 255.0
        })
    }

    #[test]
    fn luma_of_the_corners_of_the_cube() {
        let pixel = |rgb: [f32; 3]| {
            luma(Array3::from_shape_vec((3, 1, 1), rgb.to_vec()).unwrap().view()).unwrap()[[0, 0]]
        };
        assert!((pixel([0.0, 0.0, 0.0]) - 16.0).abs() < 1e-9);
        assert!((pixel([1.0, 1.0, 1.0]) - 235.0).abs() < 1e-9);
        assert!((pixel([1.0, 0.0, 0.0]) - 81.481).abs() < 1e-9);
        assert!((pixel([0.0, 1.0, 0.0]) - 144.553).abs() < 1e-9);
        assert!((pixel([0.0, 0.0, 1.0]) - 40.966).abs() < 1e-9);
    }

    #[test]
    fn a_grey_image_has_no_luma() {
        let message = luma(Array3::zeros((1, 4, 4)).view()).unwrap_err().to_string();
        assert!(message.starts_with("an image with 1 channel(s) has no luma"), "{message}");
    }

    #[test]
    fn one_level_of_red_everywhere_gives_the_known_psnr() {
        let truth = Array3::from_elem((3, 20, 20), 100.0 / 255.0);
        let mut sr = truth.clone();
        sr.index_axis_mut(Axis(0), 0).fill(101.0 / 255.0);
        let expected = 20.0 * (255.0f64 / (65.481 / 255.0)).log10();
        let measured = clean_quality(sr.view(), truth.view(), 4).unwrap();
        assert!((measured.psnr - expected).abs() < 1e-4, "{measured:?}");
    }

    #[test]
    fn the_border_does_not_count() {
        let truth = photograph(24, 27);
        let mut sr = Array3::zeros(truth.dim());
        sr.slice_mut(s![.., 3..21, 3..24]).assign(&truth.slice(s![.., 3..21, 3..24]));
        let at = |border| clean_quality(sr.view(), truth.view(), border).unwrap();
        assert_eq!(at(3), Quality { psnr: f64::INFINITY, ssim: 1.0 });
        assert!(at(2).psnr < 30.0 && at(2).ssim < 1.0);
    }

    #[test]
    fn less_than_half_a_level_does_not_count() {
        let truth = photograph(20, 20);
        let sr = &truth + 0.4 / 255.0;
        assert_eq!(clean_quality(sr.view(), truth.view(), 2).unwrap().psnr, f64::INFINITY);
    }

    #[test]
    fn different_sizes_are_named() {
        let (sr, truth) = (Array3::zeros((3, 40, 60)), Array3::zeros((3, 40, 64)));
        let message = clean_quality(sr.view(), truth.view(), 4).unwrap_err().to_string();
        assert!(message.contains("3x40x60"), "{message}");
        assert!(message.contains("3x40x64"), "{message}");
    }

    #[test]
    fn what_is_left_inside_the_border_must_hold_a_window() {
        let image = photograph(18, 40);
        assert!(clean_quality(image.view(), image.view(), 3).is_ok());
        assert_eq!(smallest_side(3), 17);
        let least = photograph(17, 17);
        assert!(clean_quality(least.view(), least.view(), 3).is_ok());
        for (border, height) in [(4, 10), (9, 0), (30, 0), (usize::MAX, 0)] {
            let result = clean_quality(image.view(), image.view(), border);
            let Err(MetricError::TooSmall { height: left, .. }) = result else {
                panic!("border {border}: {result:?}");
            };
            assert_eq!(left, height);
        }
    }

    proptest! {
        #![proptest_config(crate::metric::seeded_cases())]

        #[test]
        fn rounding_is_idempotent_and_within_half_a_level(value in -0.5f32..1.5) {
            let once = round_to_8_bits(Array3::from_elem((1, 1, 1), value).view());
            prop_assert_eq!(&once, &round_to_8_bits(once.view()));
            let clipped = value.clamp(0.0, 1.0);
            prop_assert!((once[[0, 0, 0]] - clipped).abs() <= 0.5 / 255.0 + 1e-6);
        }
    }
}
