//! Entries read and written by constant indices, and sampling by a grid.

use temper::onnx::{Attribute, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, between, node, node_at, random};

pub fn cases() -> Vec<Case> {
    let mut cases = gathers();
    cases.extend(scatters());
    cases.extend(grids());
    cases.extend([one_hot("one-hot by its values", -1), one_hot("one-hot by its values, in front", 0)]);
    cases
}

/// What is placed depends on the image; one index counts from the end, one points nowhere.
fn one_hot(name: &str, axis: i64) -> Case {
    Case::new(name, &[2], move |graph, x| {
        let places = graph.initializer("places", indices(&[2, 2], &[1, -1, 4, 0]));
        let depth = graph.initializer("depth", Tensor::i64(&[], vec![3]).unwrap());
        graph.node("OneHot", "y", &[&places, &depth, x], [("axis", Attribute::Int(axis))])
    })
    .without(Kind::TRACT, "its OneHot wants constant values")
}

fn indices(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::i64(shape, values.to_vec()).unwrap()
}

fn gathers() -> Vec<Case> {
    let axis = |axis: i64| [("axis", Attribute::Int(axis))];
    let gather = |name: &str, axis: i64, indices: Tensor| {
        node(name, "Gather", &[4, 3, 5], vec![indices], [("axis", axis.into())])
    };
    let tuples = |name: &str, batch: i64, places: Tensor| {
        node(name, "GatherND", &[2, 3, 4], vec![places], [("batch_dims", Attribute::Int(batch))])
    };
    vec![
        gather("gather", 1, Tensor::ints(&[2, 0])),
        gather("gather, repeating", -1, Tensor::ints(&[1, 1, 4, 1, -5])),
        gather("gather by a matrix", 0, Tensor::i64(&[2, 2], vec![3, 0, 3, 1]).unwrap()),
        gather("gather of one", 0, Tensor::i64(&[], vec![2]).unwrap()),
        node(
            "gather elements",
            "GatherElements",
            &[3, 4],
            vec![indices(&[2, 4], &[0, 2, 1, 0, 2, 2, -1, 1])],
            axis(0),
        ),
        node(
            "gather elements, repeating",
            "GatherElements",
            &[2, 3],
            vec![indices(&[2, 4], &[0, 0, 0, 1, 2, -3, 1, 1])],
            axis(-1),
        ),
        tuples("gather tuples of all", 0, indices(&[2, 3], &[0, 1, 2, 1, -1, 3]))
            .without(Kind::TRACT, "it counts no tuple from the end"),
        tuples("gather tuples of slices", 0, indices(&[3, 1], &[1, 0, 1])),
        tuples("gather tuples, shaped", 0, indices(&[2, 2, 2], &[0, 0, 1, 2, 1, 1, 0, 0])),
        tuples("gather tuples, batched", 1, indices(&[2, 2, 1], &[2, 0, 1, 1])),
    ]
}

fn scatters() -> Vec<Case> {
    let tuples = || indices(&[3, 2], &[0, 1, 2, 3, 1, 0]);
    let adding = || ("reduction", Attribute::from("add"));
    let of = |name: &str,
              op: &str,
              places: Tensor,
              updates: &[usize],
              ours: bool,
              attributes: &[(&str, Attribute)]| {
        let (shape, other): (&[usize], &[usize]) =
            if ours { (&[3, 4, 2], updates) } else { (updates, &[3, 4, 2]) };
        let name = format!("{name}, x the {}", if ours { "data" } else { "updates" });
        Case::at_opset(18, &name, shape, |graph, x| {
            let places = graph.initializer("places", places);
            let other = graph.initializer("other", random(other));
            let inputs = if ours { [x, &places, &other] } else { [&other, &places, x] };
            graph.push(temper::onnx::Node {
                op: op.into(),
                inputs: inputs.map(str::to_owned).to_vec(),
                outputs: vec!["y".into()],
                attributes: attributes
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                ..Default::default()
            });
            "y".into()
        })
    };
    let mut cases = Vec::new();
    for ours in [true, false] {
        cases.push(of("scatter tuples", "ScatterND", tuples(), &[3, 2], ours, &[]));
        cases.push(of(
            "scatter tuples, adding",
            "ScatterND",
            indices(&[2, 1], &[1, 1]),
            &[2, 4, 2],
            ours,
            &[adding()],
        ));
        let elements = || indices(&[1, 2, 2], &[3, 0, 1, 2]);
        let axis = ("axis", Attribute::Int(1));
        cases.push(of(
            "scatter elements",
            "ScatterElements",
            elements(),
            &[1, 2, 2],
            ours,
            std::slice::from_ref(&axis),
        ));
        let repeating = indices(&[1, 2, 2], &[1, 1, 1, 1]);
        cases.push(of(
            "scatter elements, adding",
            "ScatterElements",
            repeating,
            &[1, 2, 2],
            ours,
            &[axis, adding()],
        ));
    }
    cases
}

/// ONNX Runtime and libtorch read around where it lies.
const CUBIC_BORDER: &str = "it moves the coordinate inside before it reads around it";

fn grids() -> Vec<Case> {
    let mut cases = Vec::new();
    for (opset, modes) in [(16, ["bilinear", "nearest", "bicubic"]), (20, ["linear", "nearest", "cubic"])] {
        for mode in modes {
            for padding in ["zeros", "border", "reflection"] {
                for corners in [0, 1] {
                    let name = format!("grid sample, {mode}, {padding}, corners {corners}, opset {opset}");
                    let attributes = [
                        ("mode", mode.into()),
                        ("padding_mode", padding.into()),
                        ("align_corners", Attribute::Int(corners)),
                    ];
                    let grid = between(&[1, 4, 3, 2], -1.4, 1.4);
                    let case = node_at(opset, &name, "GridSample", &[1, 2, 5, 6], vec![grid], attributes);
                    let strange = mode.ends_with("cubic") && padding == "border";
                    cases.push(if strange { case.without(Kind::TRACT, CUBIC_BORDER) } else { case });
                }
            }
        }
    }
    cases.push(node("grid sample, two grids", "GridSample", &[2, 3, 4, 5], vec![random(&[2, 3, 3, 2])], []));
    // Too large for a matrix: by gathers.
    cases.push(node("grid sample, large", "GridSample", &[1, 3, 96, 100], vec![warped(96, 100)], []));
    cases
}

/// A gentle warp of the identity.
fn warped(height: usize, width: usize) -> Tensor {
    let at = |index: usize, size: usize| 2.0 * (index as f32 + 0.5) / size as f32 - 1.0;
    let pair = |row: usize, column: usize| {
        let (y, x) = (at(row, height), at(column, width));
        [x + 0.05 * (5.0 * y).sin(), y + 0.04 * (4.0 * x).cos()]
    };
    let values: Vec<f32> =
        (0..height).flat_map(|row| (0..width).flat_map(move |column| pair(row, column))).collect();
    Tensor::f32(&[1, height, width, 2], values).unwrap()
}
