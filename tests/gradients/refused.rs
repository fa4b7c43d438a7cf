//! Graphs that have no gradient, each with words that its refusal holds.

use temper::onnx::{Attribute, GraphBuilder, Node, Tensor};

use crate::case::{Case, between, node, node_at, random};

/// Every refused case.
pub fn all() -> Vec<(Case, &'static str)> {
    let mut cases = training();
    cases.extend(parameters());
    cases.extend(malformed());
    cases.extend(chosen());
    cases
}

fn training() -> Vec<(Case, &'static str)> {
    let statistics = vec![random(&[3]), random(&[3]), random(&[3]), between(&[3], 0.1, 2.0)];
    let trains = Tensor::bool(&[], vec![true]).unwrap();
    vec![
        (
            node(
                "a training batch norm",
                "BatchNormalization",
                &[2, 3, 4, 4],
                statistics,
                [("training_mode", Attribute::Int(1))],
            ),
            "training mode",
        ),
        (
            node("a training dropout", "Dropout", &[2, 3], vec![Tensor::scalar(0.5), trains], []),
            "training mode",
        ),
    ]
}

/// Parameters computed from the image, and statistics read.
fn parameters() -> Vec<(Case, &'static str)> {
    let means = |graph: &mut GraphBuilder, x: &str| {
        let attributes = [("axes", Attribute::Ints(vec![0, 2, 3])), ("keepdims", Attribute::Int(0))];
        graph.node("ReduceMean", "means", &[x], attributes)
    };
    let image = [1, 3, 4, 4];
    vec![
        (
            Case::new("an instance norm with a computed scale", &image, |graph, x| {
                let (scale, bias) = (means(graph, x), graph.initializer("bias", random(&[3])));
                graph.node("InstanceNormalization", "y", &[x, &scale, &bias], [])
            }),
            "its scale or bias depends on the image",
        ),
        (
            Case::new("a batch norm with a computed mean", &image, |graph, x| {
                let mean = means(graph, x);
                let [scale, bias] = ["scale", "bias"].map(|name| graph.initializer(name, random(&[3])));
                let variance = graph.initializer("variance", between(&[3], 0.1, 2.0));
                graph.node("BatchNormalization", "y", &[x, &scale, &bias, &mean, &variance], [])
            }),
            "depends on the image",
        ),
        (
            Case::new("a layer norm whose mean is read", &[2, 4], |graph, x| {
                let scale = graph.initializer("scale", random(&[4]));
                graph.push(Node {
                    op: "LayerNormalization".into(),
                    inputs: vec![x.into(), scale],
                    outputs: vec!["normal".into(), "mean".into()],
                    ..Default::default()
                });
                graph.node("Add", "y", &["normal", "mean"], [])
            }),
            "its mean or deviation output",
        ),
    ]
}

/// What the image's values choose, and forms that are not read.
fn chosen() -> Vec<(Case, &'static str)> {
    let one = || Tensor::ints(&[1]);
    let scales = || Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]).unwrap();
    let region = Tensor::f32(&[8], vec![0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
    let crops = [("coordinate_transformation_mode", "tf_crop_and_resize".into())];
    let places = Tensor::i64(&[1, 1], vec![1]).unwrap();
    let largest = [("reduction", Attribute::from("max"))];
    let blocks = [("axis", Attribute::Int(1)), ("block_size", Attribute::Int(2))];
    vec![
        (node("the largest entries", "TopK", &[2, 3], vec![one()], []), "chooses which entries"),
        (node("entries that are not zero", "NonZero", &[2, 3], vec![], []), "not on its shape"),
        (node("a loop", "Loop", &[2, 3], vec![], []), "loops are not read"),
        (node("a crop", "Resize", &[1, 1, 4, 4], vec![region, scales()], crops), "tf_crop_and_resize"),
        (
            node_at(18, "the larger of two", "ScatterND", &[3], vec![places, random(&[1])], largest),
            "reduction `max`",
        ),
        (
            node_at(21, "scales in blocks", "QuantizeLinear", &[2, 4], vec![random(&[2, 2])], blocks),
            "quantises in blocks",
        ),
        (
            node("a diagonal", "Einsum", &[3, 3], vec![], [("equation", "ii->i".into())]),
            "without repeated letters",
        ),
        (
            Case::new("a grid from the image", &[1, 2, 4, 4], |graph, x| {
                let shape = graph.initializer("shape", Tensor::ints(&[1, 4, 4, 2]));
                let grid = graph.node("Reshape", "grid", &[x, &shape], []);
                graph.node("GridSample", "y", &[x, &grid], [])
            }),
            "its grid depends on the image",
        ),
        (
            Case::new("a choice by the image", &[2, 3], |graph, x| {
                let zero = graph.initializer("zero", Tensor::scalar(0.0));
                let sum = graph.node("ReduceSum", "sum", &[x], [("keepdims", Attribute::Int(0))]);
                let condition = graph.node("Greater", "condition", &[&sum, &zero], []);
                graph.node("If", "y", &[&condition], [])
            }),
            "computed from the input",
        ),
    ]
}

fn malformed() -> Vec<(Case, &'static str)> {
    let window = |size: i64| ("kernel_shape", Attribute::Ints(vec![size, size]));
    let pads = ("pads", Attribute::Ints(vec![2, 0, 0, 0]));
    let alpha = [("alpha", Attribute::Float(-1.0))];
    let groups = [("num_groups", Attribute::Int(3))];
    let six = || vec![random(&[6]), random(&[6])];
    vec![
        (node("a huge window", "MaxPool", &[1, 1, 70, 70], vec![], [window(65)]), "larger than 4096"),
        (node("a window of padding", "AveragePool", &[1, 1, 6, 6], vec![], [window(2), pads]), "as wide as"),
        (node("a pool without a window", "MaxPool", &[1, 1, 6, 6], vec![], []), "`kernel_shape`"),
        (node("a celu that falls", "Celu", &[2, 3], vec![], alpha), "should be positive"),
        (node("a clip by a vector", "Clip", &[2, 3], vec![random(&[3])], []), "one number"),
        (node("a prelu that grows", "PRelu", &[3], vec![random(&[2, 3])], []), "larger than its input"),
        (
            node_at(20, "a gelu by guess", "Gelu", &[2, 3], vec![], [("approximate", "guess".into())]),
            "`approximate` guess",
        ),
        (
            node("a third norm", "LpNormalization", &[2, 3], vec![], [("p", Attribute::Int(3))]),
            "defines 1 and 2",
        ),
        (node_at(18, "groups", "GroupNormalization", &[1, 6, 2, 2], six(), groups), "should have 3 numbers"),
        (node("an axis too many", "Softmax", &[2, 3], vec![], [("axis", Attribute::Int(2))]), "axis 2"),
    ]
}
