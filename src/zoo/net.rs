//! A network under construction: a graph, and the weights drawn for it layer by layer.
//!
//! What more than one network needs stands here once. Every layer's parameters are named after the
//! layer: `head` has `head.weight` and `head.bias`.

use super::init::{Weights, constant};
use super::{IR_VERSION, OPSET, SCALE, TAP, TAP_FIRST};
use crate::onnx::{Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};

/// PyTorch's initial slope of a parametric rectifier.
const PRELU_SLOPE: f32 = 0.25;

/// The graph so far and the source of its weights.
pub struct Net {
    pub graph: GraphBuilder,
    weights: Weights,
}

/// A square convolution with a bias, padded by half its kernel.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    kernel: usize,
    inputs: usize,
    outputs: usize,
    stride: usize,
    groups: usize,
}

impl Conv {
    pub const fn new(kernel: usize, inputs: usize, outputs: usize) -> Self {
        Self { kernel, inputs, outputs, stride: 1, groups: 1 }
    }

    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }
}

/// The names of a layer's weight and bias.
#[derive(Clone, Debug)]
pub struct Parameters {
    weight: String,
    bias: String,
}

impl Net {
    pub fn new(name: &str, seed: u64) -> Self {
        Self { graph: GraphBuilder::new(name), weights: Weights::new(seed) }
    }

    /// The input: RGB in [0, 1], of any number and size.
    pub fn image(&mut self) -> String {
        let dims = [Dim::from("N"), Dim::Known(3), Dim::from("H"), Dim::from("W")];
        self.graph.input(ValueInfo::tensor("image", DType::F32, dims))
    }

    /// A convolution with weights of its own.
    pub fn conv(&mut self, name: &str, input: &str, conv: Conv) -> String {
        let parameters = self.parameters(name, conv);
        self.apply(name, input, conv, &parameters)
    }

    /// Weights for a convolution, which several nodes may share.
    pub fn parameters(&mut self, name: &str, conv: Conv) -> Parameters {
        let Conv { kernel, inputs, outputs, groups, .. } = conv;
        self.layer(name, &[outputs, inputs / groups, kernel, kernel])
    }

    fn layer(&mut self, name: &str, shape: &[usize]) -> Parameters {
        let (weight, bias) = self.weights.layer(shape);
        let weight = self.graph.initializer(&format!("{name}.weight"), weight);
        Parameters { weight, bias: self.graph.initializer(&format!("{name}.bias"), bias) }
    }

    /// A convolution by these weights.
    pub fn apply(&mut self, name: &str, input: &str, conv: Conv, by: &Parameters) -> String {
        let Conv { kernel, stride, groups, .. } = conv;
        let [kernel, pad, stride, groups] = [kernel, kernel / 2, stride, groups].map(|n| n as i64);
        let attributes =
            [("kernel_shape", Attribute::Ints(vec![kernel; 2])), ("pads", Attribute::Ints(vec![pad; 4]))];
        let mut attributes = attributes.to_vec();
        if stride != 1 {
            attributes.push(("strides", Attribute::Ints(vec![stride; 2])));
        }
        if groups != 1 {
            attributes.push(("group", Attribute::Int(groups)));
        }
        self.graph.node_with("Conv", name, &[input, &by.weight, &by.bias], attributes)
    }

    /// A linear layer on (N, inputs).
    pub fn linear(&mut self, name: &str, input: &str, inputs: usize, outputs: usize) -> String {
        let Parameters { weight, bias } = self.layer(name, &[outputs, inputs]);
        self.graph.node("Gemm", name, &[input, &weight, &bias], [("transB", Attribute::Int(1))])
    }

    /// BatchNormalization with PyTorch's settings: epsilon 1e-5, and running statistics that keep
    /// 0.9 of what they were. Scale and bias start at 1 and 0, the running mean and variance too.
    pub fn batch_norm(&mut self, name: &str, input: &str, channels: usize) -> String {
        let start = [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)];
        let [weight, bias, mean, variance] = start.map(|(part, value)| {
            self.graph.initializer(&format!("{name}.{part}"), constant(&[channels], value))
        });
        let attributes = [("epsilon", Attribute::Float(1e-5)), ("momentum", Attribute::Float(0.9))];
        let inputs = [input, &weight, &bias, &mean, &variance];
        self.graph.node("BatchNormalization", name, &inputs, attributes)
    }

    pub fn relu(&mut self, name: &str, input: &str) -> String {
        self.graph.node("Relu", name, &[input], [])
    }

    /// A parametric rectifier with one slope for all channels, as PyTorch's is by default.
    pub fn prelu(&mut self, name: &str, input: &str) -> String {
        let slope = self.graph.initializer(&format!("{name}.weight"), constant(&[1], PRELU_SLOPE));
        self.graph.node("PRelu", name, &[input, &slope], [])
    }

    pub fn add(&mut self, name: &str, left: &str, right: &str) -> String {
        self.graph.node("Add", name, &[left, right], [])
    }

    /// Joins feature maps along their channels.
    pub fn concat(&mut self, name: &str, inputs: &[&str]) -> String {
        self.graph.node("Concat", name, inputs, [("axis", Attribute::Int(1))])
    }

    /// Channels to pixels: `factor` times as high and wide, in the order of PyTorch's PixelShuffle.
    pub fn shuffle(&mut self, name: &str, input: &str, factor: usize) -> String {
        let attributes = [("blocksize", Attribute::Int(factor as i64)), ("mode", Attribute::from("CRD"))];
        self.graph.node("DepthToSpace", name, &[input], attributes)
    }

    /// Sub-pixel upsampling without activations: a convolution and a shuffle per step.
    pub fn upsample(&mut self, input: &str, features: usize, scale: usize) -> String {
        self.upsample_by(input, scale, |net, name, value, factor| {
            let wide = net.conv(name, value, Conv::new(3, features, features * factor * factor));
            net.shuffle(&format!("{name}.shuffle"), &wide, factor)
        })
    }

    /// Upsampling whose steps are a network's own: each of its name, what it reads and its factor.
    pub fn upsample_by(
        &mut self,
        input: &str,
        scale: usize,
        mut step: impl FnMut(&mut Self, &str, &str, usize) -> String,
    ) -> String {
        let factors: &[usize] = match scale {
            4 => &[2, 2],
            3 => &[3],
            _ => &[2],
        };
        factors.iter().enumerate().fold(input.to_owned(), |value, (index, &factor)| {
            step(self, &format!("upsample.{index}"), &value, factor)
        })
    }

    /// `op` of a value and a fixed number.
    pub fn scaled(&mut self, name: &str, op: &str, input: &str, factor: f32) -> String {
        let factor = self.graph.constant(&format!("{name}.factor"), Tensor::scalar(factor));
        self.graph.node(op, name, &[input, &factor], [])
    }

    /// The network that gives `output`, an image `scale` times as large, and names its taps.
    pub fn upscaler(mut self, output: String, taps: Taps, scale: usize) -> Model {
        let dims = [Dim::from("N"), Dim::Known(3), Dim::Unknown, Dim::Unknown];
        self.graph.output(ValueInfo::tensor(output, DType::F32, dims));
        let mut model = self.finish();
        let entries = [(TAP, taps.last), (TAP_FIRST, taps.first), (SCALE, scale.to_string())];
        model.metadata.extend(entries.map(|(key, value)| (key.to_owned(), value)));
        model
    }

    /// The finished graph as a model.
    pub fn finish(self) -> Model {
        Model {
            ir_version: IR_VERSION,
            opsets: [(String::new(), OPSET)].into(),
            producer: ("temper".into(), env!("CARGO_PKG_VERSION").into()),
            graph: self.graph.finish(),
            ..Default::default()
        }
    }
}

/// The names of the feature maps that the entropy may be regularised at.
pub struct Taps {
    /// What the first layer gives (Sec. 5.4).
    pub first: String,
    /// The last before upsampling (Sec. 4.3).
    pub last: String,
}
