//! How the trained network is packed into its file: normalisations folded, one size, half precision.
//!
//! None of it decides what is trained, and all of it is verified on the file like any other.

use super::HardenError;
use super::network::Network;
use crate::interface::Size;
use crate::onnx::{DType, Dim, Model, ValueInfo, ValueType};
use crate::rewrite::{fold_norms, resized, specialise, to_f16};

/// What is asked of the written file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// Weights and arithmetic in float16; the file still takes and gives float32.
    pub fp16: bool,
    /// The one LR size that the file takes, one image at a time; any where absent.
    pub fixed: Option<Size>,
    /// BatchNormalization folded into the convolution before it.
    pub fold_batchnorm: bool,
}

/// The largest difference on [0, 1] of a file from the trained network that passes: the same numbers
/// in the same graph, in one of other rounding, and in half precision.
const SAME: f64 = 1e-5;
const FOLDED: f64 = 1e-4;
const HALF: f64 = 2e-2;
/// The same between two runtimes, which add in different orders.
const RUNTIMES: f64 = 1e-3;

impl Packing {
    /// The file's model as asked for, and in words what was done to it.
    ///
    /// # Errors
    /// The network does not take the size, or cannot be carried to float16.
    pub(super) fn pack(self, network: &Network, model: Model) -> Result<(Model, Vec<String>), HardenError> {
        let mut done = Vec::new();
        let mut model = model;
        if self.fold_batchnorm {
            let folded;
            (model, folded) = fold_norms(&model);
            done.push(told_folds(folded, norms(&model)));
        }
        if let Some(size) = self.fixed {
            model = fixed(network, &model, size)?;
            done.push(format!("takes one image of {size} LR pixels (height x width) and no other size"));
        }
        if self.fp16 {
            let before = model;
            model = to_f16(&before).map_err(|error| self.impossible(&error))?;
            done.push(if model == before {
                "its weights and arithmetic are float16 already".to_owned()
            } else {
                "weights and arithmetic in float16; it takes and gives float32".to_owned()
            });
        }
        Ok((model, done))
    }

    fn impossible(self, error: &dyn std::fmt::Display) -> HardenError {
        HardenError::Packing { problem: format!("float16: {error}") }
    }

    /// The largest difference from the trained network that passes on libtorch, and on another runtime.
    pub(super) fn tolerances(self, network: &Network) -> [f64; 2] {
        match (self.fp16 || network.rounds(), self.fold_batchnorm) {
            (true, _) => [HALF; 2],
            (false, true) => [FOLDED, RUNTIMES],
            (false, false) => [SAME, RUNTIMES],
        }
    }
}

fn norms(model: &Model) -> usize {
    model.graph.nodes.iter().filter(|node| node.op == "BatchNormalization").count()
}

fn told_folds(folded: usize, left: usize) -> String {
    match (folded, left) {
        (0, 0) => "no BatchNormalization to fold: the network has none".to_owned(),
        (folded, 0) => format!("{folded} BatchNormalizations folded into the convolutions before them"),
        (folded, left) => format!(
            "{folded} BatchNormalizations folded; {left} stay, for no convolution of known weights, which \
             nothing else reads, stands before them"
        ),
    }
}

/// The model for images of one size alone.
fn fixed(network: &Network, model: &Model, size: Size) -> Result<Model, HardenError> {
    let Size(height, width) = size;
    let refused =
        |problem: String| HardenError::Packing { problem: format!("a fixed size of {size}: {problem}") };
    if let Some(problem) = network.refuses([height, width]) {
        return Err(refused(problem));
    }
    let shapes = network.input_shapes(model, [height, width]);
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let mut sized = resized(model.clone(), &shapes).map_err(|error| refused(error.to_string()))?;
    // The sizes of what it gives, where they can be worked out beforehand.
    if let Ok(known) = specialise(model, &shapes) {
        for (output, known) in sized.graph.outputs.iter_mut().zip(&known.graph.outputs) {
            if let (Some((_, dims)), Some(dtype)) = (known.dims(), dtype(output)) {
                let dims: Vec<Dim> = dims.to_vec();
                *output = ValueInfo::tensor(&output.name, dtype, dims);
            }
        }
    }
    Ok(sized)
}

fn dtype(info: &ValueInfo) -> Option<DType> {
    match &info.ty {
        Some(ValueType::Tensor { dtype, .. }) => Some(*dtype),
        _ => None,
    }
}
