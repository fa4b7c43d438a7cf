//! Reductions, over all axes and some, before and after opset 18; over ties and zeros.

use temper::onnx::{Attribute, DType, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, at_bend, node, node_at};

/// Every reduction, with a range of inputs that it takes.
const REDUCTIONS: [(&str, f32, f32); 10] = [
    ("ReduceSum", -1.0, 1.0),
    ("ReduceMean", -1.0, 1.0),
    ("ReduceMax", -1.0, 1.0),
    ("ReduceMin", -1.0, 1.0),
    ("ReduceProd", -1.5, 1.5),
    ("ReduceL1", -1.0, 1.0),
    ("ReduceL2", -1.0, 1.0),
    ("ReduceSumSquare", -1.0, 1.0),
    ("ReduceLogSum", 0.1, 2.0),
    ("ReduceLogSumExp", -2.0, 2.0),
];

const SHAPE: [usize; 3] = [2, 3, 4];

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> =
        REDUCTIONS.iter().flat_map(|&(op, low, high)| each(op).map(|case| case.over(low, high))).collect();
    cases.extend([
        node("log of a sum of large powers", "ReduceLogSumExp", &SHAPE, vec![], [])
            .over(-300.0, 300.0)
            .without(Kind::TRACT, "its ReduceLogSumExp is infinite beyond 88"),
        ties("ReduceMax"),
        ties("ReduceMin"),
        zeros("product with a zero in every row", &[&[1.0, -0.5, 0.3], &[0.2, 2.5, 1.0]]),
        at_bend("ReduceL1", 0.0, vec![]),
        at_bend("ReduceL2", 0.0, vec![]),
        at_bend("ReduceMax", 0.5, vec![]),
        at_bend("ReduceMin", 0.5, vec![]),
        zeros("product with two zeros in a row", &[&[1.0, 1.0, 0.3], &[0.2, 2.5, 0.4]]),
    ]);
    cases.extend(places());
    cases
}

fn each(op: &str) -> [Case; 7] {
    let axes = |values: &[i64]| Attribute::Ints(values.to_vec());
    let keep = |value: i64| ("keepdims", Attribute::Int(value));
    // ReduceSum takes its axes as an input since opset 13, the others since 18.
    let early = if op == "ReduceSum" { 12 } else { 17 };
    let stated = |name: &str, list: &[i64], kept: i64| {
        let attributes = [("axes", axes(list)), keep(kept)];
        node_at(early, &format!("{op}, {name}"), op, &SHAPE, vec![], attributes)
    };
    let given = |name: &str, list: &[i64], kept: i64| {
        node_at(18, &format!("{op}, {name}"), op, &SHAPE, vec![Tensor::ints(list)], [keep(kept)])
    };
    [
        stated("axes as an attribute", &[1, 2], 1),
        stated("dropping a negative axis", &[-2], 0),
        given("axes as an input", &[2, 0], 1),
        given("axes as an input, dropped", &[-1], 0),
        node(&format!("{op} of everything"), op, &SHAPE, vec![], [keep(0)]),
        node_at(13, &format!("{op} of everything, kept"), op, &SHAPE, vec![], []),
        node_at(
            18,
            &format!("{op} of nothing"),
            op,
            &SHAPE,
            vec![],
            [("noop_with_empty_axes", Attribute::Int(1))],
        ),
    ]
}

/// Every value is there twice, and both together are given the gradient once.
fn ties(op: &str) -> Case {
    Case::new(&format!("{op}, ties"), &[2, 3], |graph, x| {
        let twice = graph.node("Concat", "twice", &[x, x], [("axis", Attribute::Int(1))]);
        graph.node(op, "y", &[&twice], [("axes", Attribute::Ints(vec![1]))])
    })
}

/// A product along the rows of x - shift at x = 1. Where a factor is zero its derivative is the
/// product of the others.
fn zeros(name: &str, shift: &[&[f32]]) -> Case {
    Case::new(name, &[2, 3], |graph, x| {
        let shift = graph.initializer("shift", Tensor::f32(&[2, 3], shift.concat()).unwrap());
        let factors = graph.node("Sub", "factors", &[x, &shift], []);
        graph.node("ReduceProd", "y", &[&factors], [("axes", Attribute::Ints(vec![1]))])
    })
    .over(1.0, 1.0)
}

/// x times the place of its largest or smallest entry, which moves in steps.
fn places() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["ArgMax", "ArgMin"] {
        for (axis, keep) in [(0, 1), (-1, 1), (1, 0)] {
            let name = format!("x times {op} over axis {axis}, keepdims {keep}");
            let attributes = || [("axis", Attribute::Int(axis)), ("keepdims", Attribute::Int(keep))];
            cases.push(Case::new(&name, &[3, 3, 3], |graph, x| {
                let place = graph.node(op, "place", &[x], attributes());
                let gate = graph.node("Cast", "gate", &[&place], [("to", (DType::F32 as i64).into())]);
                graph.node("Mul", "y", &[x, &gate], [])
            }));
        }
    }
    cases
}
