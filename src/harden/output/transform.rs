//! What the export options do to the trained graph: normalisations folded, one size, half precision.
//!
//! None of it decides what is trained, and all of it is verified on the file like any other (`verify`).

use crate::harden::HardenError;
use crate::harden::config::ExportOptions;
use crate::harden::network::Network;
use crate::interface::Size;
use crate::onnx::{DType, Dim, Model, ValueInfo, ValueType};
use crate::rewrite::{fold_norms, resized, specialise, to_f16};

/// The model to write as the options ask for it, and in words what was done to it.
///
/// # Errors
/// The network does not take the size, or cannot be carried to float16.
pub(in crate::harden) fn transform(
    options: ExportOptions,
    network: &Network,
    model: Model,
) -> Result<(Model, Vec<String>), HardenError> {
    let mut done = Vec::new();
    let mut model = model;
    if options.fold_batchnorm {
        let folded;
        (model, folded) = fold_norms(&model);
        done.push(told_folds(folded, norms(&model)));
    }
    if let Some(size) = options.fixed {
        model = fixed(network, &model, size)?;
        done.push(format!("takes one image of {size} LR pixels (height x width) and no other size"));
    }
    if options.fp16 {
        let before = model;
        model =
            to_f16(&before).map_err(|error| HardenError::Export { problem: format!("float16: {error}") })?;
        done.push(if model == before {
            "its weights and arithmetic are float16 already".to_owned()
        } else {
            "weights and arithmetic in float16; it takes and gives float32".to_owned()
        });
    }
    Ok((model, done))
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
        |problem: String| HardenError::Export { problem: format!("a fixed size of {size}: {problem}") };
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
