//! Where two images differ most: the worst window, and the largest difference of a value.
//!
//! A mean over a whole image hides a broken face or digit; a window of that size does not.

use ndarray::{Array2, ArrayView3, Axis};

use super::MetricError;

/// The side of a window, in pixels.
pub const WINDOW_SIDE: usize = 16;

/// A window of two images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// PSNR in dB inside it, over all channels.
    pub psnr: f64,
    /// Its left column.
    pub x: usize,
    /// Its top row.
    pub y: usize,
}

/// A pixel of two images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The largest difference of a channel there, on [0, 1].
    pub value: f64,
    /// Its column.
    pub x: usize,
    /// Its row.
    pub y: usize,
}

/// The window of [`WINDOW_SIDE`] pixels a side (or the image's, where that is smaller) with the least PSNR, of
/// all places; the first in reading order where several are equal. Values are clipped to [0, 1]; equal images
/// give infinity.
///
/// # Errors
/// [`MetricError::ShapeMismatch`].
pub fn worst_window(left: ArrayView3<f32>, right: ArrayView3<f32>) -> Result<Window, MetricError> {
    MetricError::unless_same_shape(left.shape(), right.shape())?;
    let (channels, height, width) = left.dim();
    let (rows, columns) = (WINDOW_SIDE.min(height), WINDOW_SIDE.min(width));
    let values = (channels * rows * columns) as f64;
    let sums = summed_area(left, right);
    let mut worst = Window { psnr: f64::INFINITY, x: 0, y: 0 };
    let mut largest = 0.0;
    for y in 0..=height - rows {
        for x in 0..=width - columns {
            let (bottom, right) = (y + rows, x + columns);
            let squares = sums[[bottom, right]] - sums[[y, right]] - sums[[bottom, x]] + sums[[y, x]];
            if squares > largest {
                largest = squares;
                worst = Window { psnr: 10.0 * (values / squares).log10(), x, y };
            }
        }
    }
    Ok(worst)
}

/// Sums of squared differences over all pixels above and left of every place.
fn summed_area(left: ArrayView3<f32>, right: ArrayView3<f32>) -> Array2<f64> {
    let (_, height, width) = left.dim();
    let mut sums = Array2::<f64>::zeros((height + 1, width + 1));
    for y in 0..height {
        let mut row = 0.0;
        for x in 0..width {
            let (a, b) = (left.index_axis(Axis(2), x), right.index_axis(Axis(2), x));
            let square = |(a, b): (&f32, &f32)| clipped(a, b).powi(2);
            row += a.column(y).iter().zip(b.column(y)).map(square).sum::<f64>();
            sums[[y + 1, x + 1]] = sums[[y, x + 1]] + row;
        }
    }
    sums
}

/// The pixel with the largest difference of a channel, values clipped to [0, 1]; the first of several.
///
/// # Errors
/// [`MetricError::ShapeMismatch`].
pub fn largest_difference(left: ArrayView3<f32>, right: ArrayView3<f32>) -> Result<Difference, MetricError> {
    MetricError::unless_same_shape(left.shape(), right.shape())?;
    let mut largest = Difference { value: 0.0, x: 0, y: 0 };
    for (((_, y, x), a), b) in left.indexed_iter().zip(right) {
        let value = clipped(a, b).abs();
        if value > largest.value {
            largest = Difference { value, x, y };
        }
    }
    Ok(largest)
}

fn clipped(a: &f32, b: &f32) -> f64 {
    f64::from(a.clamp(0.0, 1.0)) - f64::from(b.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;

    #[test]
    fn a_broken_patch_is_found_where_it_is() {
        let left = Array3::from_elem((3, 40, 50), 0.5);
        let mut right = left.clone();
        right.slice_mut(s![.., 7..23, 30..46]).fill(0.75);
        let window = worst_window(left.view(), right.view()).unwrap();
        assert_eq!((window.x, window.y), (30, 7));
        assert!((window.psnr - 20.0 * 4f64.log10()).abs() < 1e-9, "{}", window.psnr);
        let largest = largest_difference(left.view(), right.view()).unwrap();
        assert_eq!(largest, Difference { value: 0.25, x: 30, y: 7 });
    }

    #[test]
    fn the_window_is_the_image_where_that_is_smaller() {
        let (left, right) = (Array3::zeros((1, 3, 4)), Array3::ones((1, 3, 4)));
        assert_eq!(worst_window(left.view(), right.view()).unwrap(), Window { psnr: 0.0, x: 0, y: 0 });
        assert_eq!(worst_window(left.view(), left.view()).unwrap().psnr, f64::INFINITY);
    }
}
