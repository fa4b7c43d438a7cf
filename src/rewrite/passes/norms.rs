//! Folds BatchNormalization into the convolution before it.
//!
//! With running statistics it is one factor and one shift per channel: W' = W g / sqrt(v + e) and
//! b' = (b - m) g / sqrt(v + e) + s, for scale g, shift s, mean m, variance v and epsilon e. What
//! stands elsewhere, normalises by the batch, or reads computed numbers is left as it is.

use std::collections::{HashMap, HashSet};

use super::prune::prune;
use crate::onnx::{Attribute, Graph, GraphBuilder, Model, Node, Tensor};
use crate::rewrite::naming::has_subgraph;

/// What ONNX takes where a node does not say.
const EPSILON: f32 = 1e-5;

/// The model with every BatchNormalization folded that can be, and how many those are. The values
/// that normalisations write keep their names; those of the convolutions before them are gone.
pub fn fold_norms(model: &Model) -> (Model, usize) {
    let mut folded = model.clone();
    let graph = &mut folded.graph;
    if graph.nodes.iter().any(has_subgraph) {
        return (folded, 0);
    }
    let mut gone = HashSet::new();
    for index in 0..graph.nodes.len() {
        if let Some(layer) = Layer::find(graph, index) {
            gone.insert(index);
            layer.fold(graph, index);
        }
    }
    let mut index = 0..;
    graph.nodes.retain(|_| index.next().is_none_or(|index| !gone.contains(&index)));
    prune(graph);
    (folded, gone.len())
}

/// A convolution with the normalisation behind it, as numbers.
struct Layer {
    convolution: usize,
    weight: Tensor,
    bias: Tensor,
}

impl Layer {
    /// The layer whose normalisation is the node at `index`, with its weights folded.
    fn find(graph: &Graph, index: usize) -> Option<Self> {
        let norm = graph.nodes.get(index).filter(|node| node.qualified_op() == "BatchNormalization")?;
        let trains = norm.attributes.get("training_mode").is_some_and(|mode| *mode != Attribute::Int(0));
        if trains || norm.outputs.iter().skip(1).any(|name| !name.is_empty()) {
            return None;
        }
        let value = norm.input(0)?;
        let convolution =
            graph.nodes.iter().position(|node| node.outputs.iter().any(|name| name == value))?;
        let node = &graph.nodes[convolution];
        if readers(graph, value) != 1 || node.outputs.len() != 1 {
            return None;
        }
        let axis = output_axis(node)?;
        let constants = constants(graph);
        let numbers = |name: &str| constants.get(name).copied().and_then(Tensor::as_f32);
        let weight = constants.get(node.input(1)?).copied()?;
        let channels = *weight.shape().get(axis)?;
        let mut parts = (1..5).map(|part| norm.input(part).and_then(numbers));
        let mut part = || parts.next().flatten().filter(|values| values.len() == channels);
        let (scale, shift, mean, variance) = (part()?, part()?, part()?, part()?);
        let before = match node.input(2) {
            Some(name) => numbers(name)?.to_vec(),
            None => vec![0.0; channels],
        };
        let epsilon = match norm.attributes.get("epsilon") {
            Some(Attribute::Float(epsilon)) => *epsilon,
            _ => EPSILON,
        };
        let factor = |channel: usize| {
            f64::from(scale[channel]) / (f64::from(variance[channel]) + f64::from(epsilon)).sqrt()
        };
        let moved = |channel: usize| {
            let centred = f64::from(before[channel]) - f64::from(mean[channel]);
            (centred * factor(channel) + f64::from(shift[channel])) as f32
        };
        let bias = Tensor::f32(&[channels], (0..channels).map(moved).collect::<Vec<_>>()).ok()?;
        Some(Self { convolution, weight: scaled(weight, axis, &factor)?, bias })
    }

    /// Puts the numbers into the convolution, which writes what the normalisation at `index` wrote.
    fn fold(self, graph: &mut Graph, index: usize) {
        let Self { convolution, weight, bias } = self;
        let output = graph.nodes[index].outputs[0].clone();
        let written = std::mem::replace(&mut graph.nodes[convolution].outputs[0], output.clone());
        graph.values.retain(|value| value.name != written);
        let mut builder = GraphBuilder::from_graph(std::mem::take(graph));
        let named = [(1, "weight", weight), (2, "bias", bias)]
            .map(|(input, part, tensor)| (input, builder.initializer(&format!("{output}.{part}"), tensor)));
        *graph = builder.finish();
        let inputs = &mut graph.nodes[convolution].inputs;
        inputs.resize(3, String::new());
        named.into_iter().for_each(|(input, name)| inputs[input] = name);
    }
}

/// The axis of a convolution's weight along which its output's channels lie.
fn output_axis(node: &Node) -> Option<usize> {
    let one_group = matches!(node.attributes.get("group"), None | Some(Attribute::Int(1)));
    match node.qualified_op().as_str() {
        "Conv" => Some(0),
        "ConvTranspose" if one_group => Some(1),
        _ => None,
    }
}

/// How often a value is read, outputs of the graph included.
fn readers(graph: &Graph, name: &str) -> usize {
    let read = graph.nodes.iter().flat_map(|node| &node.inputs);
    read.chain(graph.outputs.iter().map(|output| &output.name)).filter(|read| *read == name).count()
}

/// Every tensor that is known before anything runs, by name.
fn constants(graph: &Graph) -> HashMap<&str, &Tensor> {
    let nodes = graph.nodes.iter().filter(|node| node.op == "Constant").filter_map(|node| {
        match node.attributes.get("value") {
            Some(Attribute::Tensor(tensor)) => Some((node.outputs.first()?.as_str(), tensor)),
            _ => None,
        }
    });
    graph.initializers.iter().map(|(name, tensor)| (name.as_str(), tensor)).chain(nodes).collect()
}

/// The weight with the numbers of each output channel times its factor.
fn scaled(weight: &Tensor, axis: usize, factor: &dyn Fn(usize) -> f64) -> Option<Tensor> {
    let inner: usize = weight.shape()[axis + 1..].iter().product();
    let channels = weight.shape()[axis];
    let factors: Vec<f64> = (0..channels).map(factor).collect();
    let values = weight.as_f32()?.iter().enumerate();
    let values = values.map(|(at, &value)| (f64::from(value) * factors[at / inner % channels]) as f32);
    Tensor::f32(weight.shape(), values.collect::<Vec<_>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, Dim, ValueInfo, check};

    /// `x` through a convolution of 1 x 1 with `weight` (2 x 2), and a normalisation.
    fn model(op: &str, bias: bool) -> Model {
        let mut graph = GraphBuilder::new("g");
        let dims = [Dim::Known(1), Dim::Known(2), Dim::Unknown, Dim::Unknown];
        let x = graph.input(ValueInfo::tensor("x", DType::F32, dims));
        let mut tensor = |name: &str, values: &[f32]| {
            graph.initializer(name, Tensor::f32(&[values.len()], values.to_vec()).unwrap())
        };
        let norm = [
            tensor("scale", &[2.0, 3.0]),
            tensor("shift", &[0.5, -1.0]),
            tensor("mean", &[1.0, 2.0]),
            tensor("variance", &[4.0, 0.25]),
        ];
        let own_bias = tensor("own_bias", &[10.0, 20.0]);
        let weight = Tensor::f32(&[2, 2, 1, 1], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let weight = graph.constant("weight", weight);
        let inputs = [x.as_str(), &weight, &own_bias];
        let conv = graph.node(op, "conv", &inputs[..if bias { 3 } else { 2 }], []);
        let [scale, shift, mean, variance] = &norm;
        let inputs = [conv.as_str(), scale, shift, mean, variance];
        let y = graph.node("BatchNormalization", "y", &inputs, [("epsilon", Attribute::Float(0.0))]);
        graph.output(ValueInfo::tensor(y, DType::F32, []));
        Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Default::default()
        }
    }

    fn folded(op: &str, bias: bool) -> (Vec<f32>, Vec<f32>) {
        let (model, count) = fold_norms(&model(op, bias));
        assert_eq!((check(&model), count), (Ok(()), 1));
        let [node] = &model.graph.nodes[..] else { panic!("{:?}", model.graph.nodes) };
        assert_eq!((node.op.as_str(), node.outputs[0].as_str()), (op, "y"));
        assert_eq!(model.graph.initializers.len(), 2);
        let values = |input: usize| model.graph.initializers[&node.inputs[input]].as_f32().unwrap().to_vec();
        (values(1), values(2))
    }

    #[test]
    fn weights_and_bias_take_the_factor_of_their_channel() {
        // The factors are 2 / 2 and 3 / 0.5.
        assert_eq!(folded("Conv", true), (vec![1.0, 2.0, 18.0, 24.0], vec![9.5, 107.0]));
        assert_eq!(folded("Conv", false), (vec![1.0, 2.0, 18.0, 24.0], vec![-0.5, -13.0]));
        assert_eq!(folded("ConvTranspose", true).0, [1.0, 12.0, 3.0, 24.0]);
    }

    #[test]
    fn what_reads_the_convolution_beside_or_trains_is_left() {
        let mut read = model("Conv", true);
        read.graph.outputs.push(ValueInfo::tensor("conv", DType::F32, []));
        let mut trains = model("Conv", true);
        trains.graph.nodes[2].attributes.insert("training_mode".into(), Attribute::Int(1));
        let mut computed = model("Conv", true);
        computed.graph.initializers.shift_remove("mean");
        for model in [read, trains, computed, model("MaxPool", true)] {
            let (same, count) = fold_norms(&model);
            assert_eq!((same.graph.nodes, count), (model.graph.nodes, 0));
        }
    }

    #[test]
    fn shared_weights_are_folded_for_each_reader() {
        let mut model = model("Conv", true);
        let second: Vec<Node> = model.graph.nodes[1..]
            .iter()
            .map(|node| {
                let mut node = node.clone();
                node.inputs[0] = if node.op == "Conv" { "y".into() } else { "conv2".into() };
                node.outputs = vec![if node.op == "Conv" { "conv2".into() } else { "z".into() }];
                node.name = node.outputs[0].clone();
                node
            })
            .collect();
        model.graph.nodes.extend(second);
        model.graph.outputs[0].name = "z".into();
        let (folded, count) = fold_norms(&model);
        assert_eq!((check(&folded), count, folded.graph.nodes.len()), (Ok(()), 2, 2));
        let weights = |node: usize| &folded.graph.initializers[&folded.graph.nodes[node].inputs[1]];
        assert_eq!(weights(0), weights(1));
    }
}
