//! Quantised graphs, in each of the forms that quantisers write.

use temper::onnx::{Attribute, DType, GraphBuilder, Node, Tensor};
use temper::runtime::Kind;

use crate::case::{Case, between, random};

/// Per tensor or per channel.
#[derive(Clone, Copy, PartialEq)]
enum Per {
    Tensor,
    Channel,
}

pub fn cases() -> Vec<Case> {
    let mut cases = pairs();
    cases.extend(static_graphs());
    cases.extend(dynamic_graphs());
    cases.extend(linear_graphs());
    let mut cases: Vec<Case> = cases.into_iter().map(Case::straight_through).collect();
    cases.extend([
        by_scale("dequantise by the scale", false),
        by_scale("dequantise by the scale, centred", true),
    ]);
    cases
}

/// Constant integers whose scale depends on the image: nothing is rounded.
fn by_scale(name: &str, centred: bool) -> Case {
    Case::new(name, &[], move |graph, x| {
        let q = graph.initializer("q", u8s(&[2, 3]));
        let zero = graph.initializer("zero", u8_of(117));
        let inputs: &[&str] = if centred { &[&q, x, &zero] } else { &[&q, x] };
        graph.node("DequantizeLinear", "y", inputs, [])
    })
    .without(Kind::TRACT, "its DequantizeLinear wants a constant scale")
}

/// Whole numbers of 8 bits, seeded.
fn integers(shape: &[usize], low: f32, high: f32) -> Vec<i16> {
    between(shape, low, high).as_f32().unwrap().iter().map(|value| *value as i16).collect()
}

fn i8s(shape: &[usize]) -> Tensor {
    Tensor::i8(shape, integers(shape, -120.0, 120.0).iter().map(|&value| value as i8).collect::<Vec<_>>())
        .unwrap()
}

fn u8s(shape: &[usize]) -> Tensor {
    Tensor::u8(shape, integers(shape, 5.0, 250.0).iter().map(|&value| value as u8).collect::<Vec<_>>())
        .unwrap()
}

fn u8_of(value: u8) -> Tensor {
    Tensor::u8(&[], vec![value]).unwrap()
}

fn i8_of(value: i8) -> Tensor {
    Tensor::i8(&[], vec![value]).unwrap()
}

/// Quantised and dequantised again.
fn pair(graph: &mut GraphBuilder, x: &str, scale: &str, zero: &str, axis: Option<i64>) -> String {
    let attributes = || [("axis", Attribute::Int(axis.unwrap_or(1)))];
    let q = graph.node("QuantizeLinear", "q", &[x, scale, zero], attributes());
    graph.node("DequantizeLinear", "dq", &[&q, scale, zero], attributes())
}

fn pairs() -> Vec<Case> {
    let of = |name: &str, scale: Tensor, zero: Tensor, axis: Option<i64>| {
        Case::new(name, &[1, 3, 4, 5], |graph, x| {
            let (scale, zero) = (graph.initializer("s", scale), graph.initializer("z", zero));
            pair(graph, x, &scale, &zero, axis)
        })
        .about(&["QuantizeLinear", "DequantizeLinear"])
    };
    let scales = || Tensor::f32(&[3], vec![0.003, 0.01, 0.02]).unwrap();
    vec![
        of("quantised to uint8", Tensor::scalar(0.01), u8_of(120), None),
        of("quantised to uint8, saturating", Tensor::scalar(0.004), u8_of(40), None),
        of("quantised to int8, saturating", Tensor::scalar(0.0041), i8_of(-20), None),
        of("quantised per channel", scales(), Tensor::i8(&[3], vec![0, 4, -7]).unwrap(), None),
        of(
            "quantised per channel, from the end",
            scales(),
            Tensor::u8(&[3], vec![100, 90, 128]).unwrap(),
            Some(-3),
        ),
        Case::new("quantised without a zero point", &[2, 6], |graph, x| {
            let scale = graph.initializer("s", Tensor::scalar(0.003));
            let q = graph.node("QuantizeLinear", "q", &[x, &scale], []);
            graph.node("DequantizeLinear", "dq", &[&q, &scale], [])
        }),
        Case::new("quantised, then moved", &[2, 6], |graph, x| {
            let (scale, zero) =
                (graph.initializer("s", Tensor::scalar(0.008)), graph.initializer("z", u8_of(128)));
            let q = graph.node("QuantizeLinear", "q", &[x, &scale, &zero], []);
            let shape = graph.initializer("shape", Tensor::ints(&[3, 4]));
            let moved = graph.node("Reshape", "moved", &[&q, &shape], []);
            let turned = graph.node("Transpose", "turned", &[&moved], []);
            graph.node("DequantizeLinear", "dq", &[&turned, &scale, &zero], [])
        }),
    ]
}

/// Static quantisation as QuantizeLinear and DequantizeLinear around float operators.
fn static_graphs() -> Vec<Case> {
    let of = |name: &str, per: Per, stride: i64| {
        Case::new(name, &[1, 3, 6, 7], |graph, x| {
            let (scale, zero) =
                (graph.initializer("s", Tensor::scalar(0.008)), graph.initializer("z", u8_of(128)));
            let x = pair(graph, x, &scale, &zero, None);
            let weight = graph.initializer("w", i8s(&[4, 3, 3, 3]));
            let (scales, zeros) = match per {
                Per::Tensor => (Tensor::scalar(0.004), i8_of(3)),
                Per::Channel => (between(&[4], 0.002, 0.005), Tensor::i8(&[4], vec![0; 4]).unwrap()),
            };
            let (scales, zeros) = (graph.initializer("ws", scales), graph.initializer("wz", zeros));
            let axis = [("axis", Attribute::Int(0))];
            let weight = graph.node("DequantizeLinear", "weight", &[&weight, &scales, &zeros], axis);
            let pads = [("pads", Attribute::Ints(vec![1; 4])), ("strides", Attribute::Ints(vec![stride; 2]))];
            let y = graph.node("Conv", "conv", &[&x, &weight], pads);
            let (scale, zero) =
                (graph.initializer("ys", Tensor::scalar(0.011)), graph.initializer("yz", u8_of(100)));
            pair(graph, &y, &scale, &zero, None)
        })
    };
    vec![
        of("static conv, per tensor", Per::Tensor, 1),
        of("static conv, per channel", Per::Channel, 1),
        of("static conv, strided", Per::Channel, 2),
    ]
}

/// Dynamic quantisation: integers and their scale from the image.
fn dynamic_graphs() -> Vec<Case> {
    let of = |name: &str,
              op: &str,
              shape: &[usize],
              weight: Tensor,
              zero: Tensor,
              attributes: &[(&str, Attribute)]| {
        Case::new(name, shape, |graph, x| {
            let names = ["q", "scale", "zero"].map(str::to_owned);
            graph.push(Node {
                op: "DynamicQuantizeLinear".into(),
                inputs: vec![x.into()],
                outputs: names.to_vec(),
                ..Default::default()
            });
            let [weight, zero] = [weight, zero].map(|tensor| graph.initializer("w", tensor));
            let inputs = ["q".to_owned(), weight, "zero".into(), zero];
            graph.push(Node {
                op: op.into(),
                inputs: inputs.to_vec(),
                outputs: vec!["sum".into()],
                attributes: attributes
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                ..Default::default()
            });
            let own = graph.initializer("ws", Tensor::scalar(0.004));
            let scale = graph.node("Mul", "scales", &["scale", &own], []);
            let float = [("to", Attribute::Int(DType::F32 as i64))];
            let sum = graph.node("Cast", "float", &["sum"], float);
            graph.node("Mul", "y", &[&sum, &scale], [])
        })
        .about(&["DynamicQuantizeLinear", op])
    };
    let pads = || ("pads", Attribute::Ints(vec![1, 0, 1, 2]));
    let strides = ("strides", Attribute::Ints(vec![2, 2]));
    let groups = ("group", Attribute::Int(2));
    vec![
        of("dynamic conv", "ConvInteger", &[1, 3, 6, 7], u8s(&[4, 3, 3, 3]), u8_of(127), &[pads()]),
        of(
            "dynamic conv, strided",
            "ConvInteger",
            &[1, 3, 6, 7],
            u8s(&[4, 3, 3, 3]),
            u8_of(127),
            &[pads(), strides],
        ),
        of("dynamic conv, groups", "ConvInteger", &[1, 4, 6, 7], u8s(&[4, 2, 3, 3]), u8_of(127), &[groups]),
        of("dynamic matmul", "MatMulInteger", &[2, 3, 4], i8s(&[4, 5]), i8_of(2), &[]),
    ]
}

/// Operators on integers throughout.
fn linear_graphs() -> Vec<Case> {
    let quantised = |graph: &mut GraphBuilder, x: &str| {
        let (scale, zero) =
            (graph.initializer("s", Tensor::scalar(0.008)), graph.initializer("z", u8_of(128)));
        let q = graph.node("QuantizeLinear", "q", &[x, &scale, &zero], []);
        [q, scale, zero]
    };
    let finished = move |graph: &mut GraphBuilder,
                         op: &str,
                         mut inputs: Vec<String>,
                         bias: Option<Tensor>,
                         pads: bool| {
        let result = [graph.initializer("ys", Tensor::scalar(0.02)), graph.initializer("yz", u8_of(110))];
        inputs.extend(result.clone());
        inputs.extend(bias.map(|bias| graph.initializer("b", bias)));
        let pads = pads.then(|| ("pads".to_owned(), Attribute::Ints(vec![1; 4])));
        graph.push(Node {
            op: op.into(),
            inputs,
            outputs: vec!["integers".into()],
            attributes: pads.into_iter().collect(),
            ..Default::default()
        });
        graph.node("DequantizeLinear", "y", &["integers", &result[0], &result[1]], [])
    };
    let conv = move |name: &str, per: Per| {
        Case::new(name, &[1, 3, 6, 7], |graph, x| {
            let mut inputs = quantised(graph, x).to_vec();
            let (scales, zeros) = match per {
                Per::Tensor => (Tensor::scalar(0.004), i8_of(3)),
                Per::Channel => (between(&[4], 0.002, 0.005), Tensor::i8(&[4], vec![0; 4]).unwrap()),
            };
            inputs.extend([i8s(&[4, 3, 3, 3]), scales, zeros].map(|tensor| graph.initializer("w", tensor)));
            let bias = Tensor::i32(&[4], vec![900, -400, 30, 0]).unwrap();
            finished(graph, "QLinearConv", inputs, Some(bias), true)
        })
        .about(&["QLinearConv"])
    };
    vec![
        conv("integer conv, per tensor", Per::Tensor),
        conv("integer conv, per channel", Per::Channel),
        Case::new("integer matmul", &[2, 3, 4], move |graph, x| {
            let mut inputs = quantised(graph, x).to_vec();
            let weights = [u8s(&[4, 5]), Tensor::scalar(0.01), u8_of(120)];
            inputs.extend(weights.map(|tensor| graph.initializer("w", tensor)));
            finished(graph, "QLinearMatMul", inputs, None, false)
        })
        .about(&["QLinearMatMul"]),
        Case::new("integer matmul, x second", &[4, 5], move |graph, x| {
            let weights = [u8s(&[3, 4]), Tensor::scalar(0.01), u8_of(120)];
            let mut inputs = weights.map(|tensor| graph.initializer("w", tensor)).to_vec();
            inputs.extend(quantised(graph, x));
            finished(graph, "QLinearMatMul", inputs, None, false)
        })
        .about(&["QLinearMatMul"]),
        Case::new("float beside integers", &[1, 2, 4, 4], |graph, x| {
            let (scale, zero) =
                (graph.initializer("s", Tensor::scalar(0.008)), graph.initializer("z", u8_of(128)));
            let other = graph.initializer("other", random(&[1, 2, 4, 4]));
            let q = pair(graph, x, &scale, &zero, None);
            let product = graph.node("Mul", "product", &[&q, &other], []);
            graph.node("Add", "y", &[&product, x], [])
        }),
    ]
}
