//! The network under training: one of the zoo's, or one of a foreign file (`--from`).
//!
//! Both are a graph that takes and gives images on [0, 1], N x C x H x W; a foreign file's gets there by
//! its interface, which the written file does not have in its graph. Deliberately absent: losses, and what
//! moves the weights (`train`).

mod tap;
mod weights;

use std::collections::HashSet;
use std::path::Path;

use super::HardenError;
use super::config::{LAST, Recipe};
use crate::digest::hex;
use crate::interface::{Geometry, Interface, discover, find_tap};
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
    /// SHA-256 of the file that the initial weights are from, where they were not drawn.
    origin: Option<String>,
    file: Option<File>,
}

/// What a foreign file is beside the graph that is trained.
#[derive(Debug)]
struct File {
    model: Model,
    interface: Interface,
    weights: HashSet<String>,
}

impl Network {
    /// The recipe's network with its initial weights: a foreign file has its own.
    ///
    /// # Errors
    /// There is none of these settings; the file cannot be read, run or trained; there is no such tap.
    pub fn new(recipe: &Recipe, device: Device) -> Result<Self, HardenError> {
        match &recipe.from {
            Some(path) => Self::foreign(path, recipe, device).map_err(|error| error.of_file(path)),
            None => {
                let mut model = recipe.network()?;
                let weights = recipe.weights.as_ref();
                let origin = weights.map(|path| take_weights(&mut model, path)).transpose()?;
                let tap = tap::resolve(&model, &recipe.tap)?;
                Ok(Self { model, tap, chosen: None, scale: recipe.scale, origin, file: None })
            }
        }
    }

    fn foreign(path: &Path, recipe: &Recipe, device: Device) -> Result<Self, HardenError> {
        let source = onnx::read_source(path)?;
        let weights = weights::trainable(&source.model)?;
        let runtime: &dyn Runtime = &Torch::new(device);
        let interface = discover(&source.model, &recipe.interface, [runtime])?.interface;
        let graph = weights::hoisted(&source.model, &weights);
        let (tap, chosen) = match (recipe.tap.as_str(), tap::resolve(&graph, &recipe.tap)) {
            (LAST, Err(_)) => {
                let found = find_tap(&graph.graph).ok_or_else(|| HardenError::Untrainable {
                    problem: "no convolution reads features in it; name what to tap with --tap NAME".into(),
                })?;
                (found.value, Some(found.how))
            }
            (_, found) => (found?, None),
        };
        let network = Self {
            model: interface.canonical(&graph),
            tap,
            chosen,
            scale: interface.geometry.scale,
            origin: Some(hex(&source.sha256)),
            file: Some(File { model: source.model, interface, weights }),
        };
        network.check_patch(recipe.patch)?;
        Ok(network)
    }

    fn geometry(&self) -> Option<&Geometry> {
        self.file.as_ref().map(|file| &file.interface.geometry)
    }

    /// Whether the network takes crops of this side.
    fn check_patch(&self, patch: usize) -> Result<(), HardenError> {
        let fixed = self.geometry().and_then(|geometry| geometry.fixed);
        let problem = match (fixed, self.refuses([patch; 2])) {
            (_, None) => return Ok(()),
            (Some([height, width]), _) if height != width => {
                format!(
                    "it takes images of {height}x{width} only, and crops are square; export it with any size"
                )
            }
            (Some([side, _]), Some(problem)) => format!("{problem}: use --patch {side}"),
            (None, Some(problem)) => format!("{problem}: use another --patch"),
        };
        Err(HardenError::Untrainable { problem })
    }

    /// Why the network does not take images of this height and width; `None` where it does.
    pub fn refuses(&self, [height, width]: [usize; 2]) -> Option<String> {
        let &Geometry { fixed, multiple, scale, margin, .. } = self.geometry()?;
        match fixed {
            Some([rows, columns]) if [rows, columns] != [height, width] => {
                Some(format!("it takes images of {rows}x{columns} only"))
            }
            None if !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) => {
                Some(format!("it takes sides that are multiples of {multiple}, and not {height}x{width}"))
            }
            _ if height.min(width) * scale <= 2 * margin => {
                Some(format!("it leaves out {margin} pixels of what it gives on every side"))
            }
            _ => None,
        }
    }

    /// The sides of images are multiples of this.
    pub fn multiple(&self) -> usize {
        self.geometry().map_or(1, |geometry| geometry.multiple)
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
            Some(file) => weights::written_back(&file.model, &model, &file.weights),
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

    /// SHA-256 of the file that the initial weights are from, where they were not drawn.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// How a foreign file is fed and read.
    pub fn interface(&self) -> Option<&Interface> {
        self.file.as_ref().map(|file| &file.interface)
    }

    /// The shapes of what the written model takes, for one image of this height and width.
    pub fn input_shapes(&self, written: &Model, size: [usize; 2]) -> Vec<Vec<usize>> {
        let Some(Interface { form, constants, .. }) = self.interface() else {
            return vec![vec![1, 3, size[0], size[1]]];
        };
        let shape = |name: &str| match constants.iter().find(|(other, _)| other == name) {
            Some((_, values)) => values.shape().to_vec(),
            None => form.layout.shape(form.channels, size).to_vec(),
        };
        written.graph.required_inputs().map(|input| shape(&input.name)).collect()
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

    /// Whether its initial weights were trained before, and not drawn.
    pub fn is_trained(&self) -> bool {
        self.origin.is_some()
    }

    /// Whether it is a foreign file's, and none of the zoo.
    pub fn is_foreign(&self) -> bool {
        self.file.is_some()
    }

    /// What a training pass is for: the running statistics of a foreign file stay.
    pub fn mode(&self) -> Mode {
        if self.is_foreign() { Mode::Evaluate } else { Mode::Train }
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

/// Puts the weights of the file at `path` into a network of the zoo; gives the file's SHA-256.
fn take_weights(model: &mut Model, path: &Path) -> Result<String, HardenError> {
    let source = onnx::read_source(path)?;
    for (name, tensor) in &mut model.graph.initializers {
        let given = source.model.graph.initializers.get(name);
        let same = |given: &&onnx::Tensor| (given.shape(), given.dtype()) == (tensor.shape(), tensor.dtype());
        *tensor = given.filter(same).cloned().ok_or_else(|| {
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            let problem = format!("it has no {dtype} weight `{name}` of shape {shape:?}");
            HardenError::Weights { path: path.to_owned(), problem }
        })?;
    }
    Ok(hex(&source.sha256))
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
