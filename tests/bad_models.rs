//! Models that are whole and wrong: each is refused with one message that names the place, in
//! bounded time, by every verb.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use std::time::{Duration, Instant};

use common::{Workspace, apart, upscaler};
use temper::onnx::{self, Attribute, Model, Node, Tensor};

/// A model whose image passes one node before it is upscaled, with the tensors that the node reads.
fn with_node(
    op: &str,
    inputs: &[&str],
    tensors: &[(&str, Tensor)],
    attributes: &[(&str, Attribute)],
) -> Model {
    let mut model = upscaler(apart);
    let node = Node {
        op: op.into(),
        name: "suspect".into(),
        inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
        outputs: vec!["passed".into()],
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..Default::default()
    };
    model.graph.nodes[0].inputs[0] = "passed".into();
    model.graph.nodes.insert(0, node);
    model
        .graph
        .initializers
        .extend(tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())));
    model
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::f32(&[values.len()], values.to_vec()).unwrap()
}

/// `field` of a protobuf message, holding bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 128 {
        encoded.push((length % 128) as u8 | 128);
        length /= 128;
    }
    encoded.push(length as u8);
    encoded.extend_from_slice(bytes);
    encoded
}

/// A model of graphs within graphs, each the branch of an If.
fn nested(depth: usize) -> Vec<u8> {
    let mut graph = field(2, b"innermost");
    for _ in 0..depth {
        let attribute = [field(1, b"then_branch"), field(6, &graph), vec![0xa0, 1, 5]].concat();
        let node = [field(2, b"o"), field(4, b"If"), field(5, &attribute)].concat();
        graph = [field(1, &node), field(2, b"g")].concat();
    }
    [vec![8, 8], field(8, &[0x10, 17]), field(7, &graph)].concat()
}

/// Holds a file to its refusal by every verb.
#[track_caller]
fn refused(name: &str, bytes: &[u8], parts: &[&str]) {
    let workspace = Workspace::empty();
    workspace.file("bad.onnx", bytes);
    workspace.photo("photos/a.png", 24, 28);
    let audit = "audit bad.onnx --images photos --budget 4 --iterations 1 --runtime tract --out out";
    for verb in ["inspect bad.onnx", "grad bad.onnx --input 24x28 -o g.onnx", audit] {
        let start = Instant::now();
        let said = workspace.refused(&verb.split(' ').collect::<Vec<_>>(), 2);
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {verb} took {:?}", start.elapsed());
        for part in parts {
            assert!(said.contains(part), "{name}: `{part}` is not in: {said}");
        }
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{name}: {said:?}");
    }
}

#[test]
fn what_cannot_be_a_graph_is_refused() {
    let relu = || with_node("Relu", &["image"], &[], &[]);
    let mut cycle = relu();
    cycle.graph.nodes[0].inputs[0] = cycle.graph.nodes[1].outputs[0].clone();
    refused("a cycle", &onnx::to_bytes(&cycle), &["suspect", "cycle"]);
    let mut missing = relu();
    missing.graph.nodes[0].inputs[0] = "nowhere".into();
    refused("a missing input", &onnx::to_bytes(&missing), &["suspect", "`nowhere`"]);
    let mut twice = relu();
    twice.graph.nodes.push(twice.graph.nodes[0].clone());
    refused("two writers", &onnx::to_bytes(&twice), &["suspect", "`passed`"]);
    refused("nested graphs", &nested(10_000), &["deep"]);
}

#[test]
fn what_no_runtime_could_compute_is_refused_by_node() {
    let huge = Tensor::ints(&[1, 3, 1 << 20, 1 << 20]);
    let cases = [
        (with_node("Frobnicate", &["image"], &[], &[]), vec!["Frobnicate", "does not know"]),
        (with_node("Add", &["image", "i"], &[("i", Tensor::ints(&[1]))], &[]), vec!["float32 and int64"]),
        (with_node("Conv", &["image"], &[], &[]), vec!["lacks its input 1"]),
        (with_node("Conv", &["image", "w"], &[("w", floats(&[1.0]))], &[]), vec!["Conv node"]),
        (with_node("Expand", &["image", "s"], &[("s", huge.clone())], &[]), vec!["Expand node"]),
        (with_node("Tile", &["image", "s"], &[("s", huge.clone())], &[]), vec!["--limit elements"]),
        (with_node("Reshape", &["image", "s"], &[("s", huge)], &[]), vec!["Reshape node"]),
        (
            with_node("Resize", &["image", "", "s"], &[("s", floats(&[1.0, 1.0, 1e9, 1e9]))], &[]),
            vec!["--limit elements"],
        ),
        (with_node("Loop", &["", "", "image"], &[], &[]), vec!["Loop", "unrolled"]),
        (with_node("Relu", &["image"], &[], &[("slope", 0.5.into())]), vec!["`slope`", "will not ignore"]),
    ];
    for (model, parts) in cases {
        refused(&model.graph.nodes[0].op, &onnx::to_bytes(&model), &[&["suspect"], &parts[..]].concat());
    }
}

#[test]
fn names_that_would_steer_a_terminal_are_made_harmless() {
    let mut model = with_node("Frobnicate", &["image"], &[], &[]);
    model.graph.nodes[0].name = "suspect\u{1b}[2J".into();
    refused("an escape", &onnx::to_bytes(&model), &["suspect?[2J"]);
}

#[test]
fn a_network_that_gives_no_numbers_is_refused() {
    let nan = with_node("Mul", &["image", "n"], &[("n", floats(&[f32::NAN]))], &[]);
    let workspace = Workspace::empty();
    workspace.file("bad.onnx", &onnx::to_bytes(&nan));
    assert!(workspace.refused(&["inspect", "bad.onnx"], 2).contains("not finite"));
}
