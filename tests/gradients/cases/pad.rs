//! Pad in every mode.

use temper::onnx::{Attribute, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, node, node_at, random};

pub fn cases() -> Vec<Case> {
    let mode = |name: &str| ("mode", Attribute::from(name));
    let pads = |values: &[i64]| vec![Tensor::ints(values)];
    let image = [1, 2, 5, 4];
    let mut cases = vec![
        node("pad", "Pad", &[2, 3], vec![Tensor::ints(&[0, 1, 2, 0])], []),
        node("pad, cutting", "Pad", &[4, 3], vec![Tensor::ints(&[-1, 1, 2, -1]), Tensor::scalar(0.5)], [])
            .without(Kind::TRACT, "its Pad does not cut"),
        node_at(
            18,
            "pad, by axes",
            "Pad",
            &[2, 3],
            vec![Tensor::ints(&[1, 2]), Tensor::scalar(0.5), Tensor::ints(&[-1])],
            [],
        )
        .without(Kind::TRACT, "its Pad ignores axes"),
        node("pad, cutting alone", "Pad", &[4, 5], pads(&[-1, 0, -2, -1]), [])
            .without(Kind::TRACT, "its Pad does not cut"),
        by_value("pad by its value", &[1, 0, 0, 2]),
        by_value("pad by its value, cutting", &[1, -1, 0, 2]).without(Kind::TRACT, "its Pad does not cut"),
        node("pad, edge, cutting", "Pad", &[4, 5], pads(&[-1, 2, 0, 1]), [mode("edge")])
            .without(Kind::TRACT, "its Pad does not cut"),
        node(
            "pad, reflect, all of it",
            "Pad",
            &[1, 1, 3, 4],
            pads(&[0, 0, 2, 3, 0, 0, 2, 3]),
            [mode("reflect")],
        ),
        node("pad, edge, far", "Pad", &image, pads(&[0, 0, 7, 0, 0, 0, 0, 9]), [mode("edge")]),
        node("pad, reflect, channels too", "Pad", &[2, 3, 4], pads(&[1, 2, 0, 0, 1, 3]), [mode("reflect")]),
        node("pad, reflect, a vector", "Pad", &[6], pads(&[3, 2]), [mode("reflect")]),
        // Large enough for the border to be worked out on its own.
        node(
            "pad, reflect, wide",
            "Pad",
            &[1, 64, 48, 240],
            pads(&[0, 0, 1, 2, 0, 0, 3, 1]),
            [mode("reflect")],
        ),
        node("pad, edge, wide", "Pad", &[1, 64, 240, 48], pads(&[0, 0, 2, 0, 0, 0, 0, 1]), [mode("edge")]),
        node_at(
            11,
            "pad, reflect, opset 11",
            "Pad",
            &image,
            pads(&[0, 0, 1, 1, 0, 0, 1, 1]),
            [mode("reflect")],
        ),
        node_at(
            10,
            "pad, reflect, opset 10",
            "Pad",
            &image,
            vec![],
            [mode("reflect"), ("pads", Attribute::Ints(vec![0, 0, 2, 1, 0, 0, 0, 3]))],
        ),
        node_at(
            18,
            "pad, reflect, by axes",
            "Pad",
            &image,
            vec![Tensor::ints(&[1, 2, 0, 1]), Tensor::scalar(0.0), Tensor::ints(&[-1, 2])],
            [mode("reflect")],
        )
        .without(Kind::TRACT, "its Pad ignores axes"),
        node_at(19, "pad, wrap", "Pad", &image, pads(&[0, 0, 1, 2, 0, 0, 3, 4]), [mode("wrap")])
            .without(Kind::TRACT, "its Pad does not wrap"),
    ];
    for name in ["edge", "reflect"] {
        cases.push(node(
            &format!("pad, {name}"),
            "Pad",
            &image,
            pads(&[0, 0, 1, 2, 0, 0, 3, 1]),
            [mode(name)],
        ));
    }
    cases
}

/// What is added depends on the image, and the data do not.
fn by_value(name: &str, pads: &[i64]) -> Case {
    let pads = Tensor::ints(pads);
    Case::new(name, &[], move |graph, x| {
        let data = graph.initializer("data", random(&[2, 3]));
        let pads = graph.initializer("pads", pads);
        graph.node("Pad", "y", &[&data, &pads, x], [])
    })
    .without(Kind::TRACT, "its Pad wants a constant value")
}
