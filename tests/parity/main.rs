//! `temper parity`: faults planted in a sound file are found at their node; what cannot be compared is said.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod adversarial;
mod bad_input;
#[path = "../common/mod.rs"]
mod common;
mod search;
mod structure;

use common::Workspace;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use temper::onnx::{Attribute, DType, Dim, Graph, GraphBuilder, Model, Node, Tensor, ValueInfo};

/// Channels of the feature maps.
const CHANNELS: usize = 4;

/// A network of every operator that a fault is planted in: `blocks` of a convolution, a norm, a clip or a
/// quantisation by turns, and a rectifier; then a Resize and a DepthToSpace.
fn sound(blocks: usize) -> Model {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut graph = GraphBuilder::new("sound");
    graph.input(ValueInfo::tensor("x", DType::F32, [1.into(), CHANNELS.into(), "H".into(), "W".into()]));
    let mut kernel = |outputs: usize| {
        let count = outputs * CHANNELS * 9;
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-0.25..0.25)).collect();
        Tensor::f32(&[outputs, CHANNELS, 3, 3], values).unwrap()
    };
    let pads = || ("pads", Attribute::Ints(vec![1; 4]));
    let mut x = "x".to_owned();
    for block in 0..blocks {
        let weight = graph.initializer(&format!("w{block}"), kernel(CHANNELS));
        let conv = graph.node("Conv", &format!("conv_{block}"), &[&x, &weight], [pads()]);
        let acted = match block % 3 {
            0 => {
                let [one, zero] =
                    [1.0, 0.0].map(|value| Tensor::f32(&[CHANNELS], vec![value; CHANNELS]).unwrap());
                let (scale, bias) = (graph.initializer("scale", one), graph.initializer("bias", zero));
                let inputs = [conv.as_str(), &scale, &bias];
                graph.node(
                    "InstanceNormalization",
                    &format!("norm_{block}"),
                    &inputs,
                    [("epsilon", Attribute::Float(1e-5))],
                )
            }
            1 => {
                let [low, high] = [-0.5, 0.5].map(Tensor::scalar);
                let (low, high) = (graph.initializer("low", low), graph.initializer("high", high));
                graph.node("Clip", &format!("clip_{block}"), &[&conv, &low, &high], [])
            }
            _ => {
                let scale = graph.initializer(&format!("step_{block}"), Tensor::scalar(0.02));
                let zero = graph.initializer("zero_point", Tensor::u8(&[], vec![128]).unwrap());
                let whole =
                    graph.node("QuantizeLinear", &format!("quant_{block}"), &[&conv, &scale, &zero], []);
                graph.node("DequantizeLinear", &format!("dequant_{block}"), &[&whole, &scale, &zero], [])
            }
        };
        let relu =
            graph.node("LeakyRelu", &format!("relu_{block}"), &[&acted], [("alpha", Attribute::Float(0.1))]);
        x = graph.node("Add", &format!("add_{block}"), &[&x, &relu], []);
        let half = graph.initializer("half", Tensor::scalar(0.5));
        x = graph.node("Mul", &format!("mul_{block}"), &[&x, &half], []);
    }
    let scales = graph.initializer("scales", Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]).unwrap());
    let modes = [
        ("mode", Attribute::from("linear")),
        ("coordinate_transformation_mode", Attribute::from("half_pixel")),
    ];
    let large = graph.node("Resize", "resize", &[&x, "", &scales], modes);
    let weight = graph.initializer("w_up", kernel(4 * CHANNELS));
    let up = graph.node("Conv", "conv_up", &[&large, &weight], [pads()]);
    let modes = [("blocksize", Attribute::Int(2)), ("mode", Attribute::from("CRD"))];
    let y = graph.node("DepthToSpace", "shuffle", &[&up], modes);
    graph.output(ValueInfo::tensor(y, DType::F32, [1.into(), CHANNELS.into(), Dim::Unknown, Dim::Unknown]));
    Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Model::default() }
}

fn node<'a>(graph: &'a mut Graph, name: &str) -> &'a mut Node {
    graph.nodes.iter_mut().find(|node| node.name == name).unwrap()
}

fn without(graph: &mut Graph, name: &str) {
    let (from, to) = {
        let node = node(graph, name);
        (node.outputs[0].clone(), node.inputs[0].clone())
    };
    graph.nodes.retain(|node| node.name != name);
    for input in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).filter(|input| **input == from) {
        input.clone_from(&to);
    }
}

/// Gives every node and every value between input and output a name of its own.
fn renamed(graph: &mut Graph) {
    let last = graph.outputs[0].name.clone();
    let new = |name: &str| {
        if name == last || name == "x" || name.is_empty() { name.to_owned() } else { format!("other {name}") }
    };
    let written: Vec<String> = graph.nodes.iter().flat_map(|node| node.outputs.clone()).collect();
    for node in &mut graph.nodes {
        node.name = format!("other {}", node.name);
        node.outputs.iter_mut().for_each(|name| *name = new(name));
        node.inputs.iter_mut().filter(|name| written.contains(name)).for_each(|name| *name = new(name));
    }
}

type Plant = fn(&mut Graph);

/// Each fault, and the node that it is found at.
const FAULTS: [(&str, &str, Plant); 6] = [
    ("a weight changed", "conv_3", |graph| {
        let weight = graph.initializers.get_mut("w3").unwrap();
        let mut values = weight.as_f32().unwrap().to_vec();
        values[17] += 0.05;
        *weight = Tensor::f32(weight.shape(), values).unwrap();
    }),
    ("another Resize mode", "resize", |graph| {
        node(graph, "resize").attributes.insert("coordinate_transformation_mode".into(), "asymmetric".into());
    }),
    ("a Clip removed", "clip_4", |graph| without(graph, "clip_4")),
    ("another eps", "norm_6", |graph| {
        node(graph, "norm_6").attributes.insert("epsilon".into(), Attribute::Float(1e-3));
    }),
    ("another DepthToSpace mode", "shuffle", |graph| {
        node(graph, "shuffle").attributes.insert("mode".into(), "DCR".into());
    }),
    ("another scale", "quant_5", |graph| {
        graph.initializers.insert("step_5".into(), Tensor::scalar(0.021));
    }),
];

/// Runs `parity`, which must print a report and nothing else, and end with this code.
fn parity(workspace: &Workspace, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["parity", "--json"], arguments].concat();
    // Thousands of nodes take longer where other tests run beside this one.
    let output = workspace.temper(&arguments).timeout(std::time::Duration::from_secs(300)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn planted_faults_are_found_at_their_node() {
    let workspace = Workspace::empty();
    let model = sound(9);
    workspace.model("good.onnx", &model);
    for (name, expected, plant) in FAULTS {
        let mut faulty = model.clone();
        plant(&mut faulty.graph);
        workspace.model("bad.onnx", &faulty);
        let report = parity(&workspace, &["bad.onnx", "--reference", "good.onnx", "--runtime", "tract"], 1);
        let found = &report["first_divergence"];
        assert_eq!(
            (report["verdict"].as_str(), found["node"].as_str()),
            (Some("fail"), Some(expected)),
            "{name}: {found}"
        );
        assert!(found["isolated_error"].as_f64().unwrap() > 0.0, "{name}: {found}");
    }
}

#[test]
fn nodes_of_other_names_are_matched_by_their_place() {
    let workspace = Workspace::empty();
    let (model, mut other) = (sound(6), sound(6));
    workspace.model("good.onnx", &model);
    renamed(&mut other.graph);
    workspace.model("same.onnx", &other);
    let same = ["same.onnx", "--reference", "good.onnx", "--runtime", "tract"];
    assert_eq!(parity(&workspace, &same, 0)["verdict"], "pass");
    let mut lacking = sound(6);
    without(&mut lacking.graph, "clip_4");
    renamed(&mut lacking.graph);
    workspace.model("lacking.onnx", &lacking);
    let report = parity(&workspace, &["lacking.onnx", "--reference", "good.onnx", "--runtime", "tract"], 1);
    assert_eq!(report["first_divergence"]["node"], "clip_4", "{}", report["first_divergence"]);
}

/// About 3,000 nodes, of which one differs in one weight.
#[test]
fn one_node_of_three_thousand_is_found() {
    let workspace = Workspace::empty();
    let mut model = sound(550);
    assert!(model.graph.nodes.len() >= 2900);
    workspace.model("good.onnx", &model);
    let weight = model.graph.initializers.get_mut("w301").unwrap();
    let mut values = weight.as_f32().unwrap().to_vec();
    values[40] += 0.1;
    *weight = Tensor::f32(weight.shape(), values).unwrap();
    workspace.model("bad.onnx", &model);
    let report = parity(
        &workspace,
        &["bad.onnx", "--reference", "good.onnx", "--runtime", "tract", "--shape", "x=1,4,16,16"],
        1,
    );
    assert_eq!(report["first_divergence"]["node"], "conv_301", "{}", report["first_divergence"]);
}

/// A model of one operator that gives NaN for a part of its inputs.
fn roots(shift: f32) -> Model {
    let mut graph = GraphBuilder::new("roots");
    graph.input(ValueInfo::tensor("x", DType::F32, [1.into(), 8.into()]));
    let shift = graph.initializer("shift", Tensor::scalar(shift));
    let moved = graph.node("Add", "moved", &["x", &shift], []);
    let y = graph.node("Sqrt", "y", &[&moved], []);
    graph.output(ValueInfo::tensor(y, DType::F32, [1.into(), 8.into()]));
    Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Model::default() }
}

#[test]
fn a_nan_on_one_side_fails_and_on_both_is_said() {
    let workspace = Workspace::empty();
    workspace.model("good.onnx", &roots(0.0));
    workspace.model("bad.onnx", &roots(-0.5));
    let reference = ["--reference", "good.onnx", "--runtime", "tract", "--tolerance", "abs=1e30"];
    let report = parity(&workspace, &[&["bad.onnx"], &reference[..]].concat(), 1);
    assert_eq!(report["verdict"], "fail");
    let same = parity(&workspace, &[&["good.onnx"], &reference[..]].concat(), 0);
    assert!(same["notes"][0].as_str().unwrap().contains("NaN"), "{}", same["notes"]);
}

#[test]
fn shapes_that_differ_and_files_that_do_not_run_are_said() {
    let workspace = Workspace::empty();
    let single = |op: &str, attributes: Vec<(&str, Attribute)>| {
        let mut graph = GraphBuilder::new("single");
        graph.input(ValueInfo::tensor("x", DType::F32, [2.into(), 3.into()]));
        let y = graph.node_with(op, "y", &["x"], attributes);
        graph.output(ValueInfo { ty: None, ..ValueInfo::tensor(y, DType::F32, []) });
        Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Model::default()
        }
    };
    workspace.model("flat.onnx", &single("Flatten", vec![("axis", Attribute::Int(0))]));
    workspace.model("kept.onnx", &single("Identity", vec![]));
    workspace.model("odd.onnx", &single("NoSuchOperator", vec![]));
    let against = |model| vec![model, "--reference", "kept.onnx", "--runtime", "tract"];
    let report = parity(&workspace, &against("flat.onnx"), 1);
    assert_eq!(report["comparisons"][0]["outputs"][0]["shapes"], serde_json::json!([[2, 3], [1, 6]]));
    let report = parity(&workspace, &against("odd.onnx"), 1);
    assert!(report["comparisons"][0]["failed"].as_str().unwrap().contains("NoSuchOperator"), "{report}");
}

#[test]
fn a_tensor_model_of_integers_is_compared_exactly() {
    let workspace = Workspace::empty();
    let model = |by: i64| {
        let mut graph = GraphBuilder::new("counts");
        graph.input(ValueInfo::tensor("tokens", DType::I64, [1.into(), "length".into()]));
        let by = graph.initializer("by", Tensor::ints(&[by]));
        let y = graph.node("Mul", "y", &["tokens", &by], []);
        graph.output(ValueInfo::tensor(y, DType::I64, [1.into(), "length".into()]));
        Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Model::default()
        }
    };
    workspace.model("good.onnx", &model(1_000_000_007));
    workspace.model("near.onnx", &model(1_000_000_008));
    let against = |model| vec![model, "--reference", "good.onnx", "--runtime", "tract"];
    assert_eq!(parity(&workspace, &against("good.onnx"), 0)["verdict"], "pass");
    let report = parity(&workspace, &against("near.onnx"), 1);
    assert!(report["first_divergence"]["isolated_error"].as_f64().unwrap() >= 1.0, "{report}");
}

#[test]
fn the_smallest_part_is_written_with_a_script() {
    let workspace = Workspace::empty();
    let model = sound(3);
    workspace.model("good.onnx", &model);
    let mut faulty = model;
    without(&mut faulty.graph, "clip_1");
    faulty.graph.initializers.insert("step_2".into(), Tensor::scalar(0.5));
    workspace.model("bad.onnx", &faulty);
    let _ = parity(
        &workspace,
        &["bad.onnx", "--reference", "good.onnx", "--runtime", "tract", "--bisect", "part"],
        1,
    );
    let mut files = workspace.files_in("part");
    files.sort();
    let expected =
        ["candidate.npy", "input_0.npy", "model.onnx", "reference.npy", "reference.onnx", "show.py"];
    assert_eq!(files, expected);
    let part = temper::onnx::read(&workspace.path("part/model.onnx")).unwrap();
    assert!(part.graph.nodes.len() <= 3, "{}", part.graph.nodes.len());
}

#[test]
fn what_is_asked_wrongly_is_refused_in_words() {
    let workspace = Workspace::new();
    for (flags, words) in [
        (vec!["--runtime", "tract"], "nothing to be compared with"),
        (vec!["--runtime", "trakt"], "did you mean `tract`?"),
        (vec!["--runtime", "tract,tract:opt=off", "--tolerance", "near=1"], "no tolerance"),
        (vec!["--runtime", "tract,tract:opt=off", "--shape", "z=1,3,8,8"], "has no input `z`"),
        (vec!["--runtime", "tract,tract:opt=off", "--shape", "x"], "NAME=N,N"),
    ] {
        let said = workspace.refused(&[&["parity", "model.onnx"], &flags[..]].concat(), 2);
        assert!(said.contains(words), "{flags:?}: {said}");
    }
}

#[test]
fn one_file_is_the_same_with_and_without_optimisation() {
    let workspace = Workspace::new();
    let report =
        parity(&workspace, &["model.onnx", "--runtime", "tract,tract:opt=off", "--images", "photos"], 0);
    let inputs: Vec<&str> = report["comparisons"][0]["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| output["input"].as_str().unwrap())
        .collect();
    assert!(
        inputs.contains(&"noise") && inputs.contains(&"bright pixel") && inputs.contains(&"a.png"),
        "{inputs:?}"
    );
}

/// Three convolutions between which values exceed what float16 holds, in float32 or in float16.
fn enlarging(half: bool) -> Model {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut graph = GraphBuilder::new("enlarging");
    let dtype = if half { DType::F16 } else { DType::F32 };
    graph.input(ValueInfo::tensor("x", dtype, [1.into(), 3.into(), Dim::Unknown, Dim::Unknown]));
    let tensor = |shape: &[usize], values: Vec<f32>| match half {
        true => Tensor::f16(shape, values.into_iter().map(half::f16::from_f32).collect::<Vec<_>>()).unwrap(),
        false => Tensor::f32(shape, values).unwrap(),
    };
    let mut weight = |graph: &mut GraphBuilder, name: &str, shape: [usize; 4]| {
        let values = (0..shape.iter().product()).map(|_| rng.random_range(-0.5..0.5)).collect();
        graph.initializer(name, tensor(&shape, values))
    };
    let pads = || ("pads", Attribute::Ints(vec![1; 4]));
    let first = weight(&mut graph, "w0", [4, 3, 3, 3]);
    let a = graph.node("Conv", "first", &["x", &first], [pads()]);
    let large = graph.initializer("large", tensor(&[], vec![6e4]));
    let b = graph.node("Mul", "enlarged", &[&a, &large], []);
    let c = graph.node("Relu", "rectified", &[&b], []);
    let small = graph.initializer("small", tensor(&[], vec![2e-5]));
    let d = graph.node("Mul", "reduced", &[&c, &small], []);
    let last = weight(&mut graph, "w1", [3, 4, 3, 3]);
    let y = graph.node("Conv", "last", &[&d, &last], [pads()]);
    graph.output(ValueInfo::tensor(y, dtype, [1.into(), 3.into(), Dim::Unknown, Dim::Unknown]));
    Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Model::default() }
}

#[test]
fn a_file_in_float16_is_admitted_with_some_nodes_in_float32() {
    let workspace = Workspace::empty();
    workspace.model("parent.onnx", &enlarging(false));
    workspace.model("half.onnx", &enlarging(true));
    let against = ["--reference", "parent.onnx", "--runtime", "tract"];
    let report = parity(&workspace, &[&["half.onnx", "--fix", "mixed.onnx"], &against[..]].concat(), 1);
    let admission = &report["admission"];
    assert_eq!(admission["passes"], true, "{report}");
    let kept: Vec<&str> =
        admission["kept"].as_array().unwrap().iter().map(|node| node.as_str().unwrap()).collect();
    assert!(kept.contains(&"Mul node `enlarged`") && kept.len() < 5, "{kept:?}");
    let outside: Vec<&str> = admission["ranges"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|range| range["outside"] == true)
        .map(|range| range["value"].as_str().unwrap())
        .collect();
    assert_eq!(outside, ["enlarged", "rectified"], "{}", admission["ranges"]);
    assert_eq!(report["loss"][0]["quantisation_psnr"], 0.0, "infinities are worth nothing");
    let mixed = parity(&workspace, &[&["mixed.onnx"], &against[..]].concat(), 0);
    assert!(mixed["loss"][0]["quantisation_psnr"].as_f64().unwrap() > 40.0, "{}", mixed["loss"]);
    let said = workspace.refused(&[&["parity", "parent.onnx", "--fix", "no.onnx"], &against[..]].concat(), 2);
    assert!(said.contains("nothing in it is float16 or quantised"), "{said}");
}
