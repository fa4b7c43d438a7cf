//! Choices between values, and conversions of type.

use temper::onnx::{DType, Tensor};

use crate::case::{Case, node, random};

pub fn cases() -> Vec<Case> {
    vec![
        node("cast", "Cast", &[2, 3], vec![], [("to", (DType::F32 as i64).into())]),
        Case::new("where", &[2, 3], |graph, x| {
            let zero = graph.initializer("zero", Tensor::scalar(0.0));
            let positive = graph.node("Greater", "positive", &[x, &zero], []);
            let twice = graph.node("Add", "twice", &[x, x], []);
            let minus = graph.node("Neg", "minus", &[x], []);
            graph.node("Where", "y", &[&positive, &twice, &minus], [])
        }),
        Case::new("where, broadcast branches", &[3], |graph, x| {
            let mask = Tensor::bool(&[2, 1], vec![true, false]).unwrap();
            let mask = graph.initializer("mask", mask);
            let other = graph.initializer("other", random(&[4, 1, 1]));
            graph.node("Where", "y", &[&mask, x, &other], [])
        }),
    ]
}
