//! The part of an image and of its output that is drawn where a picture of the whole would be too large.

use std::ops::Range;

use ndarray::{Array4, ArrayView3, Axis, s};

use crate::interface::Geometry;
use crate::report::WorstWindow;

/// The side of a window in output pixels: `crate::metric::WINDOW_SIDE`.
const WINDOW: usize = crate::metric::WINDOW_SIDE;

/// Rows and columns of an image, in LR pixels, and those of its output that show the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crop {
    input: [Range<usize>; 2],
    output: [Range<usize>; 2],
}

impl Crop {
    /// All of both; sizes are height and width.
    pub fn whole(input: [usize; 2], output: [usize; 2]) -> Self {
        Self { input: input.map(|side| 0..side), output: output.map(|side| 0..side) }
    }

    /// At most `side` LR pixels a side with the window in their middle, or as near to it as the border lets them.
    pub fn around(window: &WorstWindow, input: [usize; 2], geometry: &Geometry, side: usize) -> Self {
        let output = geometry.output(input);
        let spans = [0, 1].map(|axis| {
            // Without padding an output begins `margin` pixels inside the image times the scale.
            let (scale, margin) = (geometry.scale, geometry.margin);
            let middle = ([window.y, window.x][axis] + WINDOW / 2 + margin) / scale;
            let start = middle.saturating_sub(side / 2).min(input[axis].saturating_sub(side));
            let end = (start + side).min(input[axis]);
            let shown = |place: usize| (place * scale).saturating_sub(margin).min(output[axis]);
            (start..end, shown(start)..shown(end))
        });
        let [(rows, output_rows), (columns, output_columns)] = spans;
        Self { input: [rows, columns], output: [output_rows, output_columns] }
    }

    /// Its part of the first image of an LR batch.
    pub fn of_input<'a>(&self, batch: &'a Array4<f32>) -> ArrayView3<'a, f32> {
        part(batch, &self.input)
    }

    /// Its part of the first image of a batch of outputs.
    pub fn of_output<'a>(&self, batch: &'a Array4<f32>) -> ArrayView3<'a, f32> {
        part(batch, &self.output)
    }
}

fn part<'a>(batch: &'a Array4<f32>, [rows, columns]: &[Range<usize>; 2]) -> ArrayView3<'a, f32> {
    batch.index_axis(Axis(0), 0).slice_move(s![.., rows.clone(), columns.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(x: usize, y: usize, margin: usize) -> Crop {
        let geometry = Geometry { scale: 2, margin, fixed: None, multiple: 1, example: [48, 64] };
        Crop::around(&WorstWindow { sr_psnr: 20.0, x, y }, [100, 40], &geometry, 48)
    }

    #[test]
    fn the_window_lies_in_the_middle_unless_the_border_is_near() {
        let crop = around(10, 100, 0);
        assert_eq!(crop, Crop { input: [30..78, 0..40], output: [60..156, 0..80] });
        assert_eq!(around(0, 0, 0).input, [0..48, 0..40]);
        assert_eq!(around(0, 184, 0).output, [104..200, 0..80]);
    }

    #[test]
    fn a_margin_that_the_output_lacks_shifts_it() {
        assert_eq!(around(10, 100, 6), Crop { input: [33..81, 0..40], output: [60..156, 0..68] });
    }
}
