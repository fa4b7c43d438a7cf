//! Puts an interface into the graph: nodes before and behind the network.

use super::Interface;
use super::form::Layout;
use super::range::{Affine, PixelRange};
use crate::onnx::{Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};

/// The opset from which Clip takes its bounds as inputs.
const CLIP_BY_INPUTS: i64 = 11;

impl Interface {
    /// The model that takes and gives float32 images, N x C x H x W on [0, 1], and has no other
    /// input or output. A model that is one already stays as it is.
    pub fn canonical(&self, model: &Model) -> Model {
        let mut canonical = model.clone();
        let graph = &mut canonical.graph;
        super::constants::feed(graph, &self.constants);
        graph.outputs.retain(|output| output.name == self.form.output);
        if !self.is_canonical() {
            *graph = self.wrapped(std::mem::take(graph));
        }
        canonical
    }

    fn is_canonical(&self) -> bool {
        let form = &self.form;
        (form.layout, form.output_layout) == (Layout::Nchw, Layout::Nchw)
            && (self.input_range, self.output_range) == (PixelRange::Unit, PixelRange::Unit)
            && (form.dtype, form.output_dtype) == (DType::F32, DType::F32)
    }

    /// The graph with the image's way into it and out of it.
    fn wrapped(&self, mut graph: crate::onnx::Graph) -> crate::onnx::Graph {
        let form = &self.form;
        let nodes = std::mem::take(&mut graph.nodes);
        graph.inputs.retain(|input| input.name != form.input);
        graph.outputs.clear();
        graph.values.clear();
        let mut graph = GraphBuilder::from_graph(graph);
        graph.reserve(&form.input);
        nodes.iter().flat_map(|node| &node.outputs).for_each(|name| graph.reserve(name));

        let image = graph.fresh("image");
        graph.input(info(&image, form.channels, form.fixed));
        let Affine { factor, shift } = self.input_range.from_unit();
        let mut value = affine(&mut graph, "image", image, [("Mul", factor), ("Add", shift)]);
        if form.dtype != DType::F32 {
            value = cast(&mut graph, "image/half", &value, form.dtype);
        }
        if form.layout == Layout::Nhwc {
            value = transpose(&mut graph, "image/nhwc", &value, [0, 2, 3, 1]);
        }
        rename(&mut graph, &value, &form.input);
        nodes.into_iter().for_each(|node| graph.push(node));

        let mut value = form.output.clone();
        if form.output_layout == Layout::Nhwc {
            value = transpose(&mut graph, "upscaled/nchw", &value, [0, 3, 1, 2]);
        }
        if form.output_dtype != DType::F32 {
            value = cast(&mut graph, "upscaled/single", &value, DType::F32);
        }
        let Affine { factor, shift } = self.output_range.from_unit();
        let value = affine(&mut graph, "upscaled", value, [("Sub", shift), ("Div", factor)]);
        graph.output(info(&value, form.channels, [None, None]));
        graph.finish()
    }
}

/// The model with its output clipped to [0, 1]: what a viewer or a file is served. The gradient outside is zero.
///
/// `model` is one that [`Interface::canonical`] made.
pub fn served(model: &Model) -> Model {
    let mut served = model.clone();
    let by_inputs = served.opset() >= CLIP_BY_INPUTS;
    let mut graph = std::mem::take(&mut served.graph);
    let Some(output) = graph.outputs.pop() else { return model.clone() };
    let nodes = std::mem::take(&mut graph.nodes);
    let mut graph = GraphBuilder::from_graph(graph);
    graph.reserve(&output.name);
    nodes.iter().flat_map(|node| &node.outputs).for_each(|name| graph.reserve(name));
    nodes.into_iter().for_each(|node| graph.push(node));
    let clipped = if by_inputs {
        let bounds = [0.0, 1.0].map(|bound| graph.constant("served/bound", Tensor::scalar(bound)));
        graph.node("Clip", "served", &[&output.name, &bounds[0], &bounds[1]], [])
    } else {
        let bounds = [("min", Attribute::Float(0.0)), ("max", Attribute::Float(1.0))];
        graph.node("Clip", "served", &[&output.name], bounds)
    };
    graph.output(ValueInfo { name: clipped, ..output });
    served.graph = graph.finish();
    served
}

fn info(name: &str, channels: usize, fixed: [Option<usize>; 2]) -> ValueInfo {
    let side = |side: Option<usize>, name: &str| side.map_or_else(|| Dim::from(name), Dim::Known);
    let [height, width] = fixed;
    let dims = [Dim::Known(1), Dim::Known(channels), side(height, "H"), side(width, "W")];
    ValueInfo::tensor(name, DType::F32, dims)
}

/// Two steps of arithmetic with numbers, without those that would change nothing.
fn affine(graph: &mut GraphBuilder, hint: &str, mut value: String, steps: [(&str, f32); 2]) -> String {
    for (op, operand) in steps {
        let neutral = if matches!(op, "Mul" | "Div") { 1.0 } else { 0.0 };
        if operand != neutral {
            let operand = graph.constant(&format!("{hint}/{op}/operand"), Tensor::scalar(operand));
            value = graph.node(op, &format!("{hint}/{op}"), &[&value, &operand], []);
        }
    }
    value
}

fn cast(graph: &mut GraphBuilder, hint: &str, value: &str, dtype: DType) -> String {
    graph.node("Cast", hint, &[value], [("to", Attribute::Int(i64::from(dtype as i32)))])
}

fn transpose(graph: &mut GraphBuilder, hint: &str, value: &str, perm: [i64; 4]) -> String {
    graph.node("Transpose", hint, &[value], [("perm", Attribute::Ints(perm.to_vec()))])
}

/// Lets `value` go by the name that the network reads.
fn rename(graph: &mut GraphBuilder, value: &str, name: &str) {
    graph.push(crate::onnx::Node {
        op: "Identity".into(),
        name: format!("{name}/fed"),
        inputs: vec![value.to_owned()],
        outputs: vec![name.to_owned()],
        ..Default::default()
    });
}
