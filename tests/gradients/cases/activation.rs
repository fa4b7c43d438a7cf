//! Activations, over their bends and far out, where careless formulas overflow.

use temper::onnx::{Attribute, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, at_bend, between, node, node_at, random};

/// Where almost every entry is saturated, what is left of the gradient is as small as the error.
const SATURATED: &str = "its Sigmoid ends 4.8e-7 short of 0 and 1, its Tanh 1.2e-7 short of 1";
const CELU: &str = "its Celu does not multiply by alpha";

pub fn cases() -> Vec<Case> {
    let mut cases = bent();
    cases.extend(slopes());
    cases.extend(smooth());
    cases.extend(softmaxes());
    cases.extend(dropouts());
    cases.extend(at_bends());
    cases
}

fn bent() -> Vec<Case> {
    let alpha = |value: f32| [("alpha", Attribute::Float(value))];
    let of = |name: &str, op: &str, value: f32| node(name, op, &[4, 6], vec![], alpha(value)).over(-2.0, 2.0);
    let plain = |opset: i64, op: &str, low: f32, high: f32| {
        node_at(opset, &format!("{op} over [{low}, {high}]"), op, &[4, 6], vec![], []).over(low, high)
    };
    vec![
        node("relu", "Relu", &[1, 2, 3, 4], vec![], []),
        node("hard sigmoid", "HardSigmoid", &[4, 5], vec![], [("alpha", 0.6.into()), ("beta", 0.4.into())]),
        node("hard sigmoid, defaults", "HardSigmoid", &[4, 5], vec![], []).over(-4.0, 4.0),
        plain(17, "LeakyRelu", -2.0, 2.0),
        of("leaky relu, 0.2", "LeakyRelu", 0.2),
        of("leaky relu, 0", "LeakyRelu", 0.0),
        of("leaky relu, 1", "LeakyRelu", 1.0),
        of("leaky relu, negative", "LeakyRelu", -0.3),
        of("leaky relu, steeper", "LeakyRelu", 1.7),
        of("leaky relu before opset 16", "LeakyRelu", 0.1),
        plain(17, "ThresholdedRelu", -2.0, 2.0),
        of("thresholded relu, 0", "ThresholdedRelu", 0.0),
        of("thresholded relu, negative", "ThresholdedRelu", -0.5),
        plain(17, "Elu", -4.0, 4.0),
        plain(17, "Elu", -200.0, 200.0),
        of("elu, 0.5", "Elu", 0.5),
        of("elu, 2", "Elu", 2.0),
        plain(17, "Celu", -4.0, 4.0),
        of("celu, 0.5", "Celu", 0.5).without(Kind::TRACT, CELU),
        of("celu, 2", "Celu", 2.0).without(Kind::TRACT, CELU),
        plain(17, "Selu", -4.0, 4.0),
        plain(17, "Selu", -200.0, 200.0),
        node(
            "selu, alpha 1.2, gamma 0.8",
            "Selu",
            &[4, 6],
            vec![],
            [("alpha", 1.2.into()), ("gamma", 0.8.into())],
        ),
        plain(14, "HardSwish", -6.0, 6.0),
        plain(14, "HardSwish", -100.0, 100.0),
    ]
}

fn slopes() -> Vec<Case> {
    let image = [2, 3, 2, 4];
    let slope =
        |name: &str, shape: &[usize]| node(name, "PRelu", &image, vec![between(shape, -0.2, 0.6)], []);
    vec![
        slope("prelu, one slope", &[1]),
        slope("prelu, a scalar", &[]),
        slope("prelu, one per channel", &[3, 1, 1]),
        slope("prelu, one per column", &[4]),
        slope("prelu, one each", &[2, 3, 2, 4]),
        node_at(6, "prelu of opset 6", "PRelu", &image, vec![random(&[3])], []),
        Case::new("prelu, computed slope", &image, |graph, x| {
            let axes = [("axes", Attribute::Ints(vec![2, 3]))];
            let slope = graph.node("ReduceMean", "slope", &[x], axes);
            graph.node("PRelu", "y", &[x, &slope], [])
        }),
        Case::new("prelu of a constant, computed slope", &[3, 1, 1], |graph, x| {
            let image = graph.initializer("image", random(&[2, 3, 2, 4]));
            graph.node("PRelu", "y", &[&image, x], [])
        }),
    ]
}

fn smooth() -> Vec<Case> {
    let of = |opset: i64, op: &str, size: f32| {
        node_at(opset, &format!("{op} up to {size}"), op, &[4, 6], vec![], []).over(-size, size)
    };
    let gelu = |way: &str, size: f32| {
        let attributes = [("approximate", Attribute::from(way))];
        node_at(20, &format!("gelu, {way}, up to {size}"), "Gelu", &[4, 6], vec![], attributes)
            .over(-size, size)
    };
    vec![
        of(17, "Sigmoid", 4.0),
        of(17, "Sigmoid", 200.0).inexact(Kind::TRACT, 2e-4, SATURATED),
        of(17, "Tanh", 3.0),
        of(17, "Tanh", 200.0).inexact(Kind::TRACT, 1e-3, SATURATED),
        of(17, "Softplus", 4.0),
        of(17, "Softplus", 80.0),
        of(17, "Softplus", 200.0).without(Kind::TRACT, "its Softplus is infinite beyond 88"),
        of(17, "Softsign", 3.0),
        of(17, "Softsign", 200.0),
        of(20, "Gelu", 4.0),
        gelu("none", 100.0),
        gelu("tanh", 4.0),
        gelu("tanh", 100.0).inexact(Kind::TRACT, 1e-4, SATURATED),
        of(24, "Swish", 4.0),
        of(24, "Swish", 200.0).inexact(Kind::TRACT, 1e-4, SATURATED),
        node_at(24, "swish, 1.7", "Swish", &[4, 6], vec![], [("alpha", 1.7.into())])
            .over(-4.0, 4.0)
            .without(Kind::TRACT, "its Swish does not read alpha"),
        of(18, "Mish", 4.0),
        of(18, "Mish", 200.0).inexact(Kind::TRACT, 1e-4, SATURATED),
    ]
}

fn softmaxes() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["Softmax", "LogSoftmax"] {
        let along = |opset: i64, axis: i64, size: f32| {
            let name = format!("{op} of opset {opset} along {axis}, up to {size}");
            node_at(opset, &name, op, &[2, 3, 4], vec![], [("axis", Attribute::Int(axis))]).over(-size, size)
        };
        let large = match op {
            "Softmax" => along(17, -1, 200.0).inexact(
                Kind::TRACT,
                1e-4,
                "what is left of a saturated Softmax is as small as its error",
            ),
            _ => along(17, -1, 200.0).without(Kind::TRACT, "its LogSoftmax is infinite from -104 on"),
        };
        cases.extend([
            along(13, 1, 1.0),
            along(17, 0, 3.0),
            along(17, -1, 40.0),
            large,
            along(17, -2, 3.0),
            along(11, 1, 2.0),
            along(9, 2, 2.0),
            node(&format!("{op}, defaults"), op, &[2, 3, 4], vec![], []),
            node_at(11, &format!("{op} of opset 11, defaults"), op, &[2, 3, 4], vec![], []),
        ]);
    }
    cases
}

fn dropouts() -> Vec<Case> {
    let training = |value: bool| Tensor::bool(&[], vec![value]).unwrap();
    vec![
        node("dropout", "Dropout", &[2, 3], vec![], []),
        node("dropout with a ratio", "Dropout", &[2, 3], vec![Tensor::scalar(0.5)], []),
        node(
            "dropout told not to train",
            "Dropout",
            &[2, 3],
            vec![Tensor::scalar(0.5), training(false)],
            [("seed", Attribute::Int(3))],
        ),
        node_at(7, "dropout of opset 7", "Dropout", &[2, 3], vec![], [("ratio", 0.5.into())]),
        masked(),
    ]
}

/// The mask of what was kept, used.
fn masked() -> Case {
    Case::new("dropout and its mask", &[2, 3], |graph, x| {
        graph.push(temper::onnx::Node {
            op: "Dropout".into(),
            inputs: vec![x.into()],
            outputs: vec!["kept".into(), "mask".into()],
            ..Default::default()
        });
        let zero = graph.initializer("zero", Tensor::scalar(0.0));
        graph.node("Where", "y", &["mask", "kept", &zero], [])
    })
}

/// Where there is no derivative, the rules choose as libtorch does.
fn at_bends() -> Vec<Case> {
    vec![
        at_bend("Relu", 0.0, vec![]),
        at_bend("LeakyRelu", 0.0, vec![]),
        at_bend("PRelu", 0.0, vec![Tensor::scalar(0.3)]),
        at_bend("Elu", 0.0, vec![]),
        at_bend("Celu", 0.0, vec![]),
        at_bend("ThresholdedRelu", 1.0, vec![]),
    ]
}
