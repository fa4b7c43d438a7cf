//! Where a function bends and has no derivative: the rules choose as libtorch does.

use temper::onnx::{Attribute, Tensor};

use crate::case::{Case, node};

pub fn cases() -> Vec<Case> {
    let shape = [1, 2, 5, 4];
    let at = |value: f32, op: &str, constants: Vec<Tensor>| {
        node(&format!("{op} at {value}"), op, &shape, constants, []).on_a_bend(value)
    };
    let limits = || vec![Tensor::scalar(-1.0), Tensor::scalar(1.0)];
    let mut cases = vec![
        at(0.0, "Relu", vec![]),
        at(0.0, "LeakyRelu", vec![]),
        at(0.0, "PRelu", vec![Tensor::scalar(0.3)]),
        at(0.0, "Elu", vec![]),
        at(0.0, "Celu", vec![]),
        at(0.0, "Abs", vec![]),
        at(1.0, "ThresholdedRelu", vec![]),
        at(1.0, "Clip", limits()),
        at(-1.0, "Clip", limits()),
        at(0.0, "ReduceL1", vec![]),
        at(0.0, "ReduceL2", vec![]),
        at(0.5, "ReduceMax", vec![]),
        at(0.5, "ReduceMin", vec![]),
        at(0.5, "GlobalMaxPool", vec![]),
    ];
    for (stride, pad) in [(1, 0), (1, 1), (2, 1)] {
        let list = |value: i64, count: usize| Attribute::Ints(vec![value; count]);
        let attributes = [("kernel_shape", list(3, 2)), ("strides", list(stride, 2)), ("pads", list(pad, 4))];
        let name = format!("MaxPool of one value, stride {stride}, pad {pad}");
        cases.push(node(&name, "MaxPool", &shape, vec![], attributes).on_a_bend(-0.5));
    }
    cases
}
