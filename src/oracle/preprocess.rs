//! What an image passes before the network: a defence that whoever serves the model put there.
//!
//! An oracle with one answers for the two together. Where it is random, an oracle is at one draw of it at a
//! time; whoever wants an expectation asks at several. Deliberately absent: any such pre-processing.

use std::fmt::Debug;

use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis, stack};

/// A map from images to images of the same shape, (channels, height, width) on [0, 1].
pub trait Preprocess: Debug {
    /// What the network is fed, at a draw of what is random.
    fn apply(&self, x: ArrayView3<'_, f32>, draw: u64) -> Array3<f32>;

    /// The gradient with respect to what comes in, from that with respect to what goes out at the same draw:
    /// the transposed derivative, or an estimate where there is none.
    fn pull_back(&self, gradient: ArrayView3<'_, f32>, draw: u64) -> Array3<f32>;

    /// Whether that is the derivative, and no estimate.
    fn has_derivative(&self) -> bool;

    /// Draws that an expectation should be taken over; 1 where nothing is random.
    fn draws(&self) -> usize;
}

/// A batch, image by image.
pub fn each(x: ArrayView4<'_, f32>, map: impl Fn(ArrayView3<'_, f32>) -> Array3<f32>) -> Array4<f32> {
    let mapped: Vec<Array3<f32>> = x.outer_iter().map(map).collect();
    let views: Vec<_> = mapped.iter().map(|image| image.view()).collect();
    stack(Axis(0), &views).unwrap_or_default()
}
