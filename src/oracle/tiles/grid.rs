//! Cutting an image into tiles that overlap. All lengths are LR pixels.

use std::ops::Range;

/// What a tile reads of the image, and the part of it that its output is kept of; rows, then columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// What goes through the model.
    pub read: [Range<usize>; 2],
    /// What is kept of it: within `read`, by a margin where the image goes on.
    pub keep: [Range<usize>; 2],
}

/// How an image is cut.
#[derive(Clone, Copy, Debug)]
pub struct Tiling {
    /// Height and width of the image, multiples of `multiple`.
    pub size: [usize; 2],
    /// Height and width of every tile, multiples of `multiple` and at most those of the image.
    pub tile: [usize; 2],
    /// What a tile reads beyond what it keeps, where the image goes on.
    pub margin: usize,
    /// Where tiles may start.
    pub multiple: usize,
}

impl Tiling {
    /// The tiles: what they keep covers the image once.
    pub fn tiles(&self) -> Vec<Tile> {
        let [rows, columns] = [0, 1].map(|axis| self.spans(axis));
        let across = |row: &(Range<usize>, Range<usize>)| {
            let row = row.clone();
            let tile = move |column: &(Range<usize>, Range<usize>)| Tile {
                read: [row.0.clone(), column.0.clone()],
                keep: [row.1.clone(), column.1.clone()],
            };
            columns.iter().map(tile).collect::<Vec<_>>()
        };
        rows.iter().flat_map(across).collect()
    }

    /// What tiles read and keep along an axis.
    fn spans(&self, axis: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let (size, tile) = (self.size[axis], self.tile[axis]);
        if tile >= size {
            return vec![(0..size, 0..size)];
        }
        let step = ((tile - 2 * self.margin) / self.multiple).max(1) * self.multiple;
        let mut starts: Vec<usize> =
            (0..).map(|index| index * step).take_while(|start| start + tile < size).collect();
        starts.push(size - tile);
        let border = |index: usize| match index {
            0 => 0,
            index if index == starts.len() => size,
            index => starts[index] + self.margin,
        };
        let span = |(index, &start): (usize, &usize)| (start..start + tile, border(index)..border(index + 1));
        starts.iter().enumerate().map(span).collect()
    }

    /// Pairs of tiles, neighbours down and across in the middle of the image, each keeping the part around their
    /// seam that both see with the margin: there they must agree.
    pub fn overlaps(&self) -> Vec<(Tile, Tile)> {
        let spans = [0, 1].map(|axis| self.spans(axis));
        let middle = |axis: usize| spans[axis][spans[axis].len() / 2].clone();
        let pair = |axis: usize| {
            let index = (spans[axis].len() / 2).max(1);
            let (first, second) = (spans[axis].get(index - 1)?, spans[axis].get(index)?);
            // The last tile may reach back farther than the others.
            let shared = second.0.start + self.margin..first.0.end - self.margin;
            let shared = if shared.is_empty() { first.1.end - 1..first.1.end } else { shared };
            let shared = shared.start.max(first.0.start)..shared.end.min(second.0.end);
            let other = middle(1 - axis);
            let tile = |read: &Range<usize>| {
                let mut tile = Tile {
                    read: [other.0.clone(), other.0.clone()],
                    keep: [other.1.clone(), other.1.clone()],
                };
                (tile.read[axis], tile.keep[axis]) = (read.clone(), shared.clone());
                tile
            };
            Some((tile(&first.0), tile(&second.0)))
        };
        [0, 1].into_iter().filter(|&axis| spans[axis].len() > 1).filter_map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_covers_the_image_once_and_keeps_its_margin(
            (height, width) in (1usize..60, 1usize..60), tile in 3usize..24, margin in 0usize..6, multiple in 1usize..5,
        ) {
            let size = [height, width].map(|side| side * multiple);
            let tile = size.map(|side| side.min((tile + 2 * margin) * multiple));
            let tiling = Tiling { size, tile, margin: margin * multiple, multiple };
            let mut seen = Array2::<u8>::zeros((size[0], size[1]));
            for part in tiling.tiles() {
                for axis in 0..2 {
                    let (read, keep) = (&part.read[axis], &part.keep[axis]);
                    prop_assert_eq!(read.len(), tile[axis]);
                    prop_assert!(read.start % multiple == 0 && read.end <= size[axis]);
                    prop_assert!(keep.start == 0 || keep.start >= read.start + tiling.margin);
                    prop_assert!(keep.end == size[axis] || keep.end + tiling.margin <= read.end);
                }
                let [rows, columns] = part.keep;
                seen.slice_mut(s![rows, columns]).mapv_inplace(|count| count + 1);
            }
            prop_assert!(seen.iter().all(|count| *count == 1));
        }
    }

    #[test]
    fn neighbours_share_a_part_that_both_see() {
        let tiling = Tiling { size: [40, 100], tile: [40, 32], margin: 8, multiple: 1 };
        let pairs = tiling.overlaps();
        assert_eq!(pairs.len(), 1, "one tile is as high as the image");
        let (first, second) = &pairs[0];
        assert_eq!(first.keep, second.keep);
        for part in [first, second] {
            assert!(
                part.read[1].start <= part.keep[1].start && part.keep[1].end <= part.read[1].end,
                "{part:?}"
            );
            assert!(!part.keep[1].is_empty());
        }
    }
}
