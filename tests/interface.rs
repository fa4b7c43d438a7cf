//! Interfaces are found: one trained network, dressed in every interface that files in the wild
//! have, is recognised and gives the same image.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod common;

use std::path::Path;

use common::picture;
use ndarray::{ArrayD, Axis};
use temper::interface::{Affine, Interface, InterfaceError, Layout, Overrides, PixelRange, discover};
use temper::onnx::{self, Attribute, DType, Dim, GraphBuilder, Model, Node, Tensor, ValueInfo};
use temper::rewrite::specialise;
use temper::runtime::{self, Kind};

fn network() -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/edsr-small-lambda0.onnx");
    let mut model = onnx::read(&path).unwrap();
    // By these it would be known as ours.
    model.metadata.clear();
    model
}

/// What a network may be dressed in.
#[derive(Clone, Copy, Debug)]
struct Dress {
    layout: Layout,
    output_layout: Layout,
    input: PixelRange,
    output: PixelRange,
    dtype: DType,
    size: Option<[usize; 2]>,
    /// Pixels cut off the output on every side.
    margin: i64,
}

const PLAIN: Dress = Dress {
    layout: Layout::Nchw,
    output_layout: Layout::Nchw,
    input: PixelRange::Unit,
    output: PixelRange::Unit,
    dtype: DType::F32,
    size: None,
    margin: 0,
};

fn step(graph: &mut GraphBuilder, op: &str, value: &str, number: f32) -> String {
    let number = graph.initializer("number", Tensor::scalar(number));
    graph.node(op, op, &[value, &number], [])
}

fn cast(graph: &mut GraphBuilder, value: &str, to: DType) -> String {
    graph.node("Cast", "cast", &[value], [("to", Attribute::Int(to as i64))])
}

fn turned(graph: &mut GraphBuilder, value: &str, perm: [i64; 4]) -> String {
    graph.node("Transpose", "turned", &[value], [("perm", Attribute::Ints(perm.to_vec()))])
}

/// The network with what its dress needs around it.
fn dressed(dress: Dress) -> Model {
    let mut model = network();
    let mut graph = std::mem::take(&mut model.graph);
    let (nodes, input, output) =
        (std::mem::take(&mut graph.nodes), graph.inputs.remove(0).name, graph.outputs.remove(0).name);
    let mut graph = GraphBuilder::from_graph(graph);
    let names = nodes.iter().flat_map(|node| &node.outputs).chain([&input]);
    names.for_each(|name| graph.reserve(name));

    let side = |axis: usize| dress.size.map_or(Dim::Unknown, |size| Dim::Known(size[axis]));
    let dims = match dress.layout {
        Layout::Nchw => [Dim::Known(1), Dim::Known(3), side(0), side(1)],
        Layout::Nhwc => [Dim::Known(1), side(0), side(1), Dim::Known(3)],
    };
    let mut value = graph.fresh("photo");
    graph.input(ValueInfo::tensor(&value, dress.dtype, dims));
    value = cast(&mut graph, &value, DType::F32);
    if dress.layout == Layout::Nhwc {
        value = turned(&mut graph, &value, [0, 3, 1, 2]);
    }
    let Affine { factor, shift } = dress.input.from_unit();
    value = step(&mut graph, "Sub", &value, shift);
    value = step(&mut graph, "Div", &value, factor);
    graph.push(Node {
        op: "Identity".into(),
        inputs: vec![value],
        outputs: vec![input],
        ..Default::default()
    });
    nodes.into_iter().for_each(|node| graph.push(node));

    let Affine { factor, shift } = dress.output.from_unit();
    value = step(&mut graph, "Mul", &output, factor);
    value = step(&mut graph, "Add", &value, shift);
    if dress.margin > 0 {
        let ends = [dress.margin, -dress.margin, 2, 3];
        let [start, end, row, column] = ends.map(|end| Tensor::ints(&[end]));
        for axis in [row, column] {
            let inputs = [&start, &end, &axis].map(|tensor| graph.initializer("cut", tensor.clone()));
            let [start, end, axis] = inputs.each_ref().map(String::as_str);
            value = graph.node("Slice", "cut", &[&value, start, end, axis], []);
        }
    }
    if dress.output_layout == Layout::Nhwc {
        value = turned(&mut graph, &value, [0, 2, 3, 1]);
    }
    value = cast(&mut graph, &value, dress.dtype);
    graph.output(ValueInfo::tensor(
        value,
        dress.dtype,
        [Dim::Unknown, Dim::Unknown, Dim::Unknown, Dim::Unknown],
    ));
    model.graph = graph.finish();
    assert_eq!(onnx::check(&model), Ok(()));
    model
}

fn find(model: &Model, overrides: &Overrides) -> Result<Interface, InterfaceError> {
    let tract = runtime::open(Kind::TRACT).unwrap();
    discover(model, overrides, [&*tract]).map(|found| found.interface)
}

/// What a canonical model makes of a picture.
fn upscale(model: &Model, [height, width]: [usize; 2]) -> ArrayD<f32> {
    let image = picture(height, width).insert_axis(Axis(0)).into_dyn();
    let fixed = specialise(model, &[image.shape()]).unwrap();
    runtime::open(Kind::TRACT).unwrap().load(&fixed).unwrap().run(&[image.view()]).unwrap().remove(0)
}

#[test]
fn every_dress_is_recognised_and_gives_the_same_image() {
    let size = [36, 44];
    let expected = upscale(&network(), size);
    let mut dresses = vec![PLAIN, Dress { size: Some(size), ..PLAIN }, Dress { dtype: DType::F16, ..PLAIN }];
    for layout in Layout::ALL {
        for input in PixelRange::ALL {
            dresses.push(Dress { layout, output_layout: layout, input, output: input, ..PLAIN });
        }
    }
    dresses.push(Dress { input: PixelRange::Signed, ..PLAIN });
    dresses.push(Dress { output: PixelRange::Bytes, ..PLAIN });
    dresses.push(Dress { output_layout: Layout::Nhwc, ..PLAIN });
    for dress in dresses {
        let model = dressed(dress);
        let found = find(&model, &Overrides::default()).unwrap_or_else(|error| panic!("{dress:?}: {error}"));
        let seen = (found.form.layout, found.form.output_layout, found.input_range, found.output_range);
        assert_eq!(seen, (dress.layout, dress.output_layout, dress.input, dress.output), "{dress:?}");
        assert_eq!((found.geometry.scale, found.geometry.margin, found.geometry.fixed), (4, 0, dress.size));
        let given = upscale(&found.canonical(&model), size);
        let worst = given.iter().zip(&expected).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        let tolerance = if dress.dtype == DType::F16 { 2e-3 } else { 2e-6 };
        assert!(worst <= tolerance, "{dress:?}: {worst}");
    }
}

#[test]
fn what_a_network_cuts_off_is_seen() {
    for size in [None, Some([40, 52])] {
        let found = find(&dressed(Dress { margin: 14, size, ..PLAIN }), &Overrides::default()).unwrap();
        assert_eq!((found.geometry.scale, found.geometry.margin), (4, 14), "{size:?}");
        assert_eq!(found.geometry.output([40, 52]), [132, 180]);
    }
}

#[test]
fn overrides_stand_above_what_would_be_found() {
    let signed = Overrides { range: Some(PixelRange::Signed), ..Default::default() };
    let found = find(&dressed(PLAIN), &signed).unwrap();
    assert_eq!((found.input_range, found.output_range), (PixelRange::Signed, PixelRange::Signed));
    let bytes = Overrides { output_range: Some(PixelRange::Bytes), ..signed };
    assert_eq!(find(&dressed(PLAIN), &bytes).unwrap().output_range, PixelRange::Bytes);
    let scale = Overrides { scale: Some(2), ..Default::default() };
    assert!(find(&network(), &scale).unwrap_err().to_string().contains("has scale 4, not 2"));
}

#[test]
fn a_model_that_is_no_upscaler_is_refused() {
    let inverted = {
        let mut model = dressed(PLAIN);
        let output = model.graph.outputs[0].name.clone();
        let one = model.graph.initializers.insert_full("one".into(), Tensor::scalar(1.0)).0;
        assert!(one > 0);
        model.graph.nodes.push(Node {
            op: "Sub".into(),
            inputs: vec!["one".into(), output],
            outputs: vec!["inverted".into()],
            ..Default::default()
        });
        model.graph.outputs[0].name = "inverted".into();
        model
    };
    let refused = find(&inverted, &Overrides::default()).unwrap_err().to_string();
    assert!(refused.contains("--range"), "{refused}");
}

#[test]
fn foreign_operators_are_named_with_their_domain() {
    let mut model = network();
    model.graph.nodes[3].domain = "com.example".into();
    let refused = find(&model, &Overrides::default()).unwrap_err().to_string();
    assert!(refused.contains("com.example") && refused.contains(&model.graph.nodes[3].label()), "{refused}");
}
