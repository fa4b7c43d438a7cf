//! Passes from graph to graph: fix a size, infer types, differentiate, change precision.
//!
//! The result is always a plain ONNX model of standard operators that any runtime can run. What an operator
//! computes, its types and its gradient are in the table in `ops`; the passes are in `passes`.
//! Deliberately absent: running anything.

mod array;
mod effort;
mod emitter;
mod error;
mod naming;
mod ops;
mod passes;
mod types;

pub use array::Array;
pub use effort::{bounded, least_bytes};
pub use emitter::{Emitter, Value};
pub use error::RewriteError;
pub use ops::{Operator, Status, all as operators, family, status};
pub use passes::{
    Gradient, Stop, flops, fold_norms, gradient, outputs_at, promote, prune, resized, specialise,
    straight_through, to_f16, upgrade,
};
pub use types::{TensorType, Types, infer};

use std::collections::HashSet;

use crate::onnx::{Attribute, Graph, Model, Node};

/// Whether integers that stand for real numbers lie on a way from a model's input to its output, so that its
/// gradient passes straight through roundings. Weights that are dequantised round nothing of the image.
pub fn is_quantised(model: &Model) -> bool {
    quantises_between(&model.graph)
}

/// Nodes that depend on an input and that an output depends on, in any order of the list.
fn quantises_between(graph: &Graph) -> bool {
    let mut moved: HashSet<&str> = graph.required_inputs().map(|input| input.name.as_str()).collect();
    let mut needed: HashSet<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    for node in &graph.nodes {
        if node.inputs.iter().any(|name| moved.contains(name.as_str())) || holds_graph(node) {
            moved.extend(node.outputs.iter().map(String::as_str));
        }
    }
    let mut found = false;
    for node in graph.nodes.iter().rev() {
        if !node.outputs.iter().any(|name| needed.contains(name.as_str())) {
            continue;
        }
        needed.extend(node.inputs.iter().map(String::as_str));
        let on_the_way = node.outputs.iter().any(|name| moved.contains(name.as_str()));
        found |= on_the_way && (ops::quantises(node) || graphs_of(node).any(holds_quantised));
        // What the graphs inside read is not among the inputs.
        if holds_graph(node) {
            needed.extend(graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str));
        }
    }
    found
}

fn graphs_of(node: &Node) -> impl Iterator<Item = &Graph> {
    node.attributes.values().filter_map(|attribute| match attribute {
        Attribute::Graph(graph) => Some(&**graph),
        _ => None,
    })
}

fn holds_graph(node: &Node) -> bool {
    graphs_of(node).next().is_some()
}

fn holds_quantised(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| ops::quantises(node) || graphs_of(node).any(holds_quantised))
}
