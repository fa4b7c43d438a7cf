//! Elements moved, joined, cut, stretched and copied.

use temper::onnx::{Attribute, Tensor};

use crate::case::{Case, node, random};

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

pub fn cases() -> Vec<Case> {
    let mut cases = moved();
    cases.extend(cut_and_joined());
    cases.extend(shuffles());
    cases.extend(copies());
    cases.extend(stepped());
    cases
}

fn moved() -> Vec<Case> {
    vec![
        node("reshape", "Reshape", &[2, 3, 4], vec![Tensor::ints(&[0, -1])], []),
        node("reshape to a scalar's rank", "Reshape", &[1, 1], vec![Tensor::ints(&[])], []),
        node("transpose", "Transpose", &[2, 3, 4], vec![], [("perm", ints(&[2, 0, 1]))]),
        node("transpose, reversed", "Transpose", &[2, 3, 4], vec![], []),
        node("squeeze", "Squeeze", &[1, 3, 1], vec![Tensor::ints(&[-1])], []),
        node("squeeze all", "Squeeze", &[1, 3, 1], vec![], []),
        node("unsqueeze", "Unsqueeze", &[3, 2], vec![Tensor::ints(&[0, -1])], []),
        node("flatten", "Flatten", &[2, 3, 4], vec![], [("axis", 2_i64.into())]),
        node("flatten at the end", "Flatten", &[2, 3], vec![], [("axis", 2_i64.into())]),
        node("expand", "Expand", &[3, 1], vec![Tensor::ints(&[2, 1, 4])], []),
    ]
}

fn cut_and_joined() -> Vec<Case> {
    let slice = |name: &str, lists: [&[i64]; 3]| {
        node(name, "Slice", &[3, 6, 5], lists.iter().map(|list| Tensor::ints(list)).collect(), [])
    };
    vec![
        slice("slice", [&[1, 2], &[3, 5], &[0, 2]]),
        slice("slice from the end", [&[-4], &[-1], &[-2]]),
        slice("slice of everything", [&[0], &[i64::MAX], &[1]]),
        Case::new("concat", &[2, 3, 2], |graph, x| {
            let other = graph.initializer("other", random(&[2, 2, 2]));
            let minus = graph.node("Neg", "minus", &[x], []);
            graph.node("Concat", "y", &[x, &other, &minus], [("axis", (-2_i64).into())])
        })
        .about(&["Concat"]),
        split("split, all parts", true),
        split("split, one part", false),
    ]
}

/// x cut into parts of 1, 3 and 2 along its last axis.
fn split(name: &str, all: bool) -> Case {
    Case::new(name, &[2, 6], |graph, x| {
        let sizes = graph.initializer("sizes", Tensor::ints(&[1, 3, 2]));
        let names = ["a", "b", "c"].map(str::to_owned);
        graph.push(temper::onnx::Node {
            op: "Split".into(),
            inputs: vec![x.into(), sizes],
            outputs: names.to_vec(),
            attributes: [("axis".to_owned(), 1_i64.into())].into_iter().collect(),
            ..Default::default()
        });
        let twice = graph.node("Mul", "twice", &["b", "b"], []);
        if !all {
            return twice;
        }
        graph.node("Concat", "y", &["c", &twice, "a"], [("axis", 1_i64.into())])
    })
    .about(&["Split"])
}

fn shuffles() -> Vec<Case> {
    let block = |size: i64| ("blocksize", Attribute::Int(size));
    let mode = |name: &str| ("mode", Attribute::from(name));
    vec![
        node("depth to space, DCR", "DepthToSpace", &[1, 8, 3, 2], vec![], [block(2), mode("DCR")]),
        node("depth to space, CRD", "DepthToSpace", &[2, 8, 3, 2], vec![], [block(2), mode("CRD")]),
        node("depth to space by 3", "DepthToSpace", &[1, 18, 2, 2], vec![], [block(3), mode("CRD")]),
        node("space to depth", "SpaceToDepth", &[1, 2, 6, 4], vec![], [block(2)]),
        // The adjoint of this pair is fused into one Conv.
        sub_pixels("sub-pixels by 2", 2, "CRD"),
        sub_pixels("sub-pixels by 3", 3, "CRD"),
        sub_pixels("sub-pixels in DCR order", 2, "DCR"),
    ]
}

fn sub_pixels(name: &str, factor: usize, mode: &str) -> Case {
    Case::new(name, &[1, 3, 4, 5], |graph, x| {
        let weight = graph.initializer("w", random(&[2 * factor * factor, 3, 3, 3]));
        let deep = graph.node("Conv", "deep", &[x, &weight], [("pads", ints(&[1, 0, 1, 2]))]);
        let attributes = [("blocksize", Attribute::Int(factor as i64)), ("mode", mode.into())];
        graph.node("DepthToSpace", "y", &[&deep], attributes)
    })
}

fn copies() -> Vec<Case> {
    let tile = |counts: &[i64]| {
        node(&format!("tile by {counts:?}"), "Tile", &[2, 3, 4], vec![Tensor::ints(counts)], [])
    };
    let triangle = |upper: i64, diagonal: i64| {
        let name = format!("triangle, upper {upper}, diagonal {diagonal}");
        let diagonal = Tensor::i64(&[], vec![diagonal]).unwrap();
        node(&name, "Trilu", &[2, 4, 5], vec![diagonal], [("upper", Attribute::Int(upper))])
    };
    vec![
        tile(&[1, 1, 1]),
        tile(&[2, 1, 3]),
        tile(&[1, 4, 1]),
        node("triangle", "Trilu", &[4, 3], vec![], []),
        triangle(1, 1),
        triangle(0, -1),
    ]
}

fn stepped() -> Vec<Case> {
    let slice = |name: &str, lists: [&[i64]; 4]| {
        node(name, "Slice", &[3, 7, 6], lists.iter().map(|list| Tensor::ints(list)).collect(), [])
    };
    vec![
        slice("slice, every second", [&[0], &[i64::MAX], &[1], &[2]]),
        slice("slice, every third of a part", [&[1, 0], &[3, 5], &[0, 2], &[1, 3]]),
        slice("slice, backwards", [&[-1], &[i64::MIN], &[-1], &[-1]]),
        slice("slice, backwards by two", [&[5], &[0], &[1], &[-2]]),
    ]
}
