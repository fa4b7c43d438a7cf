//! Faults in files whose structure or names differ from the sound one's: nodes added, replaced, reordered, renamed.

use temper::onnx::{Attribute, DType, Dim, Graph, GraphBuilder, Model, Node, Tensor, ValueInfo};

use super::{Workspace, node, parity, renamed, sound, without};

/// Runs the faulty file against the sound one and gives the node that was found, its verdict and how.
fn found(model: &Model, plant: impl FnOnce(&mut Graph), rename: bool) -> [String; 3] {
    let workspace = Workspace::empty();
    workspace.model("good.onnx", model);
    let mut faulty = model.clone();
    plant(&mut faulty.graph);
    if rename {
        renamed(&mut faulty.graph);
    }
    workspace.model("bad.onnx", &faulty);
    let report = parity(&workspace, &["bad.onnx", "--reference", "good.onnx", "--runtime", "tract"], 1);
    let divergence = &report["first_divergence"];
    ["node", "operator", "how"].map(|key| divergence[key].as_str().unwrap_or_default().to_owned())
}

/// Puts a node behind another one.
fn insert(graph: &mut Graph, behind: &str, op: &str) {
    let index = graph.nodes.iter().position(|node| node.name == behind).unwrap();
    let from = graph.nodes[index].outputs[0].clone();
    for input in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).filter(|input| **input == from) {
        *input = "added".into();
    }
    let added = Node {
        op: op.into(),
        name: "added".into(),
        inputs: vec![from],
        outputs: vec!["added".into()],
        ..Node::default()
    };
    graph.nodes.insert(index + 1, added);
}

#[test]
fn a_node_that_was_added_is_named() {
    let model = sound(6);
    let [node, _, how] = found(&model, |graph| insert(graph, "conv_2", "Abs"), false);
    assert_eq!((node.as_str(), how.as_str()), ("added", "the reference has no such node"));
    let [node, _, how] = found(&model, |graph| insert(graph, "conv_2", "Abs"), true);
    assert_eq!((node.as_str(), how.as_str()), ("other added", "the reference has no such node"));
}

#[test]
fn another_operator_under_another_name_is_named() {
    let replace = |graph: &mut Graph| {
        let node = node(graph, "relu_4");
        (node.op, node.attributes) = ("Elu".into(), [("alpha".to_owned(), Attribute::Float(1.0))].into());
    };
    let [node, operator, how] = found(&sound(6), replace, true);
    assert_eq!([node.as_str(), operator.as_str()], ["relu_4", "LeakyRelu"], "{how}");
    assert!(how.contains("Elu node `other relu_4` stands in its place"), "{how}");
}

/// What numbering exporters do: one node less, and every value behind it has the number of another one.
#[test]
fn numbers_that_moved_on_are_not_taken_for_names() {
    let numbered = |graph: &mut Graph| {
        let last = graph.outputs[0].name.clone();
        let values: Vec<String> = graph.nodes.iter().flat_map(|node| node.outputs.clone()).collect();
        let new = |name: &str| values.iter().position(|value| value == name).filter(|_| name != last);
        for (index, node) in graph.nodes.iter_mut().enumerate() {
            node.name = format!("{}_{index}", node.op);
            for name in node.inputs.iter_mut().chain(&mut node.outputs) {
                *name = new(name).map_or(name.clone(), |number| number.to_string());
            }
        }
    };
    let mut good = sound(6);
    let mut bad = good.clone();
    without(&mut bad.graph, "clip_1");
    let weight = bad.graph.initializers.get_mut("w4").unwrap();
    let mut values = weight.as_f32().unwrap().to_vec();
    values[17] += 0.5;
    *weight = Tensor::f32(weight.shape(), values).unwrap();
    let clip = good.graph.nodes.iter().position(|node| node.name == "clip_1").unwrap();
    [&mut good, &mut bad].into_iter().for_each(|model| numbered(&mut model.graph));
    let workspace = Workspace::empty();
    workspace.model("good.onnx", &good);
    workspace.model("bad.onnx", &bad);
    let report = parity(&workspace, &["bad.onnx", "--reference", "good.onnx", "--runtime", "tract"], 1);
    assert_eq!(report["first_divergence"]["node"], format!("Clip_{clip}"), "{report}");
    let stated = report["comparisons"][0]["stated_differences"].as_array().unwrap();
    assert_eq!(stated.len(), 2, "the Clip and the weight, and nothing else: {stated:?}");
}

/// A Split whose parts are rectified, scaled and put together again.
fn halves() -> Model {
    let mut graph = GraphBuilder::new("halves");
    graph.input(ValueInfo::tensor("x", DType::F32, [1.into(), 4.into(), Dim::Unknown, Dim::Unknown]));
    let parts: Vec<String> = ["first", "second"].map(String::from).into();
    graph.push(Node {
        op: "Split".into(),
        name: "split".into(),
        inputs: vec!["x".into()],
        outputs: parts.clone(),
        attributes: [("axis".to_owned(), Attribute::Int(1))].into(),
        ..Node::default()
    });
    let relu = graph.node("Relu", "relu", &[&parts[0]], []);
    let less = graph.node("Sub", "less", &[&relu, &parts[1]], []);
    let y = graph.node("Concat", "joined", &[&less, &relu], [("axis", Attribute::Int(1))]);
    graph.output(ValueInfo::tensor(y, DType::F32, [1.into(), 4.into(), Dim::Unknown, Dim::Unknown]));
    Model { ir_version: 8, opsets: [(String::new(), 13)].into(), graph: graph.finish(), ..Model::default() }
}

#[test]
fn inputs_and_outputs_in_another_order_are_that_nodes_doing() {
    let model = halves();
    let swap = |graph: &mut Graph, name: &str| node(graph, name).inputs.reverse();
    for (name, rename) in [("less", false), ("less", true), ("joined", false), ("joined", true)] {
        let [node, ..] = found(&model, |graph| swap(graph, name), rename);
        assert_eq!(node, if rename { format!("other {name}") } else { name.to_owned() });
    }
    let [node, ..] = found(&model, |graph| node(graph, "split").outputs.reverse(), false);
    assert_eq!(node, "split");
}
