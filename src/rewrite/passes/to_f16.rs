//! Computes in float16 what a model computes in float32.
//!
//! What a caller feeds and gets stays float32: a Cast stands at every border. So do the operands that
//! an operator takes in float32 only, such as the scales of Resize. The counterpart of `promote`.
//! Deliberately absent: subgraphs, and whether the numbers fit, which whoever runs the result sees.

use std::collections::{HashMap, HashSet};

use half::f16;

use crate::onnx::{
    Attribute, DType, Graph, GraphBuilder, Model, Node, Problem, Tensor, ValueInfo, ValueType,
};
use crate::rewrite::error::RewriteError;
use crate::rewrite::naming::has_subgraph;

/// Operands that are float32 whatever the operator computes in.
const SINGLE: &[(&str, usize)] = &[("Resize", 1), ("Resize", 2), ("Upsample", 1)];

/// The model with float16 weights and arithmetic between float32 inputs and outputs.
///
/// # Errors
/// The model branches or loops, and what stands in its subgraphs is not followed.
pub fn to_f16(model: &Model) -> Result<Model, RewriteError> {
    if let Some(node) = model.graph.nodes.iter().find(|node| has_subgraph(node)) {
        let what = "holds a graph of its own, into which float16 is not carried";
        return Err(Problem::new(node.label(), what).into());
    }
    let mut halved = model.clone();
    let mut graph = std::mem::take(&mut halved.graph);
    graph.values.clear();
    let single = single_operands(&graph);
    for (name, tensor) in &mut graph.initializers {
        if !single.contains(name) {
            tensor_to_f16(tensor);
        }
    }
    let nodes = std::mem::take(&mut graph.nodes);
    let (required, outputs) = (names(graph.required_inputs()), names(graph.outputs.iter()));
    let mut graph = GraphBuilder::from_graph(graph);
    nodes
        .iter()
        .flat_map(|node| node.outputs.iter().chain([&node.name]))
        .for_each(|name| graph.reserve(name));
    let mut inside = HashMap::new();
    for name in &required {
        inside.insert(name.clone(), cast(&mut graph, name, &format!("{name}/half"), DType::F16));
    }
    for name in &outputs {
        inside.insert(name.clone(), graph.fresh(&format!("{name}/half")));
    }
    for mut node in nodes {
        rename(&mut node, &inside);
        halve_node(&mut node, &single);
        keep_single(&mut node, &mut graph, &single);
        graph.push(node);
    }
    for name in &outputs {
        let node = cast_node(&inside[name], name, DType::F32);
        graph.push(node);
    }
    halved.graph = graph.finish();
    Ok(halved)
}

/// Lets a node read and write the float16 values in the place of those at the borders.
fn rename(node: &mut Node, inside: &HashMap<String, String>) {
    for name in node.inputs.iter_mut().chain(&mut node.outputs) {
        if let Some(other) = inside.get(name) {
            name.clone_from(other);
        }
    }
}

/// The float32 values among these that a caller feeds or gets.
fn names<'a>(infos: impl Iterator<Item = &'a ValueInfo>) -> Vec<String> {
    let single = |info: &&ValueInfo| match &info.ty {
        Some(ValueType::Tensor { dtype, .. }) => *dtype == DType::F32,
        _ => false,
    };
    infos.filter(single).map(|info| info.name.clone()).collect()
}

/// The constants that are read as operands which stay float32, and as nothing else.
fn single_operands(graph: &Graph) -> HashSet<String> {
    let mut single = HashSet::new();
    let mut other = HashSet::new();
    for node in &graph.nodes {
        for (index, name) in node.inputs.iter().enumerate() {
            let set = if is_single(node, index) { &mut single } else { &mut other };
            set.insert(name.clone());
        }
    }
    let constant = |name: &String| {
        let node = |node: &Node| node.op == "Constant" && node.outputs.first() == Some(name);
        graph.initializers.contains_key(name) || graph.nodes.iter().any(node)
    };
    single.retain(|name| constant(name) && !other.contains(name));
    single
}

fn is_single(node: &Node, index: usize) -> bool {
    node.domain.is_empty() && SINGLE.contains(&(node.op.as_str(), index))
}

/// Casts back an operand that must be float32 and has become float16.
fn keep_single(node: &mut Node, graph: &mut GraphBuilder, single: &HashSet<String>) {
    for index in 0..node.inputs.len() {
        let name = node.inputs[index].clone();
        if is_single(node, index) && !name.is_empty() && !single.contains(&name) {
            node.inputs[index] = cast(graph, &name, &format!("{name}/single"), DType::F32);
        }
    }
}

fn cast(graph: &mut GraphBuilder, from: &str, hint: &str, to: DType) -> String {
    let name = graph.fresh(hint);
    graph.push(cast_node(from, &name, to));
    name
}

fn cast_node(from: &str, to_name: &str, to: DType) -> Node {
    Node {
        op: "Cast".into(),
        name: format!("{to_name}/cast"),
        inputs: vec![from.to_owned()],
        outputs: vec![to_name.to_owned()],
        attributes: [("to".to_owned(), Attribute::Int(i64::from(to as i32)))].into_iter().collect(),
        ..Default::default()
    }
}

/// What a node states of float32, as float16.
fn halve_node(node: &mut Node, single: &HashSet<String>) {
    if node.outputs.first().is_some_and(|name| single.contains(name)) {
        return;
    }
    match node.op.as_str() {
        "Cast" if node.attributes.get("to") == Some(&Attribute::Int(DType::F32 as i64)) => {
            node.attributes.insert("to".into(), Attribute::Int(DType::F16 as i64));
        }
        // Without a value it gives float32 zeros.
        "ConstantOfShape" if !node.attributes.contains_key("value") => {
            let zero = Tensor::f16(&[1], vec![f16::ZERO]).expect("one value of one");
            node.attributes.insert("value".into(), Attribute::Tensor(zero));
        }
        "Constant" => {
            let values = match (node.attributes.get("value_float"), node.attributes.get("value_floats")) {
                (Some(Attribute::Float(value)), _) => Some(Tensor::scalar(*value)),
                (_, Some(Attribute::Floats(values))) => Tensor::f32(&[values.len()], values.clone()).ok(),
                _ => None,
            };
            if let Some(tensor) = values {
                node.attributes.clear();
                node.attributes.insert("value".into(), Attribute::Tensor(tensor));
            }
        }
        _ => {}
    }
    for attribute in node.attributes.values_mut() {
        if let Attribute::Tensor(tensor) = attribute {
            tensor_to_f16(tensor);
        }
    }
}

fn tensor_to_f16(tensor: &mut Tensor) {
    let Some(values) = tensor.as_f32() else { return };
    let values: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    *tensor = Tensor::f16(tensor.shape(), values).expect("one value for each that was there");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Dim, check};
    use crate::rewrite::{infer, promote};

    fn finished(graph: GraphBuilder) -> Model {
        Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Default::default()
        }
    }

    /// (x + w) 0.1, enlarged by fixed scales or by those that are computed.
    fn model(computed: bool) -> Model {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F32, [1, 1, 2, 3].map(Dim::Known)));
        let weight = graph.initializer("w", Tensor::scalar(1.0));
        let scales = graph.initializer("scales", Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]).unwrap());
        let tenth = graph.node("Constant", "tenth", &[], [("value_float", Attribute::Float(0.1))]);
        let sum = graph.node("Add", "sum", &[&x, &weight], []);
        let part = graph.node("Mul", "part", &[&sum, &tenth], []);
        let scales = if computed { graph.node("Abs", "abs", &[&scales], []) } else { scales };
        let y = graph.node("Resize", "y", &[&part, "", &scales], []);
        graph.output(ValueInfo::tensor(y, DType::F32, [1, 1, 4, 6].map(Dim::Known)));
        finished(graph)
    }

    #[test]
    fn everything_between_the_borders_is_float16_and_the_scales_are_not() {
        let halved = to_f16(&model(false)).unwrap();
        assert_eq!(check(&halved), Ok(()));
        let graph = &halved.graph;
        let dtype = |name: &str| graph.initializers[name].dtype();
        assert_eq!((dtype("w"), dtype("scales")), (DType::F16, DType::F32));
        let ops: Vec<_> = graph.nodes.iter().map(|node| node.op.as_str()).collect();
        assert_eq!(ops, ["Cast", "Constant", "Add", "Mul", "Resize", "Cast"]);
        assert_eq!((graph.nodes[0].inputs[0].as_str(), graph.nodes[5].outputs[0].as_str()), ("x", "y"));
        let types = infer(&halved).unwrap();
        let types = ["sum", "part", "y"].map(|name| types.get(name).unwrap().dtype);
        assert_eq!(types, [DType::F16, DType::F16, DType::F32]);
        let Attribute::Tensor(tenth) = &graph.nodes[1].attributes["value"] else { panic!() };
        assert_eq!((tenth.dtype(), tenth.shape()), (DType::F16, &[][..]));
        // The way back finds every half of it.
        assert!(promote(&halved).1);
    }

    #[test]
    fn scales_that_are_computed_are_cast_back() {
        let halved = to_f16(&model(true)).unwrap();
        let resize = halved.graph.nodes.iter().find(|node| node.op == "Resize").unwrap();
        assert_eq!(resize.inputs[2], "abs/single");
        assert_eq!(infer(&halved).unwrap().get("abs/single").unwrap().dtype, DType::F32);
    }

    #[test]
    fn what_is_half_already_stays() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F16, [Dim::Known(2)]));
        let y = graph.node("Relu", "y", &[&x], []);
        graph.output(ValueInfo::tensor(y, DType::F16, [Dim::Known(2)]));
        let model = finished(graph);
        assert_eq!(to_f16(&model).unwrap(), model);
    }

    #[test]
    fn subgraphs_are_refused_by_the_name_of_their_node() {
        let mut model = model(false);
        let branch = Attribute::Graph(Box::default());
        model.graph.nodes[1].attributes.insert("then_branch".into(), branch);
        let refused = to_f16(&model).unwrap_err().to_string();
        assert!(refused.contains("Add node `sum`") && refused.contains("graph of its own"), "{refused}");
    }
}
