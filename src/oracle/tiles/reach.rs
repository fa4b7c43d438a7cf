//! How far a network looks, measured where tiles meet.

use ndarray::{Array4, ArrayView4, s};

use super::grid::Tiling;
use super::{Tile, Tiles, size_of, window};
use crate::oracle::{Oracle, OracleError};

/// The most by which a value of a tiled output may differ from that of a whole one, on [0, 1].
pub const TOLERANCE: f32 = 1e-3;
/// The most by which two tiles may differ in the part they share, for their margin to do.
const AGREEMENT: f32 = TOLERANCE / 4.0;
/// Margins that are tried, in LR pixels.
const MARGINS: [usize; 4] = [8, 16, 32, 64];

/// Why an image does not go through in tiles.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The model could not be run.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// Tiles of this size leave nothing between their margins.
    #[error("tiles of {tile}x{tile} pixels leave nothing between margins of {margin}; give a larger --tile")]
    SmallTile {
        /// Side of a tile in LR pixels.
        tile: usize,
        /// The smallest margin, in LR pixels.
        margin: usize,
    },
    /// The network looks too far for tiles of this size.
    #[error(
        "cannot be run in tiles of {tile}x{tile} pixels: with {margin} more pixels on every side the middle of a \
         tile changes by {difference:.1e}, and {TOLERANCE:.0e} is allowed, so the network looks farther; give it more \
         --memory, or a larger --tile"
    )]
    LooksFarther {
        /// Side of a tile in LR pixels.
        tile: usize,
        /// The largest margin that was tried, in LR pixels.
        margin: usize,
        /// The difference there, on [0, 1].
        difference: f32,
    },
}

impl Oracle {
    /// The tiles with the smallest margin that does for an image larger than one, tried from `tiles.margin` up.
    ///
    /// # Errors
    /// The model cannot be run, or looks too far for tiles of this size.
    pub fn fitting_tiles(&mut self, image: ArrayView4<'_, f32>, tiles: Tiles) -> Result<Tiles, TileError> {
        let (size, [height, width]) = (size_of(image), tiles.size);
        let margins = MARGINS.map(|margin| (margin + tiles.margin).next_multiple_of(tiles.multiple));
        let tile = height.min(width);
        let mut refusal = TileError::SmallTile { tile, margin: margins[0] };
        for margin in margins {
            let tried = Tiles { margin, ..tiles };
            let Some(tiling) = tried.tiling(size) else { return Ok(tried) };
            // A tile must keep something between its margins.
            if (0..2).any(|axis| tiling.tile[axis] < size[axis] && tiling.tile[axis] <= 2 * margin) {
                break;
            }
            let difference = self.seam(image, &tried, &tiling)?;
            if difference <= AGREEMENT {
                return Ok(tried);
            }
            refusal = TileError::LooksFarther { tile, margin, difference };
        }
        Err(refusal)
    }

    /// The most by which neighbouring tiles in the middle of the image differ around their seam, where both see the
    /// margin.
    fn seam(
        &mut self,
        image: ArrayView4<'_, f32>,
        tiles: &Tiles,
        tiling: &Tiling,
    ) -> Result<f32, OracleError> {
        let output = tiles.output(tiling.size);
        let mut most = 0f32;
        for (one, other) in tiling.overlaps() {
            let mut shared = |part: &Tile| -> Result<Array4<f32>, OracleError> {
                let [rows, columns] = tiles.place_inside(part, output);
                let found = self.forward_whole(window(image, part))?;
                Ok(found.slice(s![.., .., rows, columns]).to_owned())
            };
            let difference = shared(&one)? - shared(&other)?;
            most = difference.iter().fold(most, |most, value| most.max(value.abs()));
        }
        Ok(most)
    }
}
