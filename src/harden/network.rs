//! The network under training: one of the zoo's, or a stranger's file.
//!
//! Both are a graph that takes and gives images on [0, 1], N x C x H x W; a stranger's gets there by
//! its interface, which the written file does not have in its graph.

use std::collections::HashSet;
use std::path::Path;

use super::recipe::Recipe;
use super::{HardenError, stranger, tap, upsampling};
use crate::interface::{Geometry, Interface, Wishes, discover};
use crate::onnx::{self, Model};
use crate::runtime::Runtime;
use crate::runtime::torch::{Mode, Program, Torch};
use crate::torch::{Device, Kind, Tensor};

/// A graph to train, and what it asks of images.
#[derive(Debug)]
pub(super) struct Network {
    /// The graph that is trained.
    pub model: Model,
    /// The value that is Phi.
    pub tap: String,
    /// How the tap was chosen, where nobody named it.
    pub chosen: Option<String>,
    /// Output side over input side.
    pub scale: usize,
    file: Option<File>,
}

/// What a stranger's file is beside the graph that is trained.
#[derive(Debug)]
struct File {
    model: Model,
    interface: Interface,
    weights: HashSet<String>,
    sha256: String,
}

impl Network {
    /// The recipe's network with its initial weights: a stranger's file has its own.
    ///
    /// # Errors
    /// There is none of these settings; the file cannot be read, run or trained; there is no such tap.
    pub fn new(recipe: &Recipe, device: Device) -> Result<Self, HardenError> {
        match &recipe.from {
            Some(path) => Self::stranger(path, recipe, device).map_err(|error| error.of_file(path)),
            None => {
                let model = recipe.network()?;
                let tap = tap::resolve(&model, &recipe.tap)?;
                Ok(Self { model, tap, chosen: None, scale: recipe.scale, file: None })
            }
        }
    }

    fn stranger(path: &Path, recipe: &Recipe, device: Device) -> Result<Self, HardenError> {
        let source = onnx::read_source(path)?;
        let weights = stranger::weights(&source.model)?;
        let runtime: &dyn Runtime = &Torch::new(device);
        let interface = discover(&source.model, &Wishes::default(), [runtime])?.interface;
        let graph = stranger::hoisted(&source.model, &weights);
        let (tap, chosen) = match (recipe.tap.as_str(), tap::resolve(&graph, &recipe.tap)) {
            (tap::LAST, Err(_)) => {
                let (tap, how) = upsampling::find(&graph.graph).ok_or_else(|| HardenError::Stranger {
                    problem: "no convolution reads features in it; name what to tap with --tap NAME".into(),
                })?;
                (tap, Some(how))
            }
            (_, found) => (found?, None),
        };
        let sha256 = source.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let network = Self {
            model: interface.canonical(&graph),
            tap,
            chosen,
            scale: interface.geometry.scale,
            file: Some(File { model: source.model, interface, weights, sha256 }),
        };
        network.check_patch(recipe.patch)?;
        Ok(network)
    }

    fn geometry(&self) -> Option<&Geometry> {
        self.file.as_ref().map(|file| &file.interface.geometry)
    }

    /// Whether the network takes crops of this side.
    fn check_patch(&self, patch: usize) -> Result<(), HardenError> {
        let Some(geometry) = self.geometry() else { return Ok(()) };
        let wrong = match geometry.fixed {
            Some([height, width]) if height != width => {
                format!(
                    "it takes images of {height}x{width} only, and crops are square; export it with any size"
                )
            }
            Some([side, _]) if side != patch => {
                format!("it takes images of {side}x{side} only: use --patch {side}")
            }
            None if !patch.is_multiple_of(geometry.multiple) => {
                format!("it takes sides that are multiples of {}; --patch is {patch}", geometry.multiple)
            }
            _ if patch * geometry.scale <= 2 * geometry.margin => {
                format!("it leaves out {} pixels on every side: use a larger --patch", geometry.margin)
            }
            _ => return Ok(()),
        };
        Err(HardenError::Stranger { problem: wrong })
    }

    /// The largest size that the network takes of an image of `given` height and width, at most `most` a
    /// side; none where it takes another size only.
    pub fn fitting(&self, given: [usize; 2], most: usize) -> Option<[usize; 2]> {
        let (fixed, multiple) =
            self.geometry().map_or((None, 1), |geometry| (geometry.fixed, geometry.multiple));
        let size = fixed.unwrap_or_else(|| given.map(|side| side.min(most) / multiple * multiple));
        (0..2).all(|axis| size[axis] > 0 && size[axis] <= given[axis]).then_some(size)
    }

    /// The network ready to be trained.
    pub fn program(&self, device: Device, amp: bool) -> Result<Program, HardenError> {
        let mut program = Program::compile(&self.model, device, Kind::Float)?;
        if let Some(file) = &self.file {
            program.train_only(&|name| file.weights.contains(name));
        }
        program.set_trainable(true);
        program.set_amp(amp);
        Ok(program)
    }

    /// The model to write, with the program's weights.
    pub fn export(&self, program: &Program) -> Result<Model, HardenError> {
        let mut model = self.model.clone();
        program.write_back(&mut model)?;
        Ok(match &self.file {
            Some(file) => stranger::written_back(&file.model, &model, &file.weights),
            None => model,
        })
    }

    /// The written model as something that takes and gives images on [0, 1].
    pub fn canonical(&self, written: &Model) -> Model {
        match &self.file {
            Some(file) => file.interface.canonical(written),
            None => written.clone(),
        }
    }

    /// SHA-256 of the stranger's file.
    pub fn origin(&self) -> Option<&str> {
        self.file.as_ref().map(|file| file.sha256.as_str())
    }

    /// Whether its weights are rounded when they are written: the file keeps its element type.
    pub fn rounds(&self) -> bool {
        let weights = |file: &File| {
            let half =
                |tensor: &onnx::Tensor| tensor.dtype().is_float() && tensor.dtype() != onnx::DType::F32;
            self.model
                .graph
                .initializers
                .iter()
                .any(|(name, tensor)| file.weights.contains(name) && half(tensor))
        };
        self.file.as_ref().is_some_and(weights)
    }

    /// Whether it is from somewhere else than the zoo.
    pub fn is_stranger(&self) -> bool {
        self.file.is_some()
    }

    /// What a training pass is for: a stranger's running statistics stay.
    pub fn mode(&self) -> Mode {
        if self.is_stranger() { Mode::Evaluate } else { Mode::Train }
    }

    /// RGB images (N, 3, H, W) as the network takes them: luma where it knows no colour.
    pub fn colours(&self, images: Tensor) -> Result<Tensor, HardenError> {
        match &self.file {
            Some(file) if file.interface.form.channels == 1 => luma(&images),
            _ => Ok(images),
        }
    }

    /// Targets (N, C, H, W) without the margin that the network leaves out.
    pub fn inside(&self, target: Tensor) -> Result<Tensor, HardenError> {
        let margin = self.geometry().map_or(0, |geometry| geometry.margin as i64);
        if margin == 0 {
            return Ok(target);
        }
        let kept = |axis: usize| target.size()[axis] - 2 * margin;
        Ok(target.f_narrow(2, margin, kept(2))?.f_narrow(3, margin, kept(3))?)
    }
}

/// Luma on [0, 1] as `metric` has it: BT.601, black at 16 and white at 235 of 255.
fn luma(images: &Tensor) -> Result<Tensor, HardenError> {
    let weights = Tensor::from_slice(&[65.481f32, 128.553, 24.966]).f_div_scalar(255.0)?;
    let weights = weights.f_to_device(images.device())?.f_view([1i64, 3, 1, 1])?;
    Ok(images
        .f_mul(&weights)?
        .f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?
        .f_add_scalar(16.0 / 255.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn luma_is_the_metrics() {
        let rgb = Array3::from_shape_fn((3, 4, 5), |(c, y, x)| (c * 20 + y * 5 + x) as f32 / 60.0);
        let expected = crate::metric::luma(rgb.view()).unwrap();
        let batch = crate::torch::from_ndarray(rgb.view().into_dyn()).unsqueeze(0);
        let found = crate::torch::to_vec::<f64>(&luma(&batch).unwrap()).unwrap();
        assert!(found.iter().zip(&expected).all(|(found, expected)| (found * 255.0 - expected).abs() < 1e-3));
    }
}
