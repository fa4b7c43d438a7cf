//! Images larger than a tile, answered for tile by tile: for networks that look only so far.
//!
//! Tiles overlap by a margin, which is measured: how far the network looks on the image itself. A network that looks
//! everywhere is refused. Outputs are pasted together. A gradient of an objective that is a sum over output pixels, or
//! the root of one, is the sum of the gradients of its parts, each taken on the part's own tile. Deliberately absent:
//! objectives on feature maps, which are not laid out in tiles, and how large a tile should be.

mod gradient;
mod grid;
mod reach;

use ndarray::{Array4, ArrayView4, Axis, s};

use super::{Oracle, OracleError};
pub use grid::Tile;
use grid::Tiling;
pub use reach::TileError;

/// How images are cut into tiles. Lengths are LR pixels where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Height and width of a tile, multiples of `multiple`.
    pub size: [usize; 2],
    /// What a tile reads beyond what is kept of it.
    pub margin: usize,
    /// Height and width of what the model takes are multiples of this.
    pub multiple: usize,
    /// Output side over input side.
    pub scale: usize,
    /// Output pixels that the model cuts on every side, for want of padding.
    pub cut: usize,
}

impl Tiles {
    /// The tiles of an image; none where it is no larger than one.
    fn tiling(&self, size: [usize; 2]) -> Option<Tiling> {
        let tile: [usize; 2] = std::array::from_fn(|axis| self.size[axis].min(size[axis]));
        (tile != size).then_some(Tiling { size, tile, margin: self.margin, multiple: self.multiple })
    }

    /// Where what a tile keeps lies in the output of the whole image: rows, then columns.
    fn place(&self, part: &Tile, output: [usize; 2]) -> [std::ops::Range<usize>; 2] {
        // Places in the output lie `cut` pixels before those of the image times the scale.
        let along = |axis: usize| {
            let at = |side: usize| (side * self.scale).saturating_sub(self.cut).min(output[axis]);
            at(part.keep[axis].start)..at(part.keep[axis].end)
        };
        [along(0), along(1)]
    }

    /// Where the same lies in the tile's own output.
    fn place_inside(&self, part: &Tile, output: [usize; 2]) -> [std::ops::Range<usize>; 2] {
        let whole = self.place(part, output);
        std::array::from_fn(|axis| {
            let before = part.read[axis].start * self.scale;
            whole[axis].start - before..whole[axis].end - before
        })
    }

    /// The size of the output of an image.
    fn output(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|side| (side * self.scale).saturating_sub(2 * self.cut))
    }
}

/// Height and width of a batch.
fn size_of(x: ArrayView4<'_, f32>) -> [usize; 2] {
    [x.len_of(Axis(2)), x.len_of(Axis(3))]
}

/// What a tile reads of a batch.
fn window<'a>(x: ArrayView4<'a, f32>, part: &Tile) -> ArrayView4<'a, f32> {
    let [rows, columns] = part.read.clone();
    x.slice_move(s![.., .., rows, columns])
}

impl Oracle {
    /// Answers for images larger than a tile by tiles; whole where `None`.
    #[must_use]
    pub fn in_tiles(self, tiles: Option<Tiles>) -> Self {
        Self { tiles, ..self }
    }

    /// The same from now on.
    pub fn set_tiles(&mut self, tiles: Option<Tiles>) {
        self.tiles = tiles;
    }

    /// The tiles of these images, with how they were made; none where they go through whole.
    pub(super) fn cut(&self, x: ArrayView4<'_, f32>) -> Option<(Tiles, Vec<Tile>)> {
        let tiles = self.tiles?;
        Some((tiles, tiles.tiling(size_of(x))?.tiles()))
    }

    /// S(x) of a batch, pasted together.
    pub(super) fn forward_by_tiles(
        &mut self,
        x: ArrayView4<'_, f32>,
        tiles: Tiles,
        parts: &[Tile],
    ) -> Result<Array4<f32>, OracleError> {
        let [rows, columns] = tiles.output(size_of(x));
        let mut whole = Array4::zeros((0, 0, 0, 0));
        for part in parts {
            let output = self.forward_whole(window(x, part))?;
            if whole.is_empty() {
                whole = Array4::zeros((x.len_of(Axis(0)), output.len_of(Axis(1)), rows, columns));
            }
            let [from_rows, from_columns] = tiles.place_inside(part, [rows, columns]);
            let [to_rows, to_columns] = tiles.place(part, [rows, columns]);
            let kept = output.slice(s![.., .., from_rows, from_columns]);
            whole.slice_mut(s![.., .., to_rows, to_columns]).assign(&kept);
        }
        Ok(whole)
    }
}
