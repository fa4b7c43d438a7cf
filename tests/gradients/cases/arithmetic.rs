//! Element by element: binary operators with every way of broadcasting, powers and functions of one number,
//! limits, sums of many, and what is constant between its steps.

use temper::onnx::{Attribute, GraphBuilder, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, at_bend, between, node, node_at, random};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        node("neg", "Neg", &[2, 3], vec![], []),
        node("sqrt", "Sqrt", &[2, 3], vec![], []).over(0.1, 2.0),
        node("identity", "Identity", &[2, 3], vec![], []),
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
    ];
    cases.extend(broadcasts());
    cases.extend(functions());
    cases.extend(powers());
    cases.extend(limits());
    cases.extend(many());
    cases.extend(steps());
    cases.extend(bends());
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

fn functions() -> Vec<Case> {
    let of = |op: &str, low: f32, high: f32| {
        let name = format!("{op} over [{low}, {high}]");
        node(&name, op, &[3, 5], vec![], []).over(low, high)
    };
    vec![
        of("Exp", -3.0, 3.0),
        of("Log", 0.05, 4.0),
        of("Abs", -1.0, 1.0),
        of("Reciprocal", 0.2, 2.0),
        of("Reciprocal", -2.0, -0.2),
        of("Erf", -3.0, 3.0),
        of("Sin", -4.0, 4.0),
        of("Cos", -4.0, 4.0),
        of("Tan", -1.2, 1.2),
        of("Atan", -4.0, 4.0),
        of("Sinh", -2.0, 2.0),
        of("Cosh", -2.0, 2.0),
        of("Asinh", -4.0, 4.0),
    ]
}

/// x to the power of a constant.
fn power(name: &str, exponent: Tensor) -> Case {
    node(name, "Pow", &[2, 3], vec![exponent], []).over(0.1, 2.0)
}

fn powers() -> Vec<Case> {
    let mixed = Tensor::f32(&[3], vec![0.0, 1.0, 2.5]).unwrap();
    let integers = Tensor::ints(&[2]);
    let mut cases: Vec<Case> = [0.5, 1.0, 2.0, 3.0, -1.5]
        .map(|e| power(&format!("x to the power of {e}"), Tensor::scalar(e)))
        .into();
    cases.extend([
        power("powers, one each", mixed.clone()),
        power("power of an integer", integers),
        power("power, stretching x", between(&[2, 2, 1], 0.5, 3.0)),
        node("square of anything", "Pow", &[2, 3], vec![Tensor::scalar(2.0)], []),
        node("cube of anything", "Pow", &[2, 3], vec![Tensor::scalar(3.0)], []),
        node(
            "powers of zero, one each",
            "Pow",
            &[2, 3],
            vec![Tensor::f32(&[3], vec![0.0, 1.0, 2.0]).unwrap()],
            [],
        )
        .over(0.0, 0.0),
        Case::new("constant to the power of x", &[2, 3], |graph, x| {
            let base = graph.initializer("base", Tensor::f32(&[3], vec![0.5, 2.0, 3.0]).unwrap());
            graph.node("Pow", "y", &[&base, x], [])
        }),
        Case::new("zero to the power of x", &[2, 3], |graph, x| {
            let base = graph.initializer("base", Tensor::f32(&[3], vec![0.0, 2.0, 3.0]).unwrap());
            graph.node("Pow", "y", &[&base, x], [])
        })
        .over(0.5, 1.5),
        Case::new("x to the power of x", &[2, 3], |graph, x| graph.node("Pow", "y", &[x, x], []))
            .over(0.1, 2.0),
        Case::new("zero to a computed power of 0", &[1, 3], |graph, x| {
            let zero = graph.initializer("zero", Tensor::scalar(0.0));
            let nothing = graph.node("Mul", "nothing", &[x, &zero], []);
            let power = graph.node("Pow", "power", &[&nothing, &nothing], []);
            graph.node("Add", "y", &[&power, x], [])
        })
        .over(0.5, 1.0),
    ]);
    cases
}

fn limits() -> Vec<Case> {
    let bound = |value: f32| Tensor::scalar(value);
    let clip = |name: &str, constants: Vec<Tensor>| node(name, "Clip", &[4, 5], constants, []);
    let old = |opset: i64, name: &str, attributes: [(&str, Attribute); 1]| {
        node_at(opset, name, "Clip", &[4, 5], vec![], attributes)
    };
    vec![
        clip("clip", vec![bound(-0.5), bound(0.25)]),
        clip("clip from below", vec![bound(0.1)]),
        clip("clip without limits", vec![]),
        left_out("clip from above"),
        old(6, "clip of opset 6", [("min", 0.0.into())]),
        old(10, "clip of opset 10", [("max", 0.3.into())]),
        Case::new("clip between computed limits", &[4, 5], |graph, x| {
            let [low, high] = [("ReduceMean", -0.2), ("ReduceMax", -0.4)].map(|(op, shift)| {
                let shift = graph.initializer("shift", Tensor::scalar(shift));
                let pole = graph.node(op, "pole", &[x], [("keepdims", Attribute::Int(0))]);
                graph.node("Add", "limit", &[&pole, &shift], [])
            });
            graph.node("Clip", "y", &[x, &low, &high], [])
        }),
    ]
}

/// Clip with its lower limit left out.
fn left_out(name: &str) -> Case {
    Case::new(name, &[4, 5], |graph, x| {
        let high = graph.initializer("high", Tensor::scalar(0.3));
        graph.node("Clip", "y", &[x, "", &high], [])
    })
}

fn many() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["Sum", "Mean", "Min", "Max"] {
        cases.push(node(&format!("{op} of one"), op, &[2, 3], vec![], []));
        cases.push(three(op, &[1, 3, 1]));
        cases.push(match op {
            "Mean" => three(op, &[3, 1]).without(Kind::TRACT, "its Mean stops at inputs of several ranks"),
            _ => three(op, &[3, 1]),
        });
    }
    cases
}

/// x, a constant and a function of x, broadcast together.
fn three(op: &str, shape: &[usize]) -> Case {
    Case::new(&format!("{op} of three, {shape:?} broadcast"), shape, |graph, x| {
        let other = graph.initializer("other", random(&[2, 1, 5]));
        let wave = graph.node("Sin", "wave", &[x], []);
        let fall = graph.node("Neg", "fall", &[&wave], []);
        graph.node(op, "y", &[x, &other, &fall], [])
    })
}

/// x times something that moves in steps.
fn gated(name: &str, gate: impl FnOnce(&mut GraphBuilder, &str) -> String) -> Case {
    Case::new(name, &[2, 3, 4], |graph, x| {
        let gate = gate(graph, x);
        graph.node("Mul", "y", &[x, &gate], [])
    })
}

fn steps() -> Vec<Case> {
    let gate = |op| gated(&format!("x times {op}"), |graph, x| graph.node(op, "gate", &[x], []));
    ["Sign", "Floor", "Ceil", "Round"].map(gate).into()
}

/// Where there is no derivative, the rules choose as libtorch does.
fn bends() -> Vec<Case> {
    let limits = || vec![Tensor::scalar(-1.0), Tensor::scalar(1.0)];
    vec![at_bend("Abs", 0.0, vec![]), at_bend("Clip", 1.0, limits()), at_bend("Clip", -1.0, limits())]
}
