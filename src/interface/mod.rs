//! How a super-resolution model is fed and read.
//!
//! A stranger's file says little of itself: its layout, colours, value range, scale, and which sizes
//! it takes are found by probing, by agreement with a bicubic upscale. What was found is then put
//! into the graph: [`Interface::canonical`] gives a model that takes and gives float32 images,
//! N x C x H x W on [0, 1], so that nothing downstream knows of any other interface.
//! Deliberately absent: photographs, and judging how good a model is.

mod canonical;
mod form;
mod geometry;
mod levels;
mod picture;
mod probe;
mod size;
mod upsampling;

pub use canonical::served;
pub use form::{Form, Layout};
pub use geometry::Geometry;
pub use levels::Levels;
pub use probe::{Found, declared, discover};
pub use size::Size;
pub use upsampling::find_tap;

use crate::onnx::{Model, Problem, Tensor};
use crate::rewrite::RewriteError;
use crate::runtime::RuntimeError;

/// The metadata key of our own exports, whose images are on [0, 1].
const OWN: &str = "temper.scale";

/// What a user states about a model; what is left open is found.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The layout of the image.
    pub layout: Option<Layout>,
    /// Channels of the image: 3 for RGB, 1 for luma.
    pub channels: Option<usize>,
    /// What a model's numbers stand for at its input.
    pub input_levels: Option<Levels>,
    /// The same at its output; as at the input where only that is stated.
    pub output_levels: Option<Levels>,
    /// Output side over input side.
    pub scale: Option<usize>,
    /// The output that is the image.
    pub output: Option<String>,
    /// Values of inputs other than the image, by name.
    pub feeds: Vec<(String, Vec<f64>)>,
}

impl Wishes {
    /// With what our own exports state of themselves, where the user states nothing.
    fn or_own(&self, model: &Model) -> Self {
        let own = model.metadata.contains_key(OWN).then_some(Levels::Unit);
        Self { input_levels: self.input_levels.or(own), ..self.clone() }
    }
}

/// How a model is fed and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Names, layout and colours.
    pub form: Form,
    /// Sizes it takes and gives.
    pub geometry: Geometry,
    /// The range of values at its input.
    pub input_levels: Levels,
    /// The range of values at its output.
    pub output_levels: Levels,
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
