//! What one run of a model holds in memory and computes, before anything is run.
//!
//! A model of a few hundred bytes can ask for terabytes or for years. Deliberately absent: what a runtime
//! needs beside (`audit` multiplies), and the memory of the machine.

use std::collections::{HashMap, HashSet};

use super::error::RewriteError;
use super::flops;
use super::types::{TensorType, Types, infer};
use crate::limits::Limit;
use crate::onnx::{Attribute, DType, Model, Node, Problem, Tensor};

/// Peaks of runs that were measured, over what is counted, were at most 3 where there was more than a few
/// megabytes to hold.
const OVER_COUNTED: u64 = 3;

/// Refuses a model of fixed size that no run should be tried of: one that holds more than [`Limit::RunBytes`],
/// that computes more than [`Limit::Constants`] of values that no input changes, or that computes more than
/// [`Limit::RunOperations`] beside what the weights of the `file` explain. A weight is used at most once for every
/// element of a value, so that a large network is not taken for a trap.
///
/// # Errors
/// The bound, and how to raise it.
pub fn bounded(model: &Model, file: &Model) -> Result<(), RewriteError> {
    let types = infer(model)?;
    let refuse = |what: String, limit: Limit| {
        Err(Problem::new("the model", format!("{what} {}", limit.exceeded())).into())
    };
    let bytes = held(model, &types).saturating_mul(OVER_COUNTED);
    if bytes > Limit::RunBytes.get() {
        return refuse(format!("may take {bytes} bytes to run once, which"), Limit::RunBytes);
    }
    let computed = constant_elements(model, &types).saturating_sub(weights(file));
    if computed > Limit::Constants.get() {
        return refuse(format!("computes constants of {computed} elements, which"), Limit::Constants);
    }
    let written = model.graph.nodes.iter().flat_map(|node| &node.outputs);
    let written = written.map(|name| types.get(name).map_or(0, |ty| ty.len() as u64));
    let (sum, most) =
        written.fold((0_u64, 0_u64), |(sum, most), size| (sum.saturating_add(size), most.max(size)));
    let operations = flops(model)?.saturating_add(sum);
    let explained = weights(file).saturating_mul(2).saturating_mul(most);
    if operations.saturating_sub(explained) > Limit::RunOperations.get() {
        return refuse(format!("computes {operations} operations to run once, which"), Limit::RunOperations);
    }
    Ok(())
}

/// The elements of all values that nodes write and no input changes.
fn constant_elements(model: &Model, types: &Types) -> u64 {
    let mut constant: HashSet<&str> = model.graph.initializers.keys().map(String::as_str).collect();
    let mut elements = 0_u64;
    for node in &model.graph.nodes {
        if node.inputs.iter().all(|name| name.is_empty() || constant.contains(name.as_str())) {
            constant.extend(node.outputs.iter().map(String::as_str));
            let written = node.outputs.iter().filter_map(|name| types.get(name)).map(|ty| ty.len() as u64);
            elements = written.fold(elements, u64::saturating_add);
        }
    }
    elements
}

/// The elements of all tensors that a file holds.
fn weights(file: &Model) -> u64 {
    let constants = file.graph.nodes.iter().flat_map(|node| node.attributes.values());
    let constants =
        constants.map(|value| if let Attribute::Tensor(tensor) = value { tensor.len() } else { 0 });
    file.graph.initializers.values().map(Tensor::len).chain(constants).sum::<usize>() as u64
}

/// The bytes that the values and weights of one run hold at its fullest, where each value goes once
/// its last reader has run, in the order of the nodes of a model of fixed size.
pub fn least_bytes(model: &Model) -> Result<u64, RewriteError> {
    Ok(held(model, &infer(model)?))
}

fn held(model: &Model, types: &Types) -> u64 {
    let graph = &model.graph;
    let mut last_reader: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        last_reader.extend(node.inputs.iter().map(|name| (name.as_str(), index)));
    }
    last_reader.extend(graph.outputs.iter().map(|output| (output.name.as_str(), graph.nodes.len())));
    let held = graph.initializers.values().map(TensorType::of).map(|ty| bytes(&ty));
    let fed = graph.required_inputs().map(|input| bytes_of(types, &input.name));
    let mut alive: u64 = held.chain(fed).sum();
    let mut most = alive;
    // What the image does not change is computed once, and kept.
    let mut constant: HashSet<&str> = graph.initializers.keys().map(String::as_str).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut read: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
        read.sort_unstable();
        read.dedup();
        let done = |name: &&str| last_reader[name] == index && !constant.contains(*name);
        let freed: u64 = read.into_iter().filter(done).map(|name| bytes_of(types, name)).sum();
        let written: u64 = node.outputs.iter().map(|name| bytes_of(types, name)).sum();
        // Many operators write in place, so what is read last here does not count beside the result.
        alive = alive.saturating_sub(freed).saturating_add(written);
        most = most.max(alive.saturating_add(columns(node, types)));
        if node.inputs.iter().all(|name| name.is_empty() || constant.contains(name.as_str())) {
            constant.extend(node.outputs.iter().map(String::as_str));
        }
    }
    most
}

/// The matrix of columns through which a ConvTranspose is computed: for every value that it reads of a
/// channel, the whole kernel of every output channel.
fn columns(node: &Node, types: &Types) -> u64 {
    let shape =
        |index: usize| node.inputs.get(index).and_then(|name| types.get(name)).map(|ty| &ty.shape[..]);
    match (node.op.as_str(), shape(0), shape(1)) {
        ("ConvTranspose", Some([_, _, positions @ ..]), Some([_, kernel @ ..])) => {
            positions.iter().chain(kernel).fold(4, |bytes, &size| bytes.saturating_mul(size as u64))
        }
        _ => 0,
    }
}

fn bytes_of(types: &Types, name: &str) -> u64 {
    types.get(name).map_or(0, bytes)
}

fn bytes(ty: &TensorType) -> u64 {
    let bits = DType::bits(ty.dtype).unwrap_or(8) as u64;
    (ty.len() as u64).saturating_mul(bits) / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Dim, GraphBuilder, ValueInfo};

    #[test]
    fn what_is_alive_at_once_is_counted() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F32, [Dim::Known(100)]));
        let weight = graph.initializer("w", Tensor::f32(&[1], vec![2.0]).unwrap());
        // x, w, and a while x is still needed: 100 + 1 + 100 values; then one goes for every one that comes.
        let a = graph.node("Mul", "a", &[&x, &weight], []);
        let b = graph.node("Relu", "b", &[&a], []);
        let c = graph.node("Add", "c", &[&b, &x], []);
        graph.output(ValueInfo::tensor(c, DType::F32, [Dim::Known(100)]));
        let opsets = [(String::new(), 17)].into();
        let model = Model { ir_version: 8, opsets, graph: graph.finish(), ..Default::default() };
        assert_eq!(least_bytes(&model).unwrap(), 4 * 201);
    }
}
