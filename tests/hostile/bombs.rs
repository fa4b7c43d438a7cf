//! Small files that claim much: values, folds, weights, nodes.

use temper::onnx::{self, Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};

use crate::common::{Workspace, apart, upscaler};
use crate::watched::{Outcome, bounded, watched};

/// A side of a square of three channels that is just within the limit of a value's elements.
const SIDE: i64 = 18_000;

/// A model that adds the mean of what `build` makes of the image to it.
fn with_mean(build: impl FnOnce(&mut GraphBuilder, &str) -> String) -> Model {
    upscaler(|graph, image| {
        let value = build(graph, image);
        let mean = graph.node("ReduceMean", "mean", &[&value], [("keepdims", Attribute::Int(0))]);
        let sum = graph.node("Add", "with_mean", &[image, &mean], []);
        apart(graph, &sum)
    })
}

fn ints(graph: &mut GraphBuilder, values: &[i64]) -> String {
    graph.initializer("ints", Tensor::ints(values))
}

fn filled(graph: &mut GraphBuilder, shape: &[i64]) -> String {
    let shape = ints(graph, shape);
    let value = Attribute::Tensor(Tensor::f32(&[1], vec![0.5]).unwrap());
    graph.node("ConstantOfShape", "filled", &[&shape], [("value", value)])
}

fn large_values() -> Vec<(&'static str, Model)> {
    let square = [1, 3, SIDE, SIDE];
    let expand = with_mean(|graph, _| {
        let (one, shape) = (graph.initializer("one", Tensor::scalar(1.0)), ints(graph, &square));
        graph.node("Expand", "expanded", &[&one, &shape], [])
    });
    let tile = with_mean(|graph, image| {
        let repeats = ints(graph, &[1, 1, 300, 300]);
        graph.node("Tile", "tiled", &[image, &repeats], [])
    });
    let constant = with_mean(|graph, _| filled(graph, &square));
    let pad = with_mean(|graph, image| {
        let pads = ints(graph, &[0, 0, 8900, 8900, 0, 0, 8900, 8900]);
        graph.node("Pad", "padded", &[image, &pads], [])
    });
    let product = |side: i64| {
        with_mean(|graph, _| {
            let (column, row) = (filled(graph, &[side, 1]), filled(graph, &[1, side]));
            let square = graph.node("MatMul", "square", &[&column, &row], []);
            graph.node("MatMul", "cube", &[&square, &square], [])
        })
    };
    // Little memory, and 1.4e12 operations.
    let arithmetic = product(7_000);
    let mut fixed = upscaler(apart);
    fixed.graph.inputs[0] = ValueInfo::tensor("image", DType::F32, [1, 3, 20_000, 20_000].map(Dim::Known));
    vec![
        ("Expand", expand),
        ("Tile", tile),
        ("ConstantOfShape", constant),
        ("Pad", pad),
        ("MatMul of large values", product(20_000)),
        ("MatMul that takes long", arithmetic),
        ("an input of 20000 x 20000", fixed),
    ]
}

#[test]
fn values_beyond_any_memory_are_refused_before_they_are_made() {
    let workspace = Workspace::new();
    for (what, model) in large_values() {
        workspace.model("bomb.onnx", &model);
        for verb in
            ["inspect bomb.onnx", "audit bomb.onnx --images photos --memory 1 --iterations 1 --out out"]
        {
            let outcome = bounded(&workspace, what, &verb.split(' ').collect::<Vec<_>>());
            assert_eq!(outcome.code, Some(2), "{what}: {verb}: {}", outcome.said);
            assert!(
                outcome.said.contains("beyond the limit") && outcome.said.contains("--limit"),
                "{}",
                outcome.said
            );
        }
    }
}

/// The audit of a model that is odd and small: it may do what it asks for.
fn taken(workspace: &Workspace, what: &str, model: &Model) -> Outcome {
    workspace.model("odd.onnx", model);
    let verb =
        "audit odd.onnx --images photos --iterations 1 --budget 4 --runtime tract --no-cache --out out";
    bounded(workspace, what, &verb.split(' ').collect::<Vec<_>>())
}

#[test]
fn constants_are_folded_as_far_as_is_worth_it() {
    let workspace = Workspace::new();
    let many = with_mean(|graph, _| {
        let mut sum = filled(graph, &[1_000_000]);
        for _ in 0..700 {
            let more = filled(graph, &[1_000_000]);
            sum = graph.node("Add", "sum", &[&sum, &more], []);
        }
        sum
    });
    let outcome = taken(&workspace, "700 folds of a million elements", &many);
    assert!(outcome.code == Some(2) && outcome.said.contains("--limit "), "{}", outcome.said);
    for (doublings, limit) in
        [(18, ""), (24, "--limit constants"), (40, "--limit elements"), (70, "--limit elements")]
    {
        let doubled = with_mean(|graph, _| {
            let mut value = graph.initializer("seed", Tensor::f32(&[4], vec![0.25; 4]).unwrap());
            for _ in 0..doublings {
                value = graph.node("Concat", "doubled", &[&value, &value], [("axis", Attribute::Int(0))]);
            }
            value
        });
        let outcome = taken(&workspace, &format!("Concat doubled {doublings} times"), &doubled);
        let refused = !limit.is_empty();
        assert_eq!(outcome.code, Some(if refused { 2 } else { 0 }), "{}", outcome.said);
        assert!(!refused || outcome.said.contains(limit), "{}", outcome.said);
    }
}

/// The image through so many nodes, one behind the other.
fn chain(nodes: usize) -> Model {
    upscaler(|graph, image| {
        let mut value = image.to_owned();
        for _ in 0..nodes {
            value = graph.node("Relu", "r", &[&value], []);
        }
        apart(graph, &value)
    })
}

#[test]
fn the_time_of_inspect_grows_with_the_nodes_and_not_with_their_square() {
    let workspace = Workspace::empty();
    let mut seconds = [3_000, 9_000].map(|nodes| {
        workspace.model("chain.onnx", &chain(nodes));
        let outcome = bounded(&workspace, "a chain", &["inspect", "chain.onnx"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.said);
        assert!(outcome.printed.contains("not run: its number of nodes"), "{}", outcome.printed);
        outcome.processor_seconds
    });
    // The same start for both.
    workspace.model("chain.onnx", &chain(1));
    let start = watched(&workspace, &["inspect", "chain.onnx", "--limit", "run-nodes=1"]).processor_seconds;
    seconds.iter_mut().for_each(|seconds| *seconds -= start);
    let [few, many] = seconds;
    assert!(many < 6.0 * few.max(0.1), "3 times the nodes took {:.1} times as long: {seconds:?}", many / few);
}

/// A tensor of float32 that lies in a file beside the model.
fn beside(name: &str, elements: i64) -> Vec<u8> {
    let entry = field(13, &[field(1, b"location"), field(2, b"w.data")].concat());
    [vec![8], varint(elements), vec![0x10, 1], field(8, name.as_bytes()), entry, vec![0x70, 1]].concat()
}

fn varint(value: i64) -> Vec<u8> {
    let (mut rest, mut bytes) = (value as u64, Vec::new());
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// `field` of a protobuf message, holding bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(bytes.len() as i64), bytes.to_vec()].concat()
}

/// A model whose graph has these fields beside an output.
fn with_graph(fields: &[u8]) -> Vec<u8> {
    let graph = [fields, &field(2, b"g"), &field(12, &field(1, b"y"))].concat();
    [vec![8, 8], field(8, &[0x10, 17]), field(7, &graph)].concat()
}

#[test]
fn claims_of_a_file_are_added_up_before_it_is_decoded() {
    let workspace = Workspace::empty();
    let sparse = |bytes: u64| {
        workspace.file("w.data", b"");
        std::fs::File::options().write(true).open(workspace.path("w.data")).unwrap().set_len(bytes).unwrap();
    };
    let refused = |what: &str, bytes: &[u8], limit: &str| {
        workspace.file("bomb.onnx", bytes);
        for verb in ["inspect bomb.onnx", "grad bomb.onnx --input 24x28 -o g.onnx"] {
            let outcome = bounded(&workspace, what, &verb.split(' ').collect::<Vec<_>>());
            assert_eq!(outcome.code, Some(2), "{what}: {}", outcome.said);
            assert!(outcome.said.contains(limit), "{what}: {}", outcome.said);
        }
    };
    sparse(200 << 30);
    refused("200 GB beside", &with_graph(&field(5, &beside("w", 50 << 30))), "--limit model-bytes");
    sparse(64 << 20);
    let shared: Vec<u8> =
        (0..200).flat_map(|index| field(5, &beside(&format!("w{index}"), 16 << 20))).collect();
    refused("200 names for 64 MB", &with_graph(&shared), "--limit model-bytes");
    refused("40 MB of empty nodes", &with_graph(&field(1, &[]).repeat(20 << 20)), "--limit nodes");
    refused(
        "empty attributes",
        &with_graph(&field(1, &field(5, &[]).repeat(4 << 20))),
        "--limit model-bytes",
    );
    refused("empty names", &with_graph(&field(1, &field(1, &[]).repeat(20 << 20))), "--limit model-bytes");
}

#[test]
fn many_inputs_or_constants_are_no_matter() {
    let workspace = Workspace::empty();
    let mut inputs = upscaler(apart);
    let more = (0..10_000).map(|index| ValueInfo::tensor(format!("i{index}"), DType::F32, [Dim::Known(1)]));
    inputs.graph.inputs.extend(more);
    workspace.model("odd.onnx", &inputs);
    bounded(&workspace, "10,000 inputs", &["inspect", "odd.onnx"]);
    let constants = upscaler(|graph, image| {
        let mut sum = graph.constant("c", Tensor::scalar(0.0));
        for _ in 0..3_000 {
            let more = graph.constant("c", Tensor::scalar(0.0));
            sum = graph.node("Add", "s", &[&sum, &more], []);
        }
        let both = graph.node("Add", "both", &[image, &sum], []);
        apart(graph, &both)
    });
    workspace.model("odd.onnx", &constants);
    let outcome = bounded(&workspace, "3,000 constants", &["inspect", "odd.onnx"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
}

#[test]
fn nodes_with_inputs_that_their_operator_does_not_take_are_refused() {
    let workspace = Workspace::new();
    let cases =
        [("Relu", vec!["image", "image"], "has an input 1"), ("Add", vec!["image"], "lacks its input 1")];
    for (op, inputs, part) in cases {
        let model = upscaler(|graph, _| {
            let value = graph.node(op, "odd", &inputs, []);
            apart(graph, &value)
        });
        workspace.file("odd.onnx", &onnx::to_bytes(&model));
        for verb in [
            "grad odd.onnx --input 24x28 -o g.onnx",
            "audit odd.onnx --images photos --runtime tract --out out",
        ] {
            let outcome = bounded(&workspace, op, &verb.split(' ').collect::<Vec<_>>());
            assert!(outcome.code == Some(2) && outcome.said.contains(part), "{}", outcome.said);
            assert!(!workspace.path("g.onnx").exists());
        }
    }
    let mut future = upscaler(apart);
    future.opsets.insert(String::new(), 999);
    workspace.file("odd.onnx", &onnx::to_bytes(&future));
    let verb = ["audit", "odd.onnx", "--images", "photos", "--runtime", "tract", "--out", "out"];
    let outcome = bounded(&workspace, "opset 999", &verb);
    assert!(outcome.code == Some(2) && outcome.said.contains("operator set 999"), "{}", outcome.said);
}
