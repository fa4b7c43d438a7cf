//! A super-resolution model as a plain upscaler: any file, any photograph, whole or tile by tile.
//!
//! A luma model upscales luma; the colour differences come from a bicubic upscale, as in the papers of such models.
//! A model without padding gets the photograph continued by its mirror image, so that nothing is cut from the
//! result. Tiled and whole agree within 1e-3 of the range: how far a network looks is measured on the photograph itself,
//! and one that looks everywhere is refused rather than shown with seams. Deliberately absent: files and flags.

mod colour;
mod mirror;

use ndarray::{Array3, Array4, ArrayView3, Axis, s};

use crate::interface::Interface;
use crate::oracle::{Oracle, TileError, Tiles};

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
    ) -> Result<Array3<f32>, TileError> {
        if self.interface.form.channels == 1 {
            let (luma, differences) = colour::split(rgb);
            let luma = self.planes(luma.view().insert_axis(Axis(0)), tile)?;
            return Ok(colour::join(luma.index_axis(Axis(0), 0), differences.view()));
        }
        self.planes(rgb, tile)
    }

    /// Upscales planes as the model takes them.
    fn planes(&mut self, planes: ArrayView3<'_, f32>, tile: Option<usize>) -> Result<Array3<f32>, TileError> {
        let (_, height, width) = planes.dim();
        let (scale, border) = (self.interface.geometry.scale, self.border());
        let size = match self.interface.geometry.fixed {
            // Tiles of the one size that there is: the photograph is continued to at least one.
            Some(fixed) => [0, 1].map(|axis| fixed[axis].max([height, width][axis] + 2 * border)),
            None => self.inner_size([height, width]),
        };
        let inner = mirror::continued(planes, border, size);
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

    fn tiled(&mut self, image: ArrayView3<'_, f32>, tile: [usize; 2]) -> Result<Array3<f32>, TileError> {
        let geometry = self.interface.geometry;
        let batch = image.insert_axis(Axis(0));
        // Where the model cuts its output, tiles must outreach that, too.
        let start = Tiles {
            size: tile,
            margin: self.border(),
            multiple: geometry.multiple,
            scale: geometry.scale,
            cut: geometry.margin,
        };
        let tiles = self.oracle.fitting_tiles(batch, start)?;
        self.oracle.set_tiles(Some(tiles));
        let output = self.oracle.forward(batch);
        self.oracle.set_tiles(None);
        Ok(output?.index_axis_move(Axis(0), 0))
    }

    fn run(&mut self, image: ArrayView3<'_, f32>) -> Result<Array3<f32>, TileError> {
        let batch: Array4<f32> = image.to_owned().insert_axis(Axis(0));
        Ok(self.oracle.forward(batch.view())?.index_axis_move(Axis(0), 0))
    }
}
