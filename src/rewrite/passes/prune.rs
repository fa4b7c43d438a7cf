//! Drops nodes and weights that no output needs.

use std::collections::HashSet;

use crate::onnx::{Attribute, Graph};

/// Keeps what the outputs need, and every input.
pub fn prune(graph: &mut Graph) {
    let mut needed: HashSet<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    let mut kept = vec![false; graph.nodes.len()];
    for (node, kept) in graph.nodes.iter().zip(&mut kept).rev() {
        if node.outputs.iter().any(|output| needed.contains(output.as_str())) {
            *kept = true;
            needed.extend(node.inputs.iter().map(String::as_str));
            node.attributes.values().for_each(|attribute| captured(attribute, &mut needed));
        }
    }
    graph.initializers.retain(|name, _| needed.contains(name.as_str()));
    let mut kept = kept.into_iter();
    graph.nodes.retain(|_| kept.next() == Some(true));
}

/// Names that subgraphs read: all of them, for a subgraph may read any outer value.
fn captured<'a>(attribute: &'a Attribute, needed: &mut HashSet<&'a str>) {
    let graphs = match attribute {
        Attribute::Graph(graph) => std::slice::from_ref(graph.as_ref()),
        Attribute::Graphs(graphs) => graphs.as_slice(),
        _ => return,
    };
    for graph in graphs {
        needed.extend(graph.outputs.iter().map(|output| output.name.as_str()));
        for node in &graph.nodes {
            needed.extend(node.inputs.iter().map(String::as_str));
            node.attributes.values().for_each(|attribute| captured(attribute, needed));
        }
    }
}
