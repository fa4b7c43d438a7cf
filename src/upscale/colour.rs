//! Luma and colour differences of ITU-R BT.601, as MATLAB's `rgb2ycbcr` has them, on [0, 1].

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, stack};

use crate::metric::bicubic;

/// Y, Cb and Cr of R, G and B, without their offsets, in 1/255.
const FORWARD: [[f32; 3]; 3] =
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]];
/// What is added to them, in 1/255.
const OFFSETS: [f32; 3] = [16.0, 128.0, 128.0];
/// R, G and B of Y, Cb and Cr without their offsets: the inverse of [`FORWARD`].
const BACKWARD: [[f32; 3]; 3] = [
    [0.004_566_21, 0.0, 0.006_258_929],
    [0.004_566_21, -0.001_536_324, -0.003_188_111],
    [0.004_566_21, 0.007_910_717, 0.0],
];

/// Luma, H x W, and both colour differences, 2 x H x W, of an RGB image.
pub fn split(rgb: ArrayView3<'_, f32>) -> (Array2<f32>, Array3<f32>) {
    let plane = |row: usize| {
        let mut sum = Array2::from_elem((rgb.len_of(Axis(1)), rgb.len_of(Axis(2))), OFFSETS[row]);
        for (channel, weight) in rgb.outer_iter().zip(FORWARD[row]) {
            sum.scaled_add(weight, &channel);
        }
        sum / 255.0
    };
    let differences = stack(Axis(0), &[plane(1).view(), plane(2).view()]).expect("planes of one size");
    (plane(0), differences)
}

/// RGB of luma and of smaller colour differences, which bicubic brings to its size.
pub fn join(luma: ArrayView2<'_, f32>, differences: ArrayView3<'_, f32>) -> Array3<f32> {
    let (height, width) = luma.dim();
    let differences = bicubic(differences, height, width);
    let planes = [luma, differences.index_axis(Axis(0), 0), differences.index_axis(Axis(0), 1)];
    Array3::from_shape_fn((3, height, width), |(channel, y, x)| {
        let terms =
            (0..3).map(|plane| BACKWARD[channel][plane] * (255.0 * planes[plane][[y, x]] - OFFSETS[plane]));
        terms.sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_survive_the_way_there_and_back() {
        let rgb = Array3::from_shape_fn((3, 4, 5), |(c, y, x)| ((7 * c + 3 * y + x) % 11) as f32 / 10.0);
        let (luma, differences) = split(rgb.view());
        let back = join(luma.view(), differences.view());
        assert!(back.iter().zip(&rgb).all(|(a, b)| (a - b).abs() < 1e-4), "{back}");
        let grey = Array3::from_elem((3, 1, 1), 0.5);
        let (luma, differences) = split(grey.view());
        assert!(
            (luma[[0, 0]] * 255.0 - 125.5).abs() < 1e-3
                && (differences[[0, 0, 0]] * 255.0 - 128.0).abs() < 1e-3
        );
    }
}
