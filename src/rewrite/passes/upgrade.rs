//! Brings a model of an older operator set to opset 13, where the table of operators starts.
//!
//! One entry per change of meaning or form, oldest first. What a change made stricter or only
//! widened needs no entry. Deliberately absent: bringing anything down, and operators outside the
//! standard domain.

use crate::onnx::{Attribute, GraphBuilder, Model, Node, Problem, Tensor};
use crate::rewrite::error::RewriteError;

/// The opset that every model has at least, afterwards.
pub const TARGET: i64 = 13;
/// The IR version that opset 13 came with; before IR 4 every weight had to be an input, too.
const TARGET_IR: i64 = 7;
/// The oldest opset that is read: before it, operators broadcast by attributes of their own.
const OLDEST: i64 = 6;

/// A change of an operator: nodes of models below `below` are rewritten by `apply`.
struct Change {
    op: &'static str,
    below: i64,
    apply: fn(&mut Node, &mut GraphBuilder) -> Result<(), String>,
}

const CHANGES: &[Change] = &[
    Change { op: "Add", below: 7, apply: old_broadcast },
    Change { op: "Sub", below: 7, apply: old_broadcast },
    Change { op: "Mul", below: 7, apply: old_broadcast },
    Change { op: "Div", below: 7, apply: old_broadcast },
    Change { op: "Pow", below: 7, apply: old_broadcast },
    Change { op: "Gemm", below: 7, apply: |node, _| drop_attributes(node, &["broadcast"]) },
    Change { op: "PRelu", below: 7, apply: channel_slope },
    Change { op: "Dropout", below: 7, apply: |node, _| drop_attributes(node, &["is_test"]) },
    Change {
        op: "BatchNormalization",
        below: 9,
        apply: |node, _| drop_attributes(node, &["spatial", "is_test"]),
    },
    Change { op: "Upsample", below: 9, apply: |node, graph| to_input(node, graph, "scales", 1) },
    Change { op: "Upsample", below: 10, apply: resize_of_old },
    Change { op: "Resize", below: 11, apply: resize_of_old },
    Change { op: "Slice", below: 10, apply: slice_inputs },
    Change { op: "Clip", below: 11, apply: clip_inputs },
    Change { op: "Pad", below: 11, apply: pad_inputs },
    Change { op: "Dropout", below: 12, apply: |node, _| drop_attributes(node, &["ratio", "seed"]) },
    Change { op: "Squeeze", below: 13, apply: |node, graph| to_input(node, graph, "axes", 1) },
    Change { op: "Unsqueeze", below: 13, apply: |node, graph| to_input(node, graph, "axes", 1) },
    Change { op: "ReduceSum", below: 13, apply: |node, graph| to_input(node, graph, "axes", 1) },
    Change { op: "Split", below: 13, apply: |node, graph| to_input(node, graph, "split", 1) },
    Change { op: "Softmax", below: 13, apply: flat_softmax },
    Change { op: "LogSoftmax", below: 13, apply: flat_softmax },
];

/// The model at opset 13 or above, meaning what it meant.
pub fn upgrade(model: &Model) -> Result<Model, RewriteError> {
    let opset = model.opset();
    if opset < OLDEST {
        let what = format!("is of opset {opset}; opsets from {OLDEST} on are read, so export it again");
        return Err(Problem::new("the model", what).into());
    }
    if opset >= TARGET {
        return Ok(model.clone());
    }
    let mut upgraded = model.clone();
    let nodes = std::mem::take(&mut upgraded.graph.nodes);
    let mut graph = GraphBuilder::from_graph(upgraded.graph);
    nodes.iter().flat_map(|node| &node.outputs).for_each(|name| graph.reserve(name));
    for mut node in nodes {
        let standard = node.domain.is_empty();
        let applies = |change: &&Change| change.below > opset && standard;
        // A change may rename the operator; what follows goes by the name it came with.
        let op = node.op.clone();
        for change in CHANGES.iter().filter(applies).filter(|change| change.op == op) {
            (change.apply)(&mut node, &mut graph).map_err(|reason| RewriteError::at(&node, &[], reason))?;
        }
        graph.push(node);
    }
    upgraded.graph = graph.finish();
    upgraded.opsets.insert(String::new(), TARGET);
    upgraded.ir_version = upgraded.ir_version.max(TARGET_IR);
    Ok(upgraded)
}

fn drop_attributes(node: &mut Node, names: &[&str]) -> Result<(), String> {
    names.iter().for_each(|name| drop(node.attributes.shift_remove(*name)));
    Ok(())
}

/// Puts a tensor in as input `index`, where nothing stands yet.
fn set_input(node: &mut Node, graph: &mut GraphBuilder, hint: &str, index: usize, tensor: Tensor) {
    let name = graph.initializer(&format!("{}.{hint}", node.outputs[0]), tensor);
    while node.inputs.len() <= index {
        node.inputs.push(String::new());
    }
    node.inputs[index] = name;
}

/// An attribute that became input `index`.
fn to_input(node: &mut Node, graph: &mut GraphBuilder, name: &str, index: usize) -> Result<(), String> {
    let tensor = match node.attributes.shift_remove(name) {
        None => return Ok(()),
        Some(Attribute::Ints(values)) => Tensor::ints(&values),
        Some(Attribute::Int(value)) => Tensor::i64(&[], vec![value]).map_err(|error| error.to_string())?,
        Some(Attribute::Float(value)) => Tensor::scalar(value),
        Some(Attribute::Floats(values)) => {
            Tensor::f32(&[values.len()], values).map_err(|error| error.to_string())?
        }
        Some(other) => return Err(format!("has an attribute `{name}` that is {}", other.kind())),
    };
    set_input(node, graph, name, index, tensor);
    Ok(())
}

/// Before opset 7, `b` of shape `a[axis..]` was laid along `a` from `axis` on, where `broadcast`
/// was set.
fn old_broadcast(node: &mut Node, graph: &mut GraphBuilder) -> Result<(), String> {
    let broadcast = node.attributes.shift_remove("broadcast");
    let axis = node.attributes.shift_remove("axis");
    drop_attributes(node, &["consumed_inputs"])?;
    match (broadcast, axis) {
        (Some(Attribute::Int(1)), Some(Attribute::Int(1))) => along_channels(node, graph, 1),
        (Some(Attribute::Int(1)), Some(Attribute::Int(axis))) => {
            Err(format!("broadcasts along axis {axis} as opset 6 did; only axis 1 is read"))
        }
        _ => Ok(()),
    }
}

/// A PRelu's slope of one number per channel: shape (C) becomes (C, 1, 1).
fn channel_slope(node: &mut Node, graph: &mut GraphBuilder) -> Result<(), String> {
    drop_attributes(node, &["consumed_inputs"])?;
    along_channels(node, graph, 1)
}

/// Lays the constant vector at input `index` along the channels of NCHW.
fn along_channels(node: &mut Node, graph: &mut GraphBuilder, index: usize) -> Result<(), String> {
    let Some(tensor) = node.input(index).and_then(|name| graph.graph().initializers.get(name)).cloned()
    else {
        return Err("broadcasts a computed value as opset 6 did; only constants are read".into());
    };
    if tensor.shape().len() == 1 && tensor.len() > 1 {
        let shaped = tensor.reshaped(&[tensor.len(), 1, 1]).map_err(|error| error.to_string())?;
        set_input(node, graph, "along_channels", index, shaped);
    }
    Ok(())
}

/// Upsample, and Resize of opset 10: scales are the second input, and coordinates asymmetric.
fn resize_of_old(node: &mut Node, graph: &mut GraphBuilder) -> Result<(), String> {
    let scales = node.inputs.get(1).cloned().ok_or("lacks its scales")?;
    let region =
        graph.initializer("no_region", Tensor::f32(&[0], vec![]).map_err(|error| error.to_string())?);
    node.op = "Resize".into();
    node.inputs = vec![node.inputs[0].clone(), region, scales];
    if node.attributes.get("mode") == Some(&Attribute::from("bilinear")) {
        node.attributes.insert("mode".into(), "linear".into());
    }
    node.attributes.insert("coordinate_transformation_mode".into(), "asymmetric".into());
    node.attributes.insert("nearest_mode".into(), "floor".into());
    Ok(())
}

fn slice_inputs(node: &mut Node, graph: &mut GraphBuilder) -> Result<(), String> {
    to_input(node, graph, "starts", 1)?;
    to_input(node, graph, "ends", 2)?;
    to_input(node, graph, "axes", 3)
}

fn clip_inputs(node: &mut Node, graph: &mut GraphBuilder) -> Result<(), String> {
    drop_attributes(node, &["consumed_inputs"])?;
    to_input(node, graph, "min", 1)?;
    to_input(node, graph, "max", 2)
}

fn pad_inputs(node: &mut Node, graph: &mut GraphBuilder) -> Result<(), String> {
    to_input(node, graph, "pads", 1)?;
    to_input(node, graph, "value", 2)
}

/// Before opset 13 a softmax ran over `axis` and every axis behind it together, 1 by default. Over
/// the last axis alone the two meanings agree.
fn flat_softmax(node: &mut Node, graph: &mut GraphBuilder) -> Result<(), String> {
    let axis = match node.attributes.get("axis") {
        Some(Attribute::Int(axis)) => *axis,
        _ => 1,
    };
    if axis == -1 {
        return Ok(());
    }
    let input = node.inputs.first().cloned().ok_or("lacks its input")?;
    let output = node.outputs.first().cloned().ok_or("lacks its output")?;
    let shape = graph.node("Shape", &format!("{output}.shape"), &[&input], []);
    let flat = graph.node("Flatten", &format!("{output}.flat"), &[&input], [("axis", Attribute::Int(axis))]);
    let soft = graph.node(&node.op, &format!("{output}.soft"), &[&flat], [("axis", Attribute::Int(-1))]);
    node.op = "Reshape".into();
    node.attributes.clear();
    node.inputs = vec![soft, shape];
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, Dim, ValueInfo};

    fn model(opset: i64, op: &str, attributes: &[(&str, Attribute)], weights: &[Tensor]) -> Model {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F32, [2, 3, 4, 5].map(Dim::Known)));
        let mut inputs = vec![x];
        inputs.extend(weights.iter().map(|weight| graph.initializer("w", weight.clone())));
        let node = Node {
            op: op.into(),
            inputs,
            outputs: vec!["y".into()],
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ..Default::default()
        };
        graph.push(node);
        graph.output(ValueInfo::tensor("y", DType::F32, []));
        Model { opsets: [(String::new(), opset)].into(), graph: graph.finish(), ..Default::default() }
    }

    fn upgraded(opset: i64, op: &str, attributes: &[(&str, Attribute)], weights: &[Tensor]) -> Model {
        let model = upgrade(&model(opset, op, attributes, weights)).unwrap();
        assert_eq!(crate::onnx::check(&model), Ok(()));
        assert!(model.opset() >= 13);
        model
    }

    fn constant(model: &Model, index: usize) -> &Tensor {
        let node = model.graph.nodes.last().unwrap();
        &model.graph.initializers[node.input(index).unwrap()]
    }

    #[test]
    fn attributes_become_inputs() {
        let clip = upgraded(6, "Clip", &[("max", 6.0.into())], &[]);
        assert_eq!(clip.graph.nodes[0].input(1), None);
        assert_eq!(constant(&clip, 2), &Tensor::scalar(6.0));
        let slice = [("starts", Attribute::Ints(vec![1])), ("ends", Attribute::Ints(vec![3]))];
        let slice = upgraded(9, "Slice", &slice, &[]);
        assert_eq!(constant(&slice, 2), &Tensor::ints(&[3]));
        let squeeze = upgraded(11, "Squeeze", &[("axes", Attribute::Ints(vec![0]))], &[]);
        assert_eq!(constant(&squeeze, 1), &Tensor::ints(&[0]));
    }

    #[test]
    fn old_broadcasting_lies_along_the_channels() {
        let weight = Tensor::f32(&[3], vec![1.0, 2.0, 3.0]).unwrap();
        let attributes = [("broadcast", Attribute::Int(1)), ("axis", Attribute::Int(1))];
        let model = upgraded(6, "Mul", &attributes, std::slice::from_ref(&weight));
        assert_eq!(constant(&model, 1).shape(), [3, 1, 1]);
        assert_eq!(constant(&upgraded(6, "PRelu", &[], &[weight]), 1).shape(), [3, 1, 1]);
    }

    #[test]
    fn upsample_becomes_an_asymmetric_resize() {
        let scales = Attribute::Floats(vec![1.0, 1.0, 2.0, 2.0]);
        let model = upgraded(8, "Upsample", &[("scales", scales), ("mode", "linear".into())], &[]);
        let node = &model.graph.nodes[0];
        assert_eq!((node.op.as_str(), node.inputs.len()), ("Resize", 3));
        assert_eq!(node.attributes["coordinate_transformation_mode"], "asymmetric".into());
        assert_eq!(constant(&model, 2).as_f32().unwrap(), [1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn an_old_softmax_runs_over_all_axes_behind_its_own() {
        let model = upgraded(11, "Softmax", &[("axis", Attribute::Int(1))], &[]);
        let ops: Vec<_> = model.graph.nodes.iter().map(|node| node.op.as_str()).collect();
        assert_eq!(ops, ["Shape", "Flatten", "Softmax", "Reshape"]);
    }

    #[test]
    fn new_models_stay_as_they_are_and_ancient_ones_are_refused() {
        let new = model(17, "Relu", &[], &[]);
        assert_eq!(upgrade(&new).unwrap(), new);
        assert!(upgrade(&model(5, "Relu", &[], &[])).unwrap_err().to_string().contains("opset 5"));
    }
}
