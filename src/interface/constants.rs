//! Inputs beside the image: the values that they are given, or that are tried.
//!
//! Deliberately absent: guesses other than a scale, which is all that SR files were seen to ask for.

use std::collections::HashSet;

use super::Overrides;
use super::form::image_input;
use crate::onnx::{DType, Dim, Graph, Model, Problem, SizeMismatch, Tensor, ValueInfo};

/// What an input beside the image may be told, if it is a scale.
const SCALES: [f64; 3] = [2.0, 3.0, 4.0];

/// Tensors by the names of the inputs that they stand for.
pub type Constants = Vec<(String, Tensor)>;

/// The values that the inputs beside the image may have: those the user gave, else scales.
pub(super) fn constants(model: &Model, overrides: &Overrides) -> Result<Vec<Constants>, Problem> {
    let image = image_input(model, overrides)?;
    let mut given = Constants::new();
    let mut open = Vec::new();
    for input in model.graph.required_inputs().filter(|input| input.name != image.name) {
        match overrides.feed.get(&input.name) {
            Some(values) => given.push((input.name.clone(), constant(input, values)?)),
            None => open.push(input),
        }
    }
    if let Some(name) = overrides.feed.keys().find(|name| given.iter().all(|(known, _)| known != *name)) {
        return Err(Problem::new("the model", format!("has no input `{name}` to feed")));
    }
    if open.is_empty() {
        return Ok(vec![given]);
    }
    let guesses = SCALES.iter().filter(|&&scale| overrides.scale.is_none_or(|stated| stated as f64 == scale));
    let guess = |&scale: &f64| -> Option<Constants> {
        let values = open.iter().map(|input| guess(input, scale));
        let guessed: Option<Constants> = values.collect();
        guessed.map(|guessed| given.iter().cloned().chain(guessed).collect())
    };
    let all: Vec<Constants> = guesses.filter_map(guess).collect();
    if all.is_empty() {
        let open: Constants = open.iter().map(|input| (input.name.clone(), Tensor::scalar(0.0))).collect();
        return Err(ambiguous(&open, &[]));
    }
    Ok(all)
}

/// A scale as an input may want it: one number, or one per axis of NCHW.
fn guess(input: &ValueInfo, scale: f64) -> Option<(String, Tensor)> {
    let values: &[f64] = match input.dims()?.1 {
        [] => &[scale],
        [Dim::Known(1)] => &[scale],
        [Dim::Known(2)] => &[scale, scale],
        [_] => &[1.0, 1.0, scale, scale],
        _ => return None,
    };
    Some((input.name.clone(), constant(input, values).ok()?))
}

/// Values as a tensor of an input's type.
fn constant(input: &ValueInfo, values: &[f64]) -> Result<Tensor, Problem> {
    let refuse = |what: String| Problem::new(format!("input `{}`", input.name), what);
    let Some((dtype, dims)) = input.dims() else {
        return Err(refuse("is of no known rank, so that it cannot be given values".into()));
    };
    let shape: Vec<usize> = match dims {
        [one] => vec![one.known().unwrap_or(values.len())],
        _ => dims.iter().map(|dim| dim.known().unwrap_or(1)).collect(),
    };
    let needed: usize = shape.iter().product();
    if needed != values.len() {
        return Err(refuse(format!(
            "has the shape {shape:?} and takes {needed} values; {} came with --feed",
            values.len()
        )));
    }
    let mismatch = |error: SizeMismatch| refuse(format!("cannot be fed: {error}"));
    match dtype {
        DType::F32 => Tensor::f32(&shape, values.iter().map(|&value| value as f32).collect::<Vec<_>>()),
        DType::F64 => Tensor::f64(&shape, values.to_vec()),
        DType::I64 => Tensor::i64(&shape, values.iter().map(|&value| value as i64).collect::<Vec<_>>()),
        DType::I32 => Tensor::i32(&shape, values.iter().map(|&value| value as i32).collect::<Vec<_>>()),
        other => return Err(refuse(format!("is {other}; float and int inputs can be fed"))),
    }
    .map_err(mismatch)
}

pub(super) fn with_constants(model: &Model, constants: &Constants) -> Model {
    let mut fed = model.clone();
    feed(&mut fed.graph, constants);
    fed
}

/// Puts tensors in the place of inputs.
pub fn feed(graph: &mut Graph, constants: &Constants) {
    let names: HashSet<&str> = constants.iter().map(|(name, _)| name.as_str()).collect();
    graph.inputs.retain(|input| !names.contains(input.name.as_str()));
    graph.initializers.extend(constants.iter().cloned());
}

/// Says that inputs beside the image are open, and which scales all give an image.
pub(super) fn ambiguous(constants: &Constants, scales: &[usize]) -> Problem {
    let names: Vec<_> = constants.iter().map(|(name, _)| format!("`{name}`")).collect();
    let names = names.join(" and ");
    let what = if let [_, _, ..] = scales {
        let scales: Vec<_> = scales.iter().map(ToString::to_string).collect();
        format!(
            "takes {names} beside the image, and several values give one; say --scale {}, or --feed NAME=VALUES",
            scales.join(" or ")
        )
    } else {
        format!("takes {names} beside the image; give values with --feed NAME=VALUE,VALUE,...")
    };
    Problem::new("the model", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_too_few_are_counted() {
        let input = ValueInfo::tensor("factor", DType::F32, [Dim::Known(4)]);
        let refused = constant(&input, &[3.0]).unwrap_err().to_string();
        assert_eq!(refused, "input `factor`: has the shape [4] and takes 4 values; 1 came with --feed");
        assert_eq!(constant(&input, &[1.0, 1.0, 3.0, 3.0]).unwrap().shape(), [4]);
    }
}
