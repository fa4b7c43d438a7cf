//! How a super-resolution model is fed and read.
//!
//! A stranger's file says little of itself: its layout, colours, value range, scale, and which sizes
//! it takes are found by probing, by agreement with a bicubic upscale. What was found is then put
//! into the graph: [`Interface::canonical`] gives a model that takes and gives float32 images,
//! N x C x H x W on [0, 1], so that nothing downstream knows of any other interface.
//! Deliberately absent: photographs, and judging how good a model is.

mod canonical;
mod constants;
mod form;
mod geometry;
mod overrides;
mod picture;
mod probe;
mod range;
mod size;
mod upsampling;

pub use canonical::served;
pub use form::{Form, Layout};
pub use geometry::Geometry;
pub use overrides::Overrides;
pub use probe::{Found, declared, discover, unprobed};
pub use range::{Affine, PixelRange};
pub use size::Size;
pub use upsampling::{FoundTap, find_tap, on_the_way};

use crate::onnx::{Problem, Tensor};
use crate::rewrite::RewriteError;
use crate::runtime::RuntimeError;

/// How a model is fed and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Names, layout and colours.
    pub form: Form,
    /// Sizes it takes and gives.
    pub geometry: Geometry,
    /// The range of values at its input.
    pub input_range: PixelRange,
    /// The range of values at its output.
    pub output_range: PixelRange,
    /// Values of its other inputs.
    pub constants: Vec<(String, Tensor)>,
}

/// Why no interface was found.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// The model is not one that upscales one image, or what it takes is ambiguous.
    #[error(transparent)]
    Unclear(#[from] Problem),
    /// The graph cannot be followed.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The model cannot be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}
