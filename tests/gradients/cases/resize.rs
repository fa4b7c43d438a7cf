//! Resize: every mode and coordinate, by scales and by sizes, larger and smaller.

use temper::onnx::{Attribute, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, node_at};

type Named<'a> = (&'a str, Attribute);

fn scales(values: &[f32]) -> Vec<Tensor> {
    vec![Tensor::f32(&[0], vec![]).unwrap(), Tensor::f32(&[values.len()], values.to_vec()).unwrap()]
}

fn by_scales(opset: i64, shape: &[usize], values: &[f32], attributes: &[Named<'_>]) -> Case {
    case(opset, shape, scales(values), &format!("by {values:?}"), attributes)
}

fn to_sizes(opset: i64, shape: &[usize], values: &[i64], attributes: &[Named<'_>]) -> Case {
    let mut inputs = scales(&[]);
    inputs.push(Tensor::ints(values));
    case(opset, shape, inputs, &format!("to {values:?}"), attributes)
}

fn case(opset: i64, shape: &[usize], inputs: Vec<Tensor>, what: &str, attributes: &[Named<'_>]) -> Case {
    let words: Vec<String> = attributes
        .iter()
        .map(|(name, value)| match value {
            Attribute::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("{name} {other:?}"),
        })
        .collect();
    let name = format!("resize {shape:?} {what}, opset {opset}: {}", words.join(", "));
    let case = Case::at_opset(opset, &name, shape, |graph, x| {
        let mut names = vec![x.to_owned()];
        for tensor in inputs {
            // An empty list of scales beside sizes is left out, as newer opsets want it.
            let left_out = tensor.is_empty();
            names.push(if left_out { String::new() } else { graph.initializer("c", tensor) });
        }
        graph.push(temper::onnx::Node {
            op: "Resize".into(),
            inputs: names,
            outputs: vec!["y".into()],
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ..Default::default()
        });
        "y".into()
    });
    match strange_on_tract(&words, what) {
        Some(reason) => case.without(Kind::TRACT, reason),
        None => case,
    }
}

/// Where tract's forward Resize is not ONNX Runtime's.
fn strange_on_tract(words: &[String], what: &str) -> Option<&'static str> {
    let has = |word: &str| words.iter().any(|other| other == word);
    if has("align_corners") && ["0.5]", "2.5, 1.0]", "0.4]"].iter().any(|end| what.ends_with(end)) {
        return Some("its corners are those of a size that is not rounded down");
    }
    let single = has("pytorch_half_pixel") && what.ends_with("1, 3]");
    (single && has("cubic")).then_some("it reads a single entry elsewhere")
}

const COORDINATES: [&str; 4] = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"];

pub fn cases() -> Vec<Case> {
    let mut cases = nearest();
    cases.extend(smooth());
    cases.extend(widened());
    cases.extend(others());
    cases.extend(old());
    cases
}

fn nearest() -> Vec<Case> {
    let mut cases = Vec::new();
    for rounding in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] {
        for coordinates in COORDINATES {
            for factors in [[2.0, 3.0], [1.5, 0.6], [1.0, 0.5]] {
                let attributes = [
                    ("mode", "nearest".into()),
                    ("nearest_mode", rounding.into()),
                    ("coordinate_transformation_mode", coordinates.into()),
                ];
                let scales = [1.0, 1.0, factors[0], factors[1]];
                cases.push(by_scales(13, &[1, 2, 4, 5], &scales, &attributes));
            }
        }
    }
    cases
}

fn smooth() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in ["linear", "cubic"] {
        for coordinates in COORDINATES {
            let attributes = [("mode", mode.into()), ("coordinate_transformation_mode", coordinates.into())];
            for factors in [[2.0, 2.0], [3.0, 4.0], [2.5, 1.0], [0.5, 0.4]] {
                let scales = [1.0, 1.0, factors[0], factors[1]];
                cases.push(by_scales(13, &[1, 2, 5, 6], &scales, &attributes));
            }
            cases.push(to_sizes(13, &[1, 1, 4, 6], &[1, 1, 9, 12], &attributes));
            cases.push(to_sizes(13, &[1, 1, 4, 6], &[1, 1, 1, 3], &attributes));
        }
    }
    for attributes in [[("cubic_coeff_a", (-0.5).into())], [("exclude_outside", Attribute::Int(1))]] {
        for factors in [[2.0, 3.0], [1.7, 0.6]] {
            let mut attributes = attributes.to_vec();
            attributes.push(("mode", "cubic".into()));
            cases.push(by_scales(13, &[1, 2, 5, 6], &[1.0, 1.0, factors[0], factors[1]], &attributes));
        }
    }
    cases
}

/// Antialiasing changes nothing but shrinking.
fn widened() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in ["linear", "cubic"] {
        for exclude in [0, 1] {
            let attributes = [
                ("mode", mode.into()),
                ("antialias", Attribute::Int(1)),
                ("exclude_outside", Attribute::Int(exclude)),
            ];
            for factors in [[0.5, 0.25], [0.6, 0.45], [2.0, 0.7]] {
                cases.push(by_scales(18, &[1, 2, 12, 11], &[1.0, 1.0, factors[0], factors[1]], &attributes));
            }
        }
    }
    cases
}

fn others() -> Vec<Case> {
    let linear = || ("mode", Attribute::from("linear"));
    let axes = |values: &[i64]| ("axes", Attribute::Ints(values.to_vec()));
    let policy = |name: &str| ("keep_aspect_ratio_policy", Attribute::from(name));
    let symmetric = || ("coordinate_transformation_mode", Attribute::from("half_pixel_symmetric"));
    vec![
        by_scales(18, &[1, 2, 4, 5], &[2.0, 3.0], &[linear(), axes(&[2, 3])]),
        by_scales(18, &[1, 2, 4, 5], &[3.0, 2.0], &[linear(), axes(&[-1, -2])]),
        to_sizes(18, &[1, 2, 4, 5], &[8, 8], &[linear(), axes(&[2, 3]), policy("not_larger")]),
        to_sizes(18, &[1, 2, 4, 5], &[8, 8], &[linear(), axes(&[2, 3]), policy("not_smaller")]),
        by_scales(19, &[1, 2, 4, 5], &[1.0, 1.0, 2.3, 1.9], &[linear(), symmetric()]),
        by_scales(19, &[1, 2, 4, 5], &[1.0, 1.0, 2.0, 2.0], &[linear(), symmetric()]),
        by_scales(17, &[3, 4, 5], &[1.0, 1.0, 2.0], &[linear()]),
        by_scales(17, &[1, 2, 3, 4, 3], &[1.0, 1.0, 2.0, 2.0, 2.0], &[linear()]),
        by_scales(17, &[1, 2, 3, 4, 3], &[1.0, 1.0, 2.0, 3.0, 1.0], &[]),
        by_scales(17, &[4, 5], &[2.0, 2.0], &[linear()]),
        by_scales(17, &[1, 1, 4, 5], &[1.0, 1.0, 1.0, 1.0], &[linear()]),
        by_scales(17, &[1, 16, 4, 5], &[1.0, 1.0, 4.0, 4.0], &[]),
        // Too large for a product with a matrix.
        by_scales(17, &[1, 64, 90, 160], &[1.0, 1.0, 0.5, 1.5], &[]),
    ]
}

/// Upsample, and Resize of opset 10.
fn old() -> Vec<Case> {
    let factors = || Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 3.0]).unwrap();
    let mut cases = Vec::new();
    for mode in ["nearest", "linear"] {
        for (opset, op) in [(9, "Upsample"), (10, "Resize")] {
            let name = format!("{op} of opset {opset}, {mode}");
            cases.push(node_at(opset, &name, op, &[1, 2, 3, 4], vec![factors()], [("mode", mode.into())]));
        }
        let attributes = [("mode", mode.into()), ("scales", Attribute::Floats(vec![1.0, 1.0, 2.0, 2.0]))];
        cases.push(node_at(
            7,
            &format!("Upsample of opset 7, {mode}"),
            "Upsample",
            &[1, 2, 3, 4],
            vec![],
            attributes,
        ));
    }
    cases
}
