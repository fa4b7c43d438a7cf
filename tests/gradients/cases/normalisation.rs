//! Normalisations by the image's own statistics, and by constant ones.

use temper::onnx::{Attribute, Tensor};

use crate::case::{Case, between, node, node_at, random};

pub fn cases() -> Vec<Case> {
    let mut cases = batches();
    cases.extend(instances());
    cases.extend(layers());
    cases.extend(groups());
    cases.extend(norms());
    cases
}

fn epsilon(value: f32) -> (&'static str, Attribute) {
    ("epsilon", Attribute::Float(value))
}

fn batches() -> Vec<Case> {
    let statistics = || vec![random(&[3]), random(&[3]), random(&[3]), between(&[3], 0.1, 2.0)];
    let at = |opset: i64, name: &str, shape: &[usize]| {
        node_at(opset, name, "BatchNormalization", shape, statistics(), [])
    };
    vec![
        at(17, "batch norm", &[2, 3, 4, 5]),
        at(13, "batch norm of opset 13", &[2, 3, 4, 5]),
        at(7, "batch norm of opset 7", &[2, 3, 4, 5]),
        at(17, "batch norm, 1-D", &[2, 3, 4]),
        at(17, "batch norm of a matrix", &[4, 3]),
        node(
            "batch norm, with attributes",
            "BatchNormalization",
            &[1, 3, 4, 4],
            statistics(),
            [epsilon(0.3), ("momentum", 0.8.into()), ("training_mode", Attribute::Int(0))],
        ),
    ]
}

fn instances() -> Vec<Case> {
    let parameters = || vec![random(&[3]), random(&[3])];
    let of = |name: &str, shape: &[usize], value: f32| {
        node(name, "InstanceNormalization", shape, parameters(), [epsilon(value)])
    };
    vec![
        of("instance norm", &[2, 3, 4, 5], 1e-5),
        of("instance norm, 1-D", &[2, 3, 7], 0.1),
        of("instance norm, 3-D", &[1, 3, 2, 3, 2], 1e-3),
        of("instance norm of large values", &[1, 3, 4, 4], 1e-5).over(90.0, 110.0),
        node("instance norm, defaults", "InstanceNormalization", &[1, 3, 4, 4], parameters(), []),
    ]
}

fn layers() -> Vec<Case> {
    let shape = [2, 3, 4, 5];
    let axis = |value: i64| ("axis", Attribute::Int(value));
    let mut cases = vec![
        node("layer norm, defaults", "LayerNormalization", &shape, vec![random(&[5]), random(&[5])], []),
        node("layer norm without a bias", "LayerNormalization", &shape, vec![random(&[5])], [epsilon(0.01)]),
        node(
            "layer norm over three axes",
            "LayerNormalization",
            &shape,
            vec![random(&[3, 4, 5]), random(&[3, 4, 5])],
            [axis(1), ("stash_type", Attribute::Int(1))],
        ),
        node(
            "layer norm from axis -2",
            "LayerNormalization",
            &shape,
            vec![random(&[4, 5]), random(&[4, 5])],
            [axis(-2)],
        ),
    ];
    cases.push(with_statistics());
    cases.extend([
        node_at(23, "rms norm, defaults", "RMSNormalization", &shape, vec![random(&[5])], []),
        node_at(
            23,
            "rms norm over two axes",
            "RMSNormalization",
            &shape,
            vec![random(&[4, 5])],
            [axis(2), epsilon(0.1)],
        ),
    ]);
    cases
}

/// A layer norm that also writes its mean and deviation, which nobody reads.
fn with_statistics() -> Case {
    Case::new("layer norm with its statistics", &[2, 3, 4], |graph, x| {
        let scale = graph.initializer("scale", random(&[4]));
        graph.push(temper::onnx::Node {
            op: "LayerNormalization".into(),
            inputs: vec![x.into(), scale],
            outputs: ["y", "mean", "deviation"].map(str::to_owned).to_vec(),
            ..Default::default()
        });
        "y".into()
    })
}

fn groups() -> Vec<Case> {
    let of = |opset: i64, name: &str, shape: &[usize], groups: i64, parameters: usize| {
        let constants = vec![random(&[parameters]), random(&[parameters])];
        let attributes = [("num_groups", Attribute::Int(groups)), epsilon(1e-3)];
        node_at(opset, name, "GroupNormalization", shape, constants, attributes)
    };
    vec![
        of(21, "group norm", &[2, 6, 3, 4], 3, 6),
        of(21, "group norm, 1-D", &[2, 6, 5], 2, 6),
        of(21, "group norm, one group", &[1, 4, 3, 3], 1, 4),
        of(18, "group norm of opset 18", &[2, 6, 3, 4], 3, 3),
        of(18, "group norm of opset 18, a group per channel", &[2, 4, 3, 3], 4, 4),
    ]
}

fn norms() -> Vec<Case> {
    let of = |name: &str, axis: i64, p: i64| {
        let attributes = [("axis", Attribute::Int(axis)), ("p", Attribute::Int(p))];
        node(name, "LpNormalization", &[2, 3, 4], vec![], attributes)
    };
    vec![
        of("lp normalisation", 1, 2),
        of("lp normalisation, last axis", -1, 2),
        of("lp normalisation, p = 1", -2, 1),
        node("lp normalisation, defaults", "LpNormalization", &[3, 5], vec![], []),
        zero_norm(),
    ]
}

/// One of two vectors is zero; nothing becomes NaN there.
fn zero_norm() -> Case {
    Case::new("lp normalisation of zero", &[2, 3], |graph, x| {
        let mask = graph.initializer("mask", Tensor::f32(&[2, 1], vec![1.0, 0.0]).unwrap());
        let masked = graph.node("Mul", "masked", &[x, &mask], []);
        graph.node("LpNormalization", "y", &[&masked], [])
    })
}
