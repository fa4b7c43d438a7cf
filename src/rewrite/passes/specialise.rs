//! Fixes the size of a dynamic model's inputs, and folds what is known then.

use std::collections::HashSet;

use super::branches::{decide, is_branching};
use super::prune::prune;
use super::upgrade::{TARGET, upgrade};
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

/// The outputs of the model that [`specialise`] gives, without making it.
pub fn outputs_at(model: &Model, shapes: &[&[usize]]) -> Result<Vec<ValueInfo>, RewriteError> {
    if model.opset() < TARGET || model.graph.nodes.iter().any(is_branching) {
        return Ok(specialise(model, shapes)?.graph.outputs);
    }
    let inputs = resized_inputs(model, shapes)?;
    let mut types = Types::at(model, &inputs)?;
    model.graph.nodes.iter().try_for_each(|node| types.apply(node))?;
    let outputs = model.graph.outputs.iter();
    Ok(outputs
        .map(|output| types.get(&output.name).map_or_else(|| output.clone(), |ty| ty.info(&output.name)))
        .collect())
}

/// The model for inputs of exactly these shapes, with everything behind them as it is: to run what
/// cannot be followed, operators that are not known included.
pub fn resized(mut fixed: Model, shapes: &[&[usize]]) -> Result<Model, RewriteError> {
    fixed.graph.values.clear();
    for sized in resized_inputs(&fixed, shapes)? {
        let input = fixed.graph.inputs.iter_mut().find(|input| input.name == sized.name);
        if let Some(input) = input {
            *input = sized;
        }
    }
    Ok(fixed)
}

/// The required inputs of a model with these shapes.
fn resized_inputs(model: &Model, shapes: &[&[usize]]) -> Result<Vec<ValueInfo>, RewriteError> {
    let inputs: Vec<&ValueInfo> = model.graph.required_inputs().collect();
    if inputs.len() != shapes.len() {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let what =
            format!("takes {} inputs ({}), {} were given", names.len(), names.join(", "), shapes.len());
        return Err(Problem::new("the model", what).into());
    }
    Ok(inputs.iter().zip(shapes).map(|(input, shape)| sized(input, shape)).collect::<Result<_, _>>()?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::Edsr;

    #[test]
    fn outputs_are_those_of_the_specialised_model() {
        let mut model = Edsr { features: 4, blocks: 1, scale: 2 }.build(0).unwrap();
        for size in [[1, 3, 8, 10], [1, 3, 9, 7]] {
            let outputs = outputs_at(&model, &[&size]).unwrap();
            assert_eq!(outputs, specialise(&model, &[&size]).unwrap().graph.outputs);
            assert_eq!(outputs[0].dims().unwrap().1[2], Dim::Known(2 * size[2]));
        }
        let refused = [outputs_at(&model, &[]).unwrap_err(), specialise(&model, &[]).unwrap_err()];
        assert_eq!(refused[0].to_string(), refused[1].to_string());
        model.graph.nodes[0].op = "Unheard".into();
        assert!(outputs_at(&model, &[&[1, 3, 8, 8]]).unwrap_err().to_string().contains("Unheard"));
    }
}
