//! Continuing an image beyond its borders.

use ndarray::{Array3, ArrayView3, Axis};

/// An image continued by its mirror image: by `border` before its rows and columns, and to `size` behind them.
pub fn continued(image: ArrayView3<'_, f32>, border: usize, size: [usize; 2]) -> Array3<f32> {
    let along = |axis: usize, length: usize| -> Vec<usize> {
        let given = image.len_of(Axis(axis));
        // Mirrored about its borders, an axis repeats itself after twice its length.
        let period = 2 * given;
        let entry = |index: usize| (index + period * border.div_ceil(period) - border) % period;
        (0..length).map(entry).map(|entry| entry.min(period - 1 - entry)).collect()
    };
    image.select(Axis(1), &along(1, size[0])).select(Axis(2), &along(2, size[1]))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn an_image_goes_on_as_its_mirror_image() {
        let row = array![[[1f32, 2.0, 3.0]]];
        let grown = continued(row.view(), 2, [1, 8]);
        // One row continued by two mirrors itself.
        assert_eq!(grown.as_slice().unwrap(), [2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0, 1.0]);
    }
}
