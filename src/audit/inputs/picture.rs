//! Pictures that settings carry: where attacks may change an image, and what they move an output toward.

use std::path::Path;

use ndarray::{Array2, Array3, Axis};

use crate::digest;
use crate::image::{ImageError, load};

/// A picture whose bright pixels are those that an attack may change.
#[derive(Clone, Debug)]
pub struct MaskPicture {
    /// Its brightest channel on [0, 1], height x width.
    pub brightness: Array2<f32>,
    /// SHA-256 of that, as float32.
    pub sha256: String,
}

impl MaskPicture {
    /// Reads one.
    ///
    /// # Errors
    /// Those of an image.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let pixels = load(path)?.pixels;
        let brightness = pixels.fold_axis(Axis(0), 0.0_f32, |brightest, value| brightest.max(*value));
        let sha256 = digest::of_floats(&brightness);
        Ok(Self { brightness, sha256 })
    }
}

/// The picture that targeted attacks move an output toward.
#[derive(Clone, Debug)]
pub struct TargetPicture {
    /// The file's name, for messages.
    pub name: String,
    /// RGB on [0, 1], of any size: it is scaled to that of each output.
    pub pixels: Array3<f32>,
    /// SHA-256 of the pixels, as float32.
    pub sha256: String,
}

impl TargetPicture {
    /// Reads one.
    ///
    /// # Errors
    /// Those of an image.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let picture = load(path)?;
        let sha256 = digest::of_floats(&picture.pixels);
        Ok(Self { name: picture.name, pixels: picture.pixels, sha256 })
    }
}
