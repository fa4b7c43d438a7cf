//! Fixes the size of a dynamic model's inputs, and folds what is known then.

use std::collections::HashSet;

use super::branches::decide;
use super::prune::prune;
use super::upgrade::upgrade;
use crate::onnx::{DType, Dim, Graph, Model, Node, Problem, ValueInfo, ValueType};
use crate::rewrite::error::RewriteError;
use crate::rewrite::ops;
use crate::rewrite::types::Types;

/// The model for inputs of exactly these shapes, in the order of its required inputs, with the
/// shapes of its outputs worked out, in opset 13 or above. What the file says of values in between is dropped:
/// inference can recompute it, and some exporters leave stale shapes behind.
pub fn specialise(model: &Model, shapes: &[&[usize]]) -> Result<Model, RewriteError> {
    let mut fixed = resized(upgrade(model)?, shapes)?;
    let types = decide(&mut fixed, model.opset())?;
    fold(&mut fixed.graph, &types);
    for output in &mut fixed.graph.outputs {
        if let Some(ty) = types.get(&output.name) {
            *output = ty.info(&output.name);
        }
    }
    Ok(fixed)
}

/// The model for inputs of exactly these shapes, with everything behind them as it is: to run what
/// cannot be followed, operators that are not known included.
pub fn resized(mut fixed: Model, shapes: &[&[usize]]) -> Result<Model, RewriteError> {
    fixed.graph.values.clear();
    let names: Vec<String> = fixed.graph.required_inputs().map(|input| input.name.clone()).collect();
    if names.len() != shapes.len() {
        let what =
            format!("takes {} inputs ({}), {} were given", names.len(), names.join(", "), shapes.len());
        return Err(Problem::new("the model", what).into());
    }
    for (name, shape) in names.iter().zip(shapes) {
        let input = fixed.graph.inputs.iter_mut().find(|input| input.name == *name);
        if let Some(input) = input {
            *input = sized(input, shape)?;
        }
    }
    Ok(fixed)
}

/// Puts the results of nodes that are known before anything runs in their place.
pub fn fold(graph: &mut Graph, types: &Types) {
    let kept: HashSet<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    let known = |name: &String| name.is_empty() || types.constant(name).is_some();
    let folds = |node: &Node| {
        !ops::stays(node) && node.outputs.iter().all(|name| known(name) && !kept.contains(name.as_str()))
    };
    let (folded, left): (Vec<Node>, Vec<Node>) =
        std::mem::take(&mut graph.nodes).into_iter().partition(|node| folds(node));
    graph.nodes = left;
    for name in folded.iter().flat_map(|node| &node.outputs) {
        if let Some(tensor) = types.constant(name) {
            graph.initializers.insert(name.clone(), tensor.clone());
        }
    }
    prune(graph);
}

/// The input with the given shape, where its own dimensions allow that.
fn sized(input: &ValueInfo, shape: &[usize]) -> Result<ValueInfo, Problem> {
    let place = format!("input `{}`", input.name);
    if shape.contains(&0) {
        return Err(Problem::new(place, format!("cannot have the size {shape:?}: a side of 0 pixels")));
    }
    let dtype = match (&input.ty, input.dims()) {
        (_, Some((dtype, dims))) => {
            let fits = |(dim, &size): (&Dim, &usize)| dim.known().is_none_or(|known| known == size);
            if dims.len() != shape.len() || !dims.iter().zip(shape).all(fits) {
                let dims: Vec<_> = dims.iter().map(ToString::to_string).collect();
                let what = format!("takes [{}], and {shape:?} does not fit that", dims.join(","));
                return Err(Problem::new(place, what));
            }
            dtype
        }
        (Some(ValueType::Tensor { dtype, .. }), None) => *dtype,
        (Some(ValueType::Other { kind, .. }), None) => {
            return Err(Problem::new(place, format!("is {kind}, not a tensor")));
        }
        (None, None) => DType::F32,
    };
    Ok(ValueInfo::tensor(&input.name, dtype, shape.iter().map(|&size| Dim::Known(size))))
}
