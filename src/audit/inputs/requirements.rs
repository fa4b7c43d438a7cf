//! Brings an image to what a model takes: luma, a fixed size, a multiple.
//!
//! An image that is larger than a model's one size is cut to its middle; one that is smaller is
//! continued by its own mirror image, as ground truth is, so that one stays the upscale of the
//! other. Deliberately absent: resizing, which would make another image.

use ndarray::{Array, Array3, Array4, ArrayView, Axis, RemoveAxis, s};

use crate::interface::{Geometry, Interface};
use crate::metric::{MetricError, luma};

/// What a model asks of an image: models that ask the same share images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRequirements {
    /// Output side over input side.
    pub scale: usize,
    /// 3 for RGB, 1 for luma.
    pub channels: usize,
    /// The one size that is taken, where there is only one.
    pub fixed: Option<[usize; 2]>,
    /// Height and width must be multiples of this.
    pub multiple: usize,
}

impl ImageRequirements {
    /// What an interface asks.
    pub fn of(interface: &Interface) -> Self {
        let Geometry { scale, fixed, multiple, .. } = interface.geometry;
        Self { scale, channels: interface.form.channels, fixed, multiple }
    }
}

/// An image as a model takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The LR image as a batch of one.
    pub x: Array4<f32>,
    /// Its ground truth.
    pub truth: Option<Array3<f32>>,
    /// What was done to the size, where anything was.
    pub how: Option<String>,
}

/// Fits an RGB image, whose ground truth is `requirements.scale` times as large.
///
/// # Errors
/// [`MetricError::NotRgb`].
pub fn fit(
    x: Array4<f32>,
    truth: Option<Array3<f32>>,
    requirements: &ImageRequirements,
) -> Result<Fitted, MetricError> {
    let (x, truth) = if requirements.channels == 1 {
        (luma_batch(&x)?, truth.map(luma_image).transpose()?)
    } else {
        (x, truth)
    };
    let given = [x.shape()[2], x.shape()[3]];
    let wanted =
        requirements.fixed.unwrap_or_else(|| given.map(|side| multiple(side, requirements.multiple)));
    let x = sized(x, 2, wanted, 1);
    let truth = truth.map(|truth| sized(truth, 1, wanted, requirements.scale));
    Ok(Fitted { x, truth, how: how(given, wanted) })
}

/// The largest multiple of `step` that is not above `side`, but at least one `step`.
fn multiple(side: usize, step: usize) -> usize {
    (side / step).max(1) * step
}

fn how(given: [usize; 2], wanted: [usize; 2]) -> Option<String> {
    let cut = (0..2).any(|axis| wanted[axis] < given[axis]);
    let grown = (0..2).any(|axis| wanted[axis] > given[axis]);
    let verb = match (cut, grown) {
        (false, false) => return None,
        (true, false) => "cropped",
        (false, true) => "mirrored",
        (true, true) => "cropped and mirrored",
    };
    Some(format!("{verb} from {}x{} to {}x{}", given[0], given[1], wanted[0], wanted[1]))
}

fn luma_image(rgb: Array3<f32>) -> Result<Array3<f32>, MetricError> {
    Ok(luma(rgb.view())?.mapv(|value| (value / 255.0) as f32).insert_axis(Axis(0)))
}

fn luma_batch(rgb: &Array4<f32>) -> Result<Array4<f32>, MetricError> {
    Ok(luma_image(rgb.slice(s![0, .., .., ..]).to_owned())?.insert_axis(Axis(0)))
}

/// The rows, which are axis `rows`, and the columns behind them brought to a size in LR pixels, of
/// which each is `unit` pixels here.
fn sized<D: RemoveAxis>(image: Array<f32, D>, rows: usize, size: [usize; 2], unit: usize) -> Array<f32, D> {
    let tall = along(image.view(), rows, size[0], unit);
    along(tall.view(), rows + 1, size[1], unit)
}

/// The middle of an axis, or the axis continued evenly on both sides by its mirror image.
fn along<D: RemoveAxis>(
    image: ArrayView<'_, f32, D>,
    axis: usize,
    size: usize,
    unit: usize,
) -> Array<f32, D> {
    let given = image.len_of(Axis(axis));
    let given_units = given / unit;
    let cut = given_units.saturating_sub(size) / 2 * unit;
    let before = size.saturating_sub(given_units) / 2 * unit;
    // Mirrored about its borders, an axis repeats itself after twice its length.
    let period = 2 * given;
    let entry = |index: usize| (index + cut + period * before.div_ceil(period) - before) % period;
    let entries: Vec<usize> =
        (0..size * unit).map(entry).map(|entry| entry.min(period - 1 - entry)).collect();
    image.select(Axis(axis), &entries)
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    fn requirements(channels: usize, fixed: Option<[usize; 2]>, multiple: usize) -> ImageRequirements {
        ImageRequirements { scale: 3, channels, fixed, multiple }
    }

    /// Every value tells its place; ground truth repeats each one 3 x 3 times.
    fn image(height: usize, width: usize) -> (Array4<f32>, Array3<f32>) {
        let value = |c: usize, y: usize, x: usize| (c * 10_000 + y * 100 + x) as f32;
        let x = Array4::from_shape_fn((1, 3, height, width), |(_, c, y, x)| value(c, y, x));
        (x, Array3::from_shape_fn((3, height * 3, width * 3), |(c, y, x)| value(c, y / 3, x / 3)))
    }

    #[test]
    fn image_and_truth_stay_together() {
        let sizes = [(None, 1), (None, 4), (Some([5, 5]), 1), (Some([20, 31]), 1), (Some([4, 40]), 1)];
        for (fixed, multiple) in sizes {
            for (height, width) in [(9, 13), (6, 5), (3, 2)] {
                let (x, truth) = image(height, width);
                let fitted = fit(x, Some(truth), &requirements(3, fixed, multiple)).unwrap();
                let size = [fitted.x.shape()[2], fitted.x.shape()[3]];
                assert!(fixed.is_none_or(|fixed| fixed == size) && size[0].is_multiple_of(multiple));
                let truth = fitted.truth.unwrap();
                assert_eq!(truth.slice(s![.., ..;3, ..;3]), fitted.x.slice(s![0, .., .., ..]));
                assert_eq!(truth.slice(s![.., 2..;3, 2..;3]), fitted.x.slice(s![0, .., .., ..]));
                assert_eq!(fitted.how.is_none(), size == [height, width]);
            }
        }
    }

    #[test]
    fn a_mirror_continues_what_is_there() {
        let row = Array1::from_vec(vec![1.0_f32, 2.0, 3.0]);
        let grown = |size| along(row.view(), 0, size, 1).to_vec();
        assert_eq!(grown(5), [1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(grown(9), [3.0, 2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0, 1.0]);
        assert_eq!(grown(2), [1.0, 2.0]);
    }

    #[test]
    fn luma_models_get_luma() {
        let grey = Array4::from_elem((1, 3, 4, 4), 0.5);
        let fitted = fit(grey, None, &requirements(1, None, 1)).unwrap();
        assert_eq!(fitted.x.shape(), [1, 1, 4, 4]);
        assert!((fitted.x[[0, 0, 0, 0]] * 255.0 - 125.5).abs() < 1e-4);
    }
}
