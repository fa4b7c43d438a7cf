//! What the tests of the training data share.

use std::path::Path;

use ndarray::Array3;

use super::{Dataset, files};
use crate::harden::HardenError;

pub fn picture(height: usize, width: usize) -> Array3<f32> {
    Array3::from_shape_fn((3, height, width), |(c, y, x)| {
        ((37 * c + 11 * y + 5 * x + y * x) % 256) as f32 / 255.0
    })
}

pub fn load(folder: &Path, scale: usize, patch: usize) -> Result<Dataset, HardenError> {
    let files = files::find(folder, None, scale, files::Part::Train)?;
    Dataset::load(folder, &files, scale, patch, &mut |_| {})
}
