//! Reductions, over all axes and some, before and after opset 18.

use temper::onnx::{Attribute, Tensor};

use crate::case::{Case, node, node_at};

pub fn cases() -> Vec<Case> {
    let axes = |values: &[i64]| ("axes", Attribute::Ints(values.to_vec()));
    let dropped = || ("keepdims", Attribute::Int(0));
    let shape = [2, 3, 4];
    vec![
        node("sum", "ReduceSum", &shape, vec![Tensor::ints(&[1])], []),
        node("sum, dropping axes", "ReduceSum", &shape, vec![Tensor::ints(&[0, -1])], [dropped()]),
        node("sum of everything", "ReduceSum", &shape, vec![], [dropped()]),
        node("sum of nothing", "ReduceSum", &shape, vec![], [("noop_with_empty_axes", Attribute::Int(1))]),
        node("l2", "ReduceL2", &shape, vec![], [axes(&[1, 2])]),
        node("l2, dropping axes", "ReduceL2", &shape, vec![], [axes(&[-1]), dropped()]),
        node("l2 of everything", "ReduceL2", &shape, vec![], [dropped()]),
        node_at(18, "l2, axes as an input", "ReduceL2", &shape, vec![Tensor::ints(&[0, 2])], [dropped()]),
    ]
}
