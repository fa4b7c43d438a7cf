//! What a crop was cut from: attacks see the crop, and whoever serves the model the whole image.

use ndarray::{Array4, s};

use super::requirements::{Fitted, ImageRequirements, fit};

/// The image that a crop was cut from.
#[derive(Clone, Debug)]
pub struct Whole {
    /// All of it, or all that the model's multiples leave, as a batch of one.
    pub x: Array4<f32>,
    /// The row and the column in it at which the crop begins.
    pub at: [usize; 2],
}

impl Whole {
    /// As models with these requirements take it; none where they do not, or would not take the crop as it was cut.
    pub fn fitted(self, crop: &Fitted, requirements: &ImageRequirements) -> Option<Self> {
        if requirements.fixed.is_some() || crop.how.is_some() {
            return None;
        }
        let multiple = requirements.multiple;
        let free = ImageRequirements { multiple: 1, ..*requirements };
        let x = fit(self.x, None, &free).ok()?.x;
        // Where the crop begins is a multiple too, so that a network of windows sees the same ones.
        let first = self.at.map(|place| place % multiple);
        let kept = [0, 1].map(|axis| {
            let left = x.shape()[2 + axis] - first[axis];
            first[axis]..first[axis] + left / multiple * multiple
        });
        let [rows, columns] = kept;
        let x = x.slice(s![.., .., rows, columns]).to_owned();
        Some(Self { x, at: [0, 1].map(|axis| self.at[axis] - first[axis]) })
    }
}
