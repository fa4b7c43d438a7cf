//! Structural similarity, as Wang, Bovik, Sheikh and Simoncelli 2004 define it.
//!
//! The mean over all 11x11 windows that lie inside the image. Deliberately absent: the later
//! suggestion to shrink large images first, which SR papers do not follow, and SSIM of colour
//! images.

use ndarray::{Array2, ArrayView2, Axis, Zip};

use super::MetricError;

/// Side of the Gaussian window in pixels.
pub(super) const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
const RANGE: f64 = 255.0;
const C1: f64 = (0.01 * RANGE) * (0.01 * RANGE);
const C2: f64 = (0.03 * RANGE) * (0.03 * RANGE);

/// Mean SSIM of two single-channel images (H, W) on [0, 255]; 1 for equal images, never more.
///
/// # Errors
/// [`MetricError::ShapeMismatch`], or [`MetricError::TooSmall`] where a side is shorter than the
/// window of 11 pixels.
pub fn ssim(left: ArrayView2<f64>, right: ArrayView2<f64>) -> Result<f64, MetricError> {
    MetricError::unless_same_shape(left.shape(), right.shape())?;
    let (height, width) = left.dim();
    if height < WINDOW || width < WINDOW {
        return Err(MetricError::TooSmall { height, width });
    }
    let mean_left = windowed_mean(left);
    let mean_right = windowed_mean(right);
    let square_left = windowed_mean((&left * &left).view());
    let square_right = windowed_mean((&right * &right).view());
    let product = windowed_mean((&left * &right).view());

    let mut sum = 0.0;
    Zip::from(&mean_left)
        .and(&mean_right)
        .and(&square_left)
        .and(&square_right)
        .and(&product)
        .for_each(|&ml, &mr, &ll, &rr, &lr| sum += similarity(ml, mr, ll, rr, lr));
    Ok(sum / mean_left.len() as f64)
}

/// Eq. (13) of the paper, from the windowed means of l, r, l^2, r^2 and l r.
fn similarity(ml: f64, mr: f64, ll: f64, rr: f64, lr: f64) -> f64 {
    let (variance_left, variance_right) = (ll - ml * ml, rr - mr * mr);
    let covariance = lr - ml * mr;
    let luminance = (2.0 * (ml * mr) + C1) / (ml * ml + mr * mr + C1);
    luminance * ((2.0 * covariance + C2) / (variance_left + variance_right + C2))
}

/// One side of the window; the window is its outer product with itself. Sums to 1.
fn gaussian() -> [f64; WINDOW] {
    let centre = (WINDOW / 2) as f64;
    let weights: [f64; WINDOW] = std::array::from_fn(|index| {
        let distance = index as f64 - centre;
        (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
    });
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// Gaussian mean of every window inside the image: (H, W) becomes (H - 10, W - 10).
fn windowed_mean(image: ArrayView2<f64>) -> Array2<f64> {
    let rows = convolve(image, Axis(0));
    convolve(rows.view(), Axis(1))
}

/// One pass of the window along one axis, as a weighted sum of shifted views.
fn convolve(image: ArrayView2<f64>, axis: Axis) -> Array2<f64> {
    let valid = image.len_of(axis) + 1 - WINDOW;
    let mut shape = image.raw_dim();
    shape[axis.index()] = valid;
    let mut result = Array2::zeros(shape);
    for (shift, weight) in gaussian().into_iter().enumerate() {
        let shifted = image.slice_axis(axis, (shift..shift + valid).into());
        result.scaled_add(weight, &shifted);
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition word for word: one window at a time, two-dimensional weights, central
    /// moments.
    fn direct(left: &Array2<f64>, right: &Array2<f64>) -> f64 {
        let mut window = Array2::from_shape_fn((11, 11), |(y, x)| {
            let (dy, dx) = (y as f64 - 5.0, x as f64 - 5.0);
            (-(dy * dy + dx * dx) / 4.5).exp()
        });
        window /= window.sum();
        let (c1, c2) = (6.5025, 58.5225);
        let mut values = Vec::new();
        for (l, r) in left.windows((11, 11)).into_iter().zip(right.windows((11, 11))) {
            let (ml, mr) = ((&window * &l).sum(), (&window * &r).sum());
            let (dl, dr) = (&l - ml, &r - mr);
            let moment = |a: &Array2<f64>, b: &Array2<f64>| (&window * &(a * b)).sum();
            values.push(
                (2.0 * ml * mr + c1) * (2.0 * moment(&dl, &dr) + c2)
                    / ((ml * ml + mr * mr + c1) * (moment(&dl, &dl) + moment(&dr, &dr) + c2)),
            );
        }
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn pair() -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
        (11..16usize, 11..16usize).prop_flat_map(|(height, width)| {
            let values = || prop::collection::vec(0.0..255.0f64, height * width);
            (values(), values()).prop_map(move |(l, r)| {
                let image = |v| Array2::from_shape_vec((height, width), v).unwrap();
                (image(l), image(r))
            })
        })
    }

    #[test]
    fn a_shift_in_brightness_of_flat_images_is_the_luminance_term_alone() {
        let (left, right) = (Array2::from_elem((12, 13), 100.0), Array2::from_elem((12, 13), 150.0));
        let expected = (2.0 * 100.0 * 150.0 + 6.5025) / (100.0f64.powi(2) + 150.0f64.powi(2) + 6.5025);
        assert!((ssim(left.view(), right.view()).unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn the_negative_is_unlike_the_image() {
        let image = Array2::from_shape_fn((20, 20), |(y, x)| if (x + y) % 2 == 0 { 0.0 } else { 255.0 });
        let negative = image.mapv(|value| 255.0 - value);
        assert!(ssim(image.view(), negative.view()).unwrap() < -0.9);
    }

    #[test]
    fn less_than_a_window_is_refused_with_its_size() {
        let small = Array2::zeros((10, 40));
        let message = ssim(small.view(), small.view()).unwrap_err().to_string();
        assert!(message.contains("10x40 pixels"), "{message}");
        assert!(message.ends_with("at least 11x11"), "{message}");
    }

    proptest! {
        #![proptest_config(crate::metric::seeded_cases())]

        #[test]
        fn agrees_with_the_definition((left, right) in pair()) {
            let fast = ssim(left.view(), right.view()).unwrap();
            prop_assert!((fast - direct(&left, &right)).abs() < 1e-10);
        }

        #[test]
        fn is_one_for_equal_images((image, _) in pair()) {
            prop_assert_eq!(ssim(image.view(), image.view()).unwrap(), 1.0);
        }

        #[test]
        fn is_symmetric_and_at_most_one((left, right) in pair()) {
            let forth = ssim(left.view(), right.view()).unwrap();
            prop_assert!(forth <= 1.0);
            prop_assert!((forth - ssim(right.view(), left.view()).unwrap()).abs() < 1e-14);
        }
    }
}
