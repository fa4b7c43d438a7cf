//! Element by element, with every way of broadcasting.

use temper::onnx::{DType, Tensor};

use crate::case::{Case, between, node, random};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        node("relu", "Relu", &[1, 2, 3, 4], vec![], []),
        node("neg", "Neg", &[2, 3], vec![], []),
        node("sqrt", "Sqrt", &[2, 3], vec![], []).over(0.1, 2.0),
        node("identity", "Identity", &[2, 3], vec![], []),
        node("hard sigmoid", "HardSigmoid", &[4, 5], vec![], [("alpha", 0.6.into()), ("beta", 0.4.into())]),
        node("hard sigmoid, defaults", "HardSigmoid", &[4, 5], vec![], []).over(-4.0, 4.0),
        node("cast", "Cast", &[2, 3], vec![], [("to", (DType::F32 as i64).into())]),
        Case::new("x + x", &[2, 3], |graph, x| graph.node("Add", "y", &[x, x], [])),
        Case::new("x * x", &[2, 3], |graph, x| graph.node("Mul", "y", &[x, x], [])),
        Case::new("x / (x + 3)", &[2, 3], |graph, x| {
            let three = graph.initializer("three", Tensor::scalar(3.0));
            let below = graph.node("Add", "below", &[x, &three], []);
            graph.node("Div", "y", &[x, &below], [])
        }),
        Case::new("max of three", &[2, 3], |graph, x| {
            let bound = graph.initializer("bound", random(&[2, 3]));
            let minus = graph.node("Neg", "minus", &[x], []);
            graph.node("Max", "y", &[x, &bound, &minus], [])
        }),
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
    ];
    cases.extend(broadcasts());
    cases
}

/// Every binary operator with x on either side, stretched or stretching.
fn broadcasts() -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[2, 3, 4], &[2, 3, 4]),
        (&[2, 3, 4], &[]),
        (&[2, 3, 4], &[3, 1]),
        (&[3, 1], &[2, 3, 4]),
        (&[1], &[2, 1, 2]),
        (&[2, 1, 4], &[1, 3, 1]),
    ];
    let mut cases = Vec::new();
    for op in ["Add", "Sub", "Mul", "Div", "Max"] {
        for (ours, other) in shapes {
            for x_first in [true, false] {
                let name =
                    format!("{op} of {ours:?} and {other:?}, x {}", if x_first { "first" } else { "second" });
                let case = Case::new(&name, ours, |graph, x| {
                    let other = graph.initializer("other", between(other, 0.5, 1.5));
                    let inputs = if x_first { [x, &other] } else { [other.as_str(), x] };
                    graph.node(op, "y", &inputs, [])
                });
                cases.push(case.over(0.4, 1.6));
            }
        }
    }
    cases
}
