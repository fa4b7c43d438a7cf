//! Pools: windows with strides, paddings, dilations and rounded-up sizes in 1 to 3 dimensions, ties,
//! and pools over everything.

use temper::onnx::{Attribute, GraphBuilder};

use crate::case::{Case, at_bend, node};

type Attributes = Vec<(&'static str, Attribute)>;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["AveragePool", "MaxPool"] {
        cases.extend(windows(op));
        cases.extend(auto_pads(op));
    }
    cases.extend(padding_counts());
    cases.extend(maxima());
    cases.extend(global());
    cases.extend(constant_windows());
    cases
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

/// A pool of kernel `kernel` and further attributes.
fn pool(opset: i64, name: &str, op: &str, shape: &[usize], kernel: &[i64], more: Attributes) -> Case {
    Case::at_opset(opset, &format!("{op}, {name}"), shape, |graph, x| pooled(graph, op, x, kernel, more))
}

fn pooled(graph: &mut GraphBuilder, op: &str, x: &str, kernel: &[i64], more: Attributes) -> String {
    let attributes = more.into_iter().chain([("kernel_shape", ints(kernel))]);
    graph.push(temper::onnx::Node {
        op: op.into(),
        inputs: vec![x.into()],
        outputs: vec!["pooled".into()],
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Default::default()
    });
    "pooled".into()
}

fn strides(values: &[i64]) -> (&'static str, Attribute) {
    ("strides", ints(values))
}

fn pads(values: &[i64]) -> (&'static str, Attribute) {
    ("pads", ints(values))
}

fn ceil() -> (&'static str, Attribute) {
    ("ceil_mode", Attribute::Int(1))
}

fn windows(op: &str) -> Vec<Case> {
    let image = [2, 3, 7, 8];
    let dilations = |values: &[i64]| ("dilations", ints(values));
    let of = |name: &str, kernel: &[i64], more: Attributes| pool(17, name, op, &image, kernel, more);
    vec![
        of("2 x 2 at stride 2", &[2, 2], vec![strides(&[2, 2])]),
        of("3 x 2 at stride 1", &[3, 2], vec![]),
        of("3 x 3 at stride 2, padded", &[3, 3], vec![strides(&[2, 2]), pads(&[1, 1, 1, 1])]),
        of("3 x 3 at stride 1, padded", &[3, 3], vec![pads(&[1, 1, 1, 1])]),
        of("padded unevenly", &[3, 3], vec![strides(&[1, 2]), pads(&[0, 2, 1, 0])]),
        of("stride beyond the window", &[2, 2], vec![strides(&[3, 4])]),
        of("of everything", &[7, 8], vec![]),
        of("of everything, further apart than it is large", &[7, 8], vec![strides(&[9, 9])]),
        of("1 x 1", &[1, 1], vec![strides(&[2, 1])]),
        of("rounded up", &[2, 3], vec![strides(&[2, 2]), ceil()]),
        of("rounded up at stride 3", &[2, 2], vec![strides(&[3, 3]), ceil()]),
        of("rounded up, padded", &[3, 3], vec![strides(&[3, 2]), pads(&[1, 1, 1, 1]), ceil()]),
        of("rounded up, padded unevenly", &[3, 3], vec![strides(&[2, 2]), pads(&[0, 2, 1, 0]), ceil()]),
        pool(17, "1-D", op, &[1, 2, 9], &[3], vec![strides(&[2]), pads(&[1, 0])]),
        pool(
            17,
            "3-D",
            op,
            &[1, 2, 4, 5, 4],
            &[2, 3, 2],
            vec![strides(&[2, 1, 2]), pads(&[0, 1, 1, 0, 1, 0])],
        ),
        pool(11, "of opset 11", op, &image, &[2, 2], vec![strides(&[2, 2])]),
        pool(19, "dilated", op, &[1, 2, 9, 8], &[3, 2], vec![dilations(&[2, 3]), pads(&[1, 0, 2, 1])]),
        pool(
            19,
            "dilated at stride 2, rounded up",
            op,
            &[1, 2, 9, 8],
            &[2, 2],
            vec![dilations(&[3, 2]), strides(&[2, 2]), ceil()],
        ),
    ]
}

fn auto_pads(op: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for auto in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        for stride in [1, 2] {
            let more = vec![("auto_pad", Attribute::from(auto)), strides(&[stride, stride])];
            cases.push(pool(17, &format!("{auto} at stride {stride}"), op, &[1, 2, 7, 6], &[3, 2], more));
        }
    }
    cases
}

/// Averages that count the padding.
fn padding_counts() -> Vec<Case> {
    let counted = || ("count_include_pad", Attribute::Int(1));
    let of = |name: &str, more: Attributes| {
        let more = more.into_iter().chain([counted()]).collect();
        pool(19, name, "AveragePool", &[1, 2, 7, 8], &[3, 3], more)
    };
    vec![
        of("counting padding", vec![pads(&[1, 1, 1, 1])]),
        of("counting padding at stride 2", vec![strides(&[2, 2]), pads(&[1, 1, 1, 1])]),
        of("counting uneven padding", vec![strides(&[2, 1]), pads(&[0, 2, 1, 0])]),
        of("counting padding, rounded up", vec![strides(&[3, 2]), pads(&[1, 1, 1, 1]), ceil()]),
        of("counting padding, SAME_LOWER", vec![strides(&[2, 2]), ("auto_pad", "SAME_LOWER".into())]),
    ]
}

fn maxima() -> Vec<Case> {
    let image = [1, 2, 6, 6];
    vec![
        pool(17, "negative at the border", "MaxPool", &image, &[3, 3], vec![pads(&[1, 1, 1, 1])])
            .over(-3.0, -2.0),
        pool(17, "7 x 7 at stride 3", "MaxPool", &[1, 2, 16, 13], &[7, 7], vec![strides(&[3, 3])]),
        pool(8, "of opset 8", "MaxPool", &image, &[2, 2], vec![("storage_order", Attribute::Int(0))]),
        // Every window holds every value twice: one of them is given the gradient, not both.
        Case::new("MaxPool, ties", &[1, 2, 4, 3], |graph, x| {
            let twice = graph.node("Concat", "twice", &[x, x], [("axis", Attribute::Int(3))]);
            pooled(graph, "MaxPool", &twice, &[2, 6], vec![])
        }),
        Case::new("MaxPool of everything, ties", &[1, 2, 4, 3], |graph, x| {
            let twice = graph.node("Concat", "twice", &[x, x], [("axis", Attribute::Int(3))]);
            pooled(graph, "MaxPool", &twice, &[4, 6], vec![])
        }),
    ]
}

fn global() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["GlobalAveragePool", "GlobalMaxPool"] {
        for shape in [&[2, 3, 4, 5][..], &[1, 2, 7], &[1, 2, 3, 2, 4]] {
            cases.push(node(&format!("{op} of {shape:?}"), op, shape, vec![], []));
        }
    }
    cases.push(Case::new("GlobalMaxPool, ties", &[1, 2, 4, 3], |graph, x| {
        let twice = graph.node("Concat", "twice", &[x, x], [("axis", Attribute::Int(2))]);
        graph.node("GlobalMaxPool", "y", &[&twice], [])
    }));
    cases
}

/// Windows of equal entries: no derivative, and the rules choose as libtorch does.
fn constant_windows() -> Vec<Case> {
    let mut cases = vec![at_bend("GlobalMaxPool", 0.5, vec![])];
    for (stride, pad) in [(1, 0), (1, 1), (2, 1)] {
        let list = |value: i64, count: usize| Attribute::Ints(vec![value; count]);
        let attributes = [("kernel_shape", list(3, 2)), ("strides", list(stride, 2)), ("pads", list(pad, 4))];
        let name = format!("MaxPool of one value, stride {stride}, pad {pad}");
        cases.push(node(&name, "MaxPool", &[1, 2, 5, 4], vec![], attributes).on_a_bend(-0.5));
    }
    cases
}
