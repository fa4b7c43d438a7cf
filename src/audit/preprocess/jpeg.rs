//! JPEG and back (Dziugaite et al. 2016; Guo et al., ICLR 2018).

use ndarray::{Array3, ArrayView3};

use crate::image::through_jpeg;

/// What is left of an image after JPEG at a quality from 1 to 100.
pub fn apply(x: ArrayView3<'_, f32>, quality: u8) -> Array3<f32> {
    through_jpeg(x, quality)
}
