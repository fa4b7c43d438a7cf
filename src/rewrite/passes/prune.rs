//! Drops nodes and weights that no output needs.

use std::collections::HashSet;

use crate::onnx::{Attribute, Graph};

/// Keeps what the outputs need, and every input.
pub fn prune(graph: &mut Graph) {
    let mut needed: HashSet<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes).into_iter().rev() {
        if node.outputs.iter().any(|output| needed.contains(output)) {
            needed.extend(node.inputs.iter().cloned());
            for attribute in node.attributes.values() {
                captured(attribute, &mut needed);
            }
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    graph.initializers.retain(|name, _| needed.contains(name));
}

/// Names that subgraphs read: all of them, for a subgraph may read any outer value.
fn captured(attribute: &Attribute, needed: &mut HashSet<String>) {
    let graphs = match attribute {
        Attribute::Graph(graph) => std::slice::from_ref(graph.as_ref()),
        Attribute::Graphs(graphs) => graphs.as_slice(),
        _ => return,
    };
    for graph in graphs {
        needed.extend(graph.outputs.iter().map(|output| output.name.clone()));
        for node in &graph.nodes {
            needed.extend(node.inputs.iter().cloned());
            node.attributes.values().for_each(|attribute| captured(attribute, needed));
        }
    }
}
