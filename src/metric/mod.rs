//! What a pixel is worth: PSNR, SSIM, luma and bicubic resampling, as pure functions on arrays.
//!
//! Everything accumulates in f64 and in one fixed order, so that a number printed twice is the
//! same number. Deliberately absent: files, models and averages over images; a metric knows two
//! arrays and nothing else.

mod convention;
mod extreme;
mod percentile;
mod psnr;
mod quality;
mod resize;
mod ssim;
mod window;

use thiserror::Error;

pub use convention::CONVENTION;
pub use extreme::ReverseWeibull;
pub use percentile::{normal_cdf, rank_below};
pub use psnr::psnr;
pub use quality::{Quality, clean_quality, luma, luma_ssim, round_to_8_bits, smallest_side};
pub use resize::{bicubic, crop_to_multiple, downscale, downscale_8_bit};
pub use ssim::ssim;
pub use window::{Difference, WINDOW_SIDE, Window, largest_difference, worst_window};

/// Why two images cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetricError {
    /// The arrays have different shapes.
    #[error(
        "images of different sizes cannot be compared: {} against {}; \
         check that they belong together and that the scale is right",
        shape_in_words(left),
        shape_in_words(right)
    )]
    ShapeMismatch {
        /// Shape of the first image.
        left: Vec<usize>,
        /// Shape of the second image.
        right: Vec<usize>,
    },
    /// Luma was asked of something that is not RGB.
    #[error("an image with {channels} channel(s) has no luma; convert it to RGB (3 channels) first")]
    NotRgb {
        /// Length of the first axis.
        channels: usize,
    },
    /// The image is smaller than the window of SSIM.
    #[error(
        "an image of {height}x{width} pixels (height x width, borders removed) is too small for \
         SSIM; give one of at least {window}x{window}",
        window = ssim::WINDOW
    )]
    TooSmall {
        /// Height in pixels of what is left to compare.
        height: usize,
        /// Width in pixels of what is left to compare.
        width: usize,
    },
}

impl MetricError {
    /// `Ok` where both shapes are the same.
    fn unless_same_shape(left: &[usize], right: &[usize]) -> Result<(), Self> {
        if left == right {
            return Ok(());
        }
        Err(Self::ShapeMismatch { left: left.to_vec(), right: right.to_vec() })
    }
}

/// `3x480x320 (channels x height x width)`.
fn shape_in_words(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let axes = match shape.len() {
        2 => " (height x width)",
        3 => " (channels x height x width)",
        _ => "",
    };
    format!("{}{axes}", sizes.join("x"))
}

/// Property tests try the same cases on every run.
#[cfg(test)]
pub(crate) fn seeded_cases() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    Config { rng_seed: RngSeed::Fixed(0), ..Config::default() }
}
