//! 8-bit pixels, and the squares that are cut from them.

use ndarray::{Array3, ArrayView3};

/// RGB pixels, row by row.
#[derive(Debug, PartialEq)]
pub(super) struct Pixels {
    pub height: usize,
    pub width: usize,
    pub values: Vec<[u8; 3]>,
}

impl Pixels {
    /// The 8-bit pixels of an image (3, H, W) on [0, 1].
    pub fn from_planes(planes: ArrayView3<'_, f32>) -> Self {
        let (_, height, width) = planes.dim();
        let level = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let pixel = |index: usize| {
            let (y, x) = (index / width, index % width);
            [0, 1, 2].map(|channel| level(planes[[channel, y, x]]))
        };
        Self { height, width, values: (0..height * width).map(pixel).collect() }
    }

    /// At most `side` pixels high and wide from the middle: (3, H, W) on [0, 1].
    pub fn middle(&self, side: usize) -> Array3<f32> {
        let Self { height, width, values } = self;
        let (rows, columns) = (side.min(*height), side.min(*width));
        let (top, left) = ((height - rows) / 2, (width - columns) / 2);
        let pixel = |(channel, y, x): (usize, usize, usize)| {
            f32::from(values[(top + y) * width + left + x][channel]) / 255.0
        };
        Array3::from_shape_fn((3, rows, columns), pixel)
    }

    /// Appends a square with its upper left corner at (`top`, `left`), turned.
    pub fn cut(&self, top: usize, left: usize, side: usize, turn: Turn, target: &mut Vec<u8>) {
        for y in 0..side {
            for x in 0..side {
                let (row, column) = turn.source(y, x, side);
                target.extend(self.values[(top + row) * self.width + left + column]);
            }
        }
    }
}

/// One of the eight flips and quarter turns of a square.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn(u8);

impl Turn {
    /// Turn `index` of 0 to 7: bits 0 and 1 flip, bit 2 transposes.
    pub fn new(index: u8) -> Self {
        Self(index)
    }

    /// Where the pixel comes from that stands at (y, x) of the turned square.
    fn source(self, y: usize, x: usize, side: usize) -> (usize, usize) {
        let (y, x) = if self.0 & 4 == 0 { (y, x) } else { (x, y) };
        let flipped = |at: usize, bit: u8| if self.0 & bit == 0 { at } else { side - 1 - at };
        (flipped(y, 1), flipped(x, 2))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_eight_turns_differ_and_keep_every_pixel() {
        let mut seen = HashSet::new();
        for turn in 0..8 {
            let cells: Vec<_> = (0..9).map(|cell| Turn(turn).source(cell / 3, cell % 3, 3)).collect();
            assert_eq!(cells.iter().collect::<HashSet<_>>().len(), 9);
            assert!(seen.insert(cells));
        }
    }
}
