//! Convolutions and their transposes: groups, strides, dilations, paddings, 1 to 3 dimensions.

use temper::onnx::{Attribute, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, node, random};

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

pub fn cases() -> Vec<Case> {
    let mut cases = plain();
    cases.extend(auto_pads());
    cases.extend(strided());
    cases.extend(transposed());
    cases.extend(computed_weights());
    cases
}

fn plain() -> Vec<Case> {
    let image = [1, 4, 6, 7];
    let weights = || vec![random(&[5, 4, 3, 3]), random(&[5])];
    vec![
        node("conv", "Conv", &image, weights(), []),
        node("conv, padded", "Conv", &image, weights(), [("pads", ints(&[1, 1, 1, 1]))]),
        node("conv, padded unevenly", "Conv", &image, weights(), [("pads", ints(&[0, 2, 1, 0]))]),
        node("conv, padded beyond its reach", "Conv", &image, weights(), [("pads", ints(&[4, 3, 3, 5]))]),
        node(
            "conv, dilated",
            "Conv",
            &[1, 4, 9, 8],
            weights(),
            [("dilations", ints(&[2, 3])), ("pads", ints(&[1, 0, 2, 4]))],
        ),
        node("conv, two groups", "Conv", &image, vec![random(&[6, 2, 3, 3])], [("group", 2_i64.into())]),
        node("conv, depthwise", "Conv", &image, vec![random(&[4, 1, 3, 3])], [("group", 4_i64.into())]),
        node("conv, 1 x 1", "Conv", &image, vec![random(&[5, 4, 1, 1])], []),
        node(
            "conv, even kernel",
            "Conv",
            &image,
            vec![random(&[5, 4, 2, 4])],
            [("kernel_shape", ints(&[2, 4]))],
        ),
        node("conv, batch of 3", "Conv", &[3, 2, 5, 4], vec![random(&[3, 2, 3, 3])], []),
        node(
            "conv, 1-D",
            "Conv",
            &[1, 3, 9],
            vec![random(&[4, 3, 3]), random(&[4])],
            [("pads", ints(&[1, 1]))],
        ),
        node(
            "conv, 3-D",
            "Conv",
            &[1, 2, 4, 5, 3],
            vec![random(&[3, 2, 3, 2, 3])],
            [("pads", ints(&[1, 0, 1, 1, 1, 1]))],
        ),
        Case::new("conv of weights used twice", &image, |graph, x| {
            let weight = graph.initializer("w", random(&[4, 4, 3, 3]));
            let pads = || [("pads", ints(&[1, 1, 1, 1]))];
            let first = graph.node("Conv", "first", &[x, &weight], pads());
            graph.node("Conv", "second", &[&first, &weight], pads())
        }),
    ]
}

fn auto_pads() -> Vec<Case> {
    let mut cases = Vec::new();
    for auto in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        for stride in [1, 2] {
            let attributes = [("auto_pad", Attribute::from(auto)), ("strides", ints(&[stride, stride]))];
            let name = format!("conv, {auto}, stride {stride}");
            cases.push(node(&name, "Conv", &[1, 2, 7, 6], vec![random(&[3, 2, 3, 2])], attributes));
        }
    }
    cases
}

fn strided() -> Vec<Case> {
    let stride = |values: &[i64]| ("strides", ints(values));
    vec![
        node("conv, stride 2", "Conv", &[1, 3, 8, 7], vec![random(&[4, 3, 3, 3])], [stride(&[2, 2])]),
        node(
            "conv, stride 2, padded",
            "Conv",
            &[1, 3, 8, 7],
            vec![random(&[4, 3, 3, 3])],
            [stride(&[2, 2]), ("pads", ints(&[1, 1, 1, 1]))],
        ),
        node(
            "conv, stride 3 x 2, groups",
            "Conv",
            &[2, 4, 9, 8],
            vec![random(&[6, 2, 3, 3])],
            [stride(&[3, 2]), ("group", 2_i64.into())],
        ),
        node(
            "conv, stride beyond the kernel",
            "Conv",
            &[1, 2, 9, 9],
            vec![random(&[3, 2, 2, 2])],
            [stride(&[3, 4])],
        ),
        node(
            "conv, strided and dilated",
            "Conv",
            &[1, 2, 11, 9],
            vec![random(&[3, 2, 3, 3])],
            [stride(&[2, 2]), ("dilations", ints(&[2, 1]))],
        ),
        node("conv, 1-D, stride 2", "Conv", &[1, 3, 10], vec![random(&[4, 3, 3])], [stride(&[2])]),
    ]
}

fn transposed() -> Vec<Case> {
    let weights = || vec![random(&[3, 4, 3, 3]), random(&[4])];
    let stride = || ("strides", ints(&[2, 2]));
    vec![
        node("transposed conv", "ConvTranspose", &[1, 3, 4, 5], weights(), []),
        node("transposed conv, stride 2", "ConvTranspose", &[1, 3, 4, 5], weights(), [stride()]),
        node(
            "transposed conv, cut and extended",
            "ConvTranspose",
            &[1, 3, 4, 5],
            weights(),
            [stride(), ("pads", ints(&[1, 1, 1, 1])), ("output_padding", ints(&[1, 1]))],
        ),
        node(
            "transposed conv, groups",
            "ConvTranspose",
            &[1, 4, 4, 3],
            vec![random(&[4, 3, 2, 2])],
            [stride(), ("group", 2_i64.into())],
        ),
        node(
            "transposed conv, dilated",
            "ConvTranspose",
            &[1, 3, 4, 5],
            weights(),
            [("dilations", ints(&[2, 2]))],
        ),
        node(
            "transposed conv, to a size",
            "ConvTranspose",
            &[1, 3, 4, 5],
            weights(),
            [stride(), ("output_shape", ints(&[8, 10]))],
        )
        .without(Kind::TRACT, "it cuts the odd entry off the other end"),
        node(
            "transposed conv, SAME_UPPER",
            "ConvTranspose",
            &[1, 3, 4, 5],
            weights(),
            [stride(), ("auto_pad", "SAME_UPPER".into())],
        ),
        node(
            "transposed conv, SAME_LOWER",
            "ConvTranspose",
            &[1, 3, 4, 5],
            weights(),
            [stride(), ("auto_pad", "SAME_LOWER".into())],
        ),
    ]
}

/// Weights and biases computed from the image, with the image as data, too.
fn computed_weights() -> Vec<Case> {
    let of = |name: &str, op: &str, data: &[usize], weight: &[usize], attributes: &[(&str, Attribute)]| {
        let count = weight.iter().product::<usize>();
        let (shape, weight) =
            (data.to_vec(), Tensor::ints(&weight.iter().map(|&size| size as i64).collect::<Vec<_>>()));
        assert!(count <= shape.iter().product());
        Case::new(name, data, |graph, x| {
            let all = graph.initializer("all", Tensor::ints(&[-1]));
            let flat = graph.node("Reshape", "flat", &[x, &all], []);
            let [start, end] = [0, count as i64].map(|at| graph.initializer("at", Tensor::ints(&[at])));
            let some = graph.node("Slice", "some", &[&flat, &start, &end], []);
            let weight = graph.initializer("shape", weight);
            let weight = graph.node("Reshape", "weight", &[&some, &weight], []);
            graph.push(temper::onnx::Node {
                op: op.into(),
                inputs: vec![x.into(), weight],
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
    let pads = || ("pads", ints(&[1, 0, 2, 1]));
    let stride = || ("strides", ints(&[2, 3]));
    let groups = |count: i64| ("group", Attribute::Int(count));
    vec![
        of("conv, computed weights", "Conv", &[1, 3, 7, 8], &[2, 3, 3, 3], &[pads()]),
        of("conv, computed weights, stride", "Conv", &[2, 3, 8, 8], &[2, 3, 3, 2], &[pads(), stride()]),
        of("conv, computed weights, groups", "Conv", &[2, 4, 6, 7], &[6, 2, 3, 3], &[groups(2)]),
        of(
            "conv, computed weights, dilated",
            "Conv",
            &[1, 2, 8, 7],
            &[2, 2, 3, 2],
            &[("dilations", ints(&[2, 3]))],
        ),
        of(
            "transposed conv, computed weights",
            "ConvTranspose",
            &[1, 3, 7, 8],
            &[3, 2, 3, 3],
            &[pads(), stride()],
        ),
        of(
            "transposed conv, computed weights, groups",
            "ConvTranspose",
            &[2, 4, 6, 7],
            &[4, 3, 2, 3],
            &[groups(2)],
        ),
        Case::new("conv, computed bias", &[1, 3, 5, 6], |graph, x| {
            let weight = graph.initializer("w", random(&[3, 3, 3, 3]));
            let axes = graph.initializer("axes", Tensor::ints(&[0, 2, 3]));
            let bias = graph.node("ReduceSum", "bias", &[x, &axes], [("keepdims", Attribute::Int(0))]);
            graph.node("Conv", "y", &[x, &weight, &bias], [])
        }),
    ]
}
