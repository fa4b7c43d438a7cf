//! Whether images go through a model whole or in tiles, and in which.
//!
//! Tiles are made where they are asked for, and where a whole image is too large for the memory there is. Only what
//! attacks need is bounded: the image and its output, which are held whole, are taken off first.

use ndarray::Axis;

use crate::audit::AuditError;
use crate::audit::inputs::images::AuditImage;
use crate::interface::Geometry;
use crate::oracle::{Oracle, TileError, Tiles};

/// Sides of tiles are no shorter than this where memory asks for them: less keeps nothing between margins.
pub const SHORTEST: usize = 32;
/// Images and outputs that an attack holds at once: points, steps, the best ones, targets.
const WHOLE_ARRAYS: u64 = 8;

/// The bytes that whole images take, whatever the tiles.
pub fn held_whole(geometry: &Geometry, image: &AuditImage, batch: usize) -> u64 {
    let [_, channels, height, width] = image.shape();
    let output = geometry.output([height, width]);
    let values = channels * (height * width + output[0] * output[1]) * batch;
    WHOLE_ARRAYS * 4 * values as u64
}

/// Tiles of about this side for `oracle`'s model with the margin that the largest image asks for; none where it is no larger than one, or
/// the model takes one size only.
///
/// # Errors
/// A model that looks too far for such tiles, or cannot be run.
pub fn tiles(
    model: &str,
    geometry: &Geometry,
    oracle: &mut Oracle,
    side: usize,
    largest: &AuditImage,
) -> Result<Option<Tiles>, AuditError> {
    let side = (side / geometry.multiple).max(1) * geometry.multiple;
    let larger = [2, 3].iter().any(|&axis| largest.x.len_of(Axis(axis)) > side);
    if geometry.fixed.is_some() || !larger {
        return Ok(None);
    }
    let start = Tiles {
        size: [side; 2],
        margin: geometry.margin.div_ceil(geometry.scale).next_multiple_of(geometry.multiple),
        multiple: geometry.multiple,
        scale: geometry.scale,
        cut: geometry.margin,
    };
    let found = oracle.fitting_tiles(largest.x.view(), start);
    found.map(Some).map_err(|error| match error {
        TileError::Oracle(error) => AuditError::oracle(model, &largest.name, error),
        refusal => AuditError::Tiles {
            path: largest.path.clone(),
            model: model.to_owned(),
            source: Box::new(refusal),
        },
    })
}
