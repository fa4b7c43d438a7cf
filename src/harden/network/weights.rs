//! A foreign file as something to train: which of its tensors are weights, and how they come back
//! into the file, which otherwise stays as it was.
//!
//! Weights are what Conv, ConvTranspose, Gemm, MatMul, PRelu and the biases of Add read from
//! initializers or Constant nodes. Numbers such as scale factors stay, and so do the running
//! statistics of BatchNormalization. Deliberately absent: how the model is fed (`interface`).

use std::collections::{HashMap, HashSet};

use crate::harden::HardenError;
use crate::onnx::{Attribute, Graph, Model, Tensor};
use crate::rewrite::is_quantised;

/// The names of the tensors to train.
///
/// # Errors
/// [`HardenError::Untrainable`] where there is none, or the graph computes in integers.
pub(super) fn trainable(model: &Model) -> Result<HashSet<String>, HardenError> {
    if is_quantised(model) {
        let problem = "it computes in 8-bit integers, which training cannot move by small steps; fine-tune the \
                       floating-point model that it was made from, and quantise that";
        return Err(HardenError::Untrainable { problem: problem.into() });
    }
    let found = found(&model.graph);
    if found.is_empty() {
        let problem = "it has no trainable weight: no float tensor stands behind a Conv, ConvTranspose, Gemm, \
                       MatMul, PRelu or the bias of an Add";
        return Err(HardenError::Untrainable { problem: problem.into() });
    }
    Ok(found)
}

fn found(graph: &Graph) -> HashSet<String> {
    let constants = constants(graph);
    // Exporters let equal weights share one tensor through Identity.
    let aliases: HashMap<&str, &str> = graph
        .nodes
        .iter()
        .filter(|node| node.op == "Identity")
        .filter_map(|node| Some((node.outputs.first()?.as_str(), node.input(0)?)))
        .collect();
    // Where a file has initializers, what an Add reads from a Constant node is a number such as a mean
    // colour; where it has none, nothing tells them apart.
    let all_in_nodes = !graph.initializers.values().any(|tensor| tensor.dtype().is_float());
    let mut names = HashSet::new();
    for node in &graph.nodes {
        let read: &[usize] = match node.op.as_str() {
            "Conv" | "ConvTranspose" | "Gemm" => &[1, 2],
            "MatMul" | "Add" => &[0, 1],
            "PRelu" => &[1],
            _ => continue,
        };
        for mut name in read.iter().filter_map(|&index| node.input(index)) {
            while let Some(same) = aliases.get(name) {
                name = same;
            }
            let Some(tensor) = constants.get(name).filter(|tensor| tensor.dtype().is_float()) else {
                continue;
            };
            let bias = tensor.len() > 1 && (all_in_nodes || graph.initializers.contains_key(name));
            if node.op != "Add" || bias {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// Every constant tensor of a graph by name.
fn constants(graph: &Graph) -> HashMap<&str, &Tensor> {
    let nodes = graph.nodes.iter().filter(|node| node.op == "Constant").filter_map(|node| {
        match node.attributes.get("value") {
            Some(Attribute::Tensor(tensor)) => Some((node.outputs.first()?.as_str(), tensor)),
            _ => None,
        }
    });
    graph.initializers.iter().map(|(name, tensor)| (name.as_str(), tensor)).chain(nodes).collect()
}

/// The model with the weights among its Constant nodes as initializers, where a program trains them.
pub(super) fn hoisted(model: &Model, weights: &HashSet<String>) -> Model {
    let mut hoisted = model.clone();
    let graph = &mut hoisted.graph;
    let (moved, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut graph.nodes).into_iter().partition(|node| {
        node.op == "Constant" && node.outputs.first().is_some_and(|name| weights.contains(name))
    });
    graph.nodes = kept;
    for mut node in moved {
        if let Some(Attribute::Tensor(tensor)) = node.attributes.swap_remove("value") {
            graph.initializers.insert(node.outputs.swap_remove(0), tensor);
        }
    }
    hoisted
}

/// The file's model with the weights of the hoisted one in their old places.
pub(super) fn written_back(file: &Model, hoisted: &Model, weights: &HashSet<String>) -> Model {
    let mut written = file.clone();
    let value = |name: &str| hoisted.graph.initializers.get(name).filter(|_| weights.contains(name));
    for (name, tensor) in &mut written.graph.initializers {
        if let Some(trained) = value(name) {
            *tensor = trained.clone();
        }
    }
    for node in written.graph.nodes.iter_mut().filter(|node| node.op == "Constant") {
        let trained = node.outputs.first().and_then(|name| value(name));
        if let (Some(Attribute::Tensor(tensor)), Some(trained)) = (node.attributes.get_mut("value"), trained)
        {
            *tensor = trained.clone();
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, Dim, GraphBuilder, ValueInfo};

    /// A network with weights of every kind and numbers that are none.
    fn model() -> Model {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F32, [Dim::Known(1)]));
        let tensor = |count: usize, value: f32| Tensor::f32(&[count], vec![value; count]).unwrap();
        let weight = graph.constant("weight", tensor(4, 1.0));
        let bias = graph.initializer("bias", tensor(2, 1.0));
        let shared = graph.initializer("shared", tensor(2, 2.0));
        let slope = graph.initializer("slope", tensor(1, 0.25));
        let factor = graph.initializer("factor", tensor(1, 0.1));
        let shift = graph.initializer("shift", tensor(1, 0.5));
        let mean = graph.initializer("mean", tensor(2, 0.0));
        let alias = graph.node("Identity", "alias", &[&shared], []);
        let conv = graph.node("Conv", "conv", &[&x, &weight, &bias], []);
        let norm = graph.node("BatchNormalization", "norm", &[&conv, &mean, &mean, &mean, &mean], []);
        let rectified = graph.node("PRelu", "rectified", &[&norm, &slope], []);
        let scaled = graph.node("Mul", "scaled", &[&rectified, &factor], []);
        let shifted = graph.node("Add", "shifted", &[&scaled, &shift], []);
        let y = graph.node("Add", "y", &[&shifted, &alias], []);
        graph.output(ValueInfo::tensor(y, DType::F32, [Dim::Known(1)]));
        Model { graph: graph.finish(), ..Default::default() }
    }

    #[test]
    fn weights_are_told_from_numbers_and_statistics() {
        let mut names: Vec<_> = trainable(&model()).unwrap().into_iter().collect();
        names.sort();
        assert_eq!(names, ["bias", "shared", "slope", "weight"]);
        let nothing = trainable(&Model::default()).unwrap_err().to_string();
        assert!(nothing.contains("no trainable weight"), "{nothing}");
    }

    #[test]
    fn trained_tensors_come_back_where_they_were_and_nothing_else_moves() {
        let file = model();
        let names = trainable(&file).unwrap();
        let mut hoisted = hoisted(&file, &names);
        assert!(hoisted.graph.nodes.iter().all(|node| node.op != "Constant"));
        assert_eq!(written_back(&file, &hoisted, &names), file);
        for tensor in hoisted.graph.initializers.values_mut() {
            *tensor = Tensor::f32(tensor.shape(), vec![9.0; tensor.len()]).unwrap();
        }
        let written = written_back(&file, &hoisted, &names);
        let values = constants(&written.graph);
        for (name, before) in constants(&file.graph) {
            let trained = names.contains(name);
            assert_eq!(values[name] != before, trained, "{name}");
        }
        let ops = |model: &Model| model.graph.nodes.iter().map(|node| node.op.clone()).collect::<Vec<_>>();
        assert_eq!(ops(&written), ops(&file));
    }
}
