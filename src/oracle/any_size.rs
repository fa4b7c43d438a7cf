//! A gradient for images of any size, where a model's is one graph at all sizes.
//!
//! Gradients are made for one size, at which every shape is known and folded away. A network of convolutions, say,
//! leaves nothing behind that knows the size: its graphs for several sizes are the same but for the sizes that inputs and
//! outputs state, and serve any other. Deliberately absent: gradients that compute shapes as they run.

use super::objective::TARGET;
use crate::onnx::{Dim, Model, ValueInfo, ValueType};

/// The sizes beside `[height, width]` at which a gradient has to be the same graph: odd and even ones, so that padding to a
/// multiple shows, and a much larger one, for what a model decides by its size. What it decides beyond that is not seen.
pub fn other_sizes([height, width]: [usize; 2]) -> [[usize; 2]; 4] {
    [[height + 1, width], [height, width + 1], [height + 3, width + 2], [16 * height, 16 * width]]
}

/// The model of one size, with those sizes left open that are not the same in `others`, models of other sizes.
///
/// # Errors
/// The first node or tensor that is another one, in words, where they are not one graph.
pub fn of_any_size(made: &Model, others: &[Model]) -> Result<Model, String> {
    for other in others {
        let mut nodes = made.graph.nodes.iter().zip(&other.graph.nodes);
        if let Some((node, _)) = nodes.find(|(node, other)| node != other) {
            return Err(format!("the {} depends on it", node.label()));
        }
        let tensors = &other.graph.initializers;
        let same = |name: &String, tensor| tensors.get(name) == Some(tensor);
        if let Some((name, _)) = made.graph.initializers.iter().find(|(name, tensor)| !same(name, *tensor)) {
            return Err(format!("the constant `{name}` depends on it"));
        }
        if made.graph.nodes.len() != other.graph.nodes.len() || tensors.len() != made.graph.initializers.len()
        {
            return Err("the number of nodes depends on it".into());
        }
    }
    let mut model = made.clone();
    // They state sizes of values in between.
    model.graph.values.clear();
    let inputs = others.iter().map(|other| &other.graph.inputs[..]).collect::<Vec<_>>();
    open_sizes(&mut model.graph.inputs, &inputs);
    let outputs = others.iter().map(|other| &other.graph.outputs[..]).collect::<Vec<_>>();
    open_sizes(&mut model.graph.outputs, &outputs);
    Ok(model)
}

/// Names the sizes that are not the same in all.
fn open_sizes(values: &mut [ValueInfo], others: &[&[ValueInfo]]) {
    for (place, value) in values.iter_mut().enumerate() {
        let prefix = if value.name == TARGET { "output_" } else { "" };
        let mut names = ["height", "width"].iter();
        let Some(ValueType::Tensor { shape: Some(dims), .. }) = &mut value.ty else { continue };
        for (axis, dim) in dims.iter_mut().enumerate() {
            let of = |other: &&[ValueInfo]| other.get(place)?.dims()?.1.get(axis).cloned();
            if others.iter().any(|other| of(other).as_ref() != Some(dim)) {
                *dim = names.next().map_or(Dim::Unknown, |name| Dim::Named(format!("{prefix}{name}")));
            }
        }
    }
}
