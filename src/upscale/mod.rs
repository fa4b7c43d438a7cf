//! A super-resolution model as a plain upscaler: any file, any photograph, whole or tile by tile.
//!
//! A luma model upscales luma; the colour differences come from a bicubic upscale, as in the papers of such models.
//! A model without padding gets the photograph continued by its mirror image, so that nothing is cut from the
//! result. Tiled and whole agree within [`TOLERANCE`]: how far a network looks is measured on the photograph itself,
//! and one that looks everywhere is refused rather than shown with seams. Deliberately absent: files and flags.

mod colour;
mod tiles;

use ndarray::{Array3, Array4, ArrayView3, Axis, s};

use crate::interface::Interface;
use crate::oracle::{Oracle, OracleError};
use tiles::{Tile, Tiling};

/// The most by which a value of a tiled upscale may differ from that of a whole one, on [0, 1].
pub const TOLERANCE: f32 = 1e-3;
/// The most by which two crops may differ in the part they share, for the smaller one's margin to do.
const AGREEMENT: f32 = TOLERANCE / 4.0;
/// Margins that are tried, in LR pixels.
const MARGINS: [usize; 4] = [8, 16, 32, 64];

/// Why a photograph was not upscaled.
#[derive(Debug, thiserror::Error)]
pub enum UpscaleError {
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
        "cannot be upscaled in tiles of {tile}x{tile} pixels: with {margin} more pixels on every side the middle of a \
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

/// A model on a runtime that upscales photographs.
pub struct Upscaler {
    oracle: Oracle,
    interface: Interface,
}

impl Upscaler {
    /// From an oracle over the interface's canonical model.
    pub fn new(oracle: Oracle, interface: Interface) -> Self {
        Self { oracle, interface }
    }

    /// The size that a photograph has inside the model, with what it is continued by.
    pub fn inner_size(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        let geometry = &self.interface.geometry;
        let border = self.border();
        geometry.fixed.unwrap_or_else(|| {
            [height, width].map(|side| (side + 2 * border).next_multiple_of(geometry.multiple))
        })
    }

    /// Upscales RGB on [0, 1], 3 x H x W, in tiles of at most `tile` LR pixels a side, whole where `None`. A model
    /// of one size is given tiles of that size, whatever is asked for.
    ///
    /// # Errors
    /// The model cannot be run, or looks too far for such tiles.
    pub fn upscale(
        &mut self,
        rgb: ArrayView3<'_, f32>,
        tile: Option<usize>,
    ) -> Result<Array3<f32>, UpscaleError> {
        if self.interface.form.channels == 1 {
            let (luma, differences) = colour::split(rgb);
            let luma = self.planes(luma.view().insert_axis(Axis(0)), tile)?;
            return Ok(colour::join(luma.index_axis(Axis(0), 0), differences.view()));
        }
        self.planes(rgb, tile)
    }

    /// Upscales planes as the model takes them.
    fn planes(
        &mut self,
        planes: ArrayView3<'_, f32>,
        tile: Option<usize>,
    ) -> Result<Array3<f32>, UpscaleError> {
        let (_, height, width) = planes.dim();
        let (scale, border) = (self.interface.geometry.scale, self.border());
        let size = match self.interface.geometry.fixed {
            // Tiles of the one size that there is: the photograph is continued to at least one.
            Some(fixed) => [0, 1].map(|axis| fixed[axis].max([height, width][axis] + 2 * border)),
            None => self.inner_size([height, width]),
        };
        let inner = tiles::continued(planes, border, size);
        let upscaled = match self.tile_size(tile, size) {
            None => self.run(inner.view())?,
            Some(tile) => self.tiled(inner.view(), tile)?,
        };
        // Without padding the model's output lacks a margin, which the border outweighs.
        let missing = self.interface.geometry.margin;
        let start = border * scale - missing;
        Ok(upscaled.slice_move(s![.., start..start + height * scale, start..start + width * scale]))
    }

    /// LR pixels by which a photograph is continued on every side because the model cuts its output.
    fn border(&self) -> usize {
        let geometry = &self.interface.geometry;
        geometry.margin.div_ceil(geometry.scale).next_multiple_of(geometry.multiple)
    }

    /// The size of tiles, height and width, where an image of this size is to be cut.
    fn tile_size(&self, tile: Option<usize>, size: [usize; 2]) -> Option<[usize; 2]> {
        let geometry = &self.interface.geometry;
        if let Some(fixed) = geometry.fixed {
            return (fixed != size).then_some(fixed);
        }
        let multiple = geometry.multiple;
        let side = (tile? / multiple).max(1) * multiple;
        let tile = size.map(|length| length.min(side));
        (tile != size).then_some(tile)
    }

    fn tiled(&mut self, image: ArrayView3<'_, f32>, tile: [usize; 2]) -> Result<Array3<f32>, UpscaleError> {
        let (channels, height, width) = image.dim();
        let geometry = self.interface.geometry;
        let tiling = self.tiling(image, tile)?;
        let [rows, columns] = geometry.output([height, width]);
        let mut result = Array3::zeros((channels, rows, columns));
        for part in tiling.tiles() {
            let [y, x] = part.read.clone();
            let read = image.slice(s![.., y.start..y.end, x.start..x.end]);
            let output = self.run(read)?;
            paste(&mut result, &output, &part, geometry.scale, geometry.margin);
        }
        Ok(result)
    }

    /// The tiling whose margin is as wide as the network looks, as far as the tile leaves room for it.
    fn tiling(&mut self, image: ArrayView3<'_, f32>, tile: [usize; 2]) -> Result<Tiling, UpscaleError> {
        let (_, height, width) = image.dim();
        let (multiple, size) = (self.interface.geometry.multiple, [height, width]);
        let margins = MARGINS.map(|margin| (margin + self.border()).next_multiple_of(multiple));
        let side = tile[0].min(tile[1]);
        let mut refusal = UpscaleError::SmallTile { tile: side, margin: margins[0] };
        for margin in margins {
            // A tile must keep something between its margins.
            if (0..2).any(|axis| tile[axis] < size[axis] && tile[axis] <= 2 * margin) {
                break;
            }
            let tiling = Tiling { size, tile, margin, multiple };
            let difference = self.seam(image, &tiling)?;
            if difference <= AGREEMENT {
                return Ok(tiling);
            }
            refusal = UpscaleError::LooksFarther { tile: side, margin, difference };
        }
        Err(refusal)
    }

    /// The most by which neighbouring tiles in the middle of the image differ around their seam, where both see the
    /// margin.
    fn seam(&mut self, image: ArrayView3<'_, f32>, tiling: &Tiling) -> Result<f32, UpscaleError> {
        let geometry = self.interface.geometry;
        let mut most = 0f32;
        for (one, other) in tiling.overlaps() {
            let outputs = [&one, &other].map(|part| {
                let [y, x] = part.read.clone();
                self.run(image.slice(s![.., y.start..y.end, x.start..x.end]))
            });
            let [first, second] = outputs;
            let (first, second) = (first?, second?);
            let shared = |part: &Tile, output: &Array3<f32>| {
                let [rows, columns] = [0, 1].map(|axis| {
                    let start =
                        (part.keep[axis].start - part.read[axis].start) * geometry.scale - geometry.margin;
                    start..start + part.keep[axis].len() * geometry.scale
                });
                output.slice(s![.., rows, columns]).to_owned()
            };
            let difference = shared(&one, &first) - shared(&other, &second);
            most = difference.iter().fold(most, |most, value| most.max(value.abs()));
        }
        Ok(most)
    }

    fn run(&mut self, image: ArrayView3<'_, f32>) -> Result<Array3<f32>, UpscaleError> {
        let batch: Array4<f32> = image.to_owned().insert_axis(Axis(0));
        Ok(self.oracle.forward(batch.view())?.index_axis_move(Axis(0), 0))
    }
}

/// Copies what a tile keeps.
fn paste(result: &mut Array3<f32>, output: &Array3<f32>, part: &Tile, scale: usize, margin: usize) {
    let (_, rows, columns) = result.dim();
    let limits = [rows, columns];
    let [target, source] = {
        let spans = [0, 1].map(|axis| {
            let (keep, read) = (&part.keep[axis], &part.read[axis]);
            // Places in the output lie `margin` pixels before those of the image times the scale.
            let start = (keep.start * scale).saturating_sub(margin);
            let end = (keep.end * scale).saturating_sub(margin).min(limits[axis]);
            (start..end, start - read.start * scale..end - read.start * scale)
        });
        let [first, second] = spans;
        [[first.0, second.0], [first.1, second.1]]
    };
    let [source_rows, source_columns] = source;
    let [target_rows, target_columns] = target;
    result.slice_mut(s![.., target_rows, target_columns]).assign(&output.slice(s![
        ..,
        source_rows,
        source_columns
    ]));
}
