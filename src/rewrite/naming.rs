//! Gives the node that makes an output the output's name, so that no Identity is needed for it.
//!
//! Deliberately absent: graphs with subgraphs, which may read any value by its name; an Identity is
//! harmless there.

use crate::onnx::{Attribute, Graph, Node};

/// Drops each Identity that only names an output.
pub fn name_outputs(graph: &mut Graph) {
    if graph.nodes.iter().any(has_subgraph) {
        return;
    }
    for index in 0..graph.outputs.len() {
        let output = graph.outputs[index].name.clone();
        let Some(identity) = graph.nodes.iter().position(|node| names(node, &output)) else { continue };
        let value = graph.nodes[identity].inputs[0].clone();
        let is_output = graph.outputs.iter().any(|output| output.name == value);
        if is_output || !graph.nodes.iter().any(|node| node.outputs.contains(&value)) {
            continue;
        }
        graph.nodes.remove(identity);
        let uses = graph.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs));
        uses.filter(|name| **name == value).for_each(|name| name.clone_from(&output));
    }
}

fn names(node: &Node, output: &str) -> bool {
    node.domain.is_empty() && node.op == "Identity" && node.outputs == [output]
}

/// Whether a node holds graphs, which may read any value by its name.
pub fn has_subgraph(node: &Node) -> bool {
    node.attributes.values().any(|value| matches!(value, Attribute::Graph(_) | Attribute::Graphs(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, GraphBuilder, ValueInfo};

    #[test]
    fn an_output_takes_the_place_of_the_value_it_names() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F32, []));
        let made = graph.node("Neg", "made", &[&x], []);
        let read = graph.node("Exp", "read", &[&made], []);
        let named = graph.node("Identity", "named", &[&made], []);
        let fed = graph.node("Identity", "fed", &[&x], []);
        for name in [&named, &read, &fed] {
            graph.output(ValueInfo::tensor(name, DType::F32, []));
        }
        let mut graph = graph.finish();
        name_outputs(&mut graph);
        let nodes: Vec<_> =
            graph.nodes.iter().map(|n| (n.op.as_str(), &*n.inputs[0], &*n.outputs[0])).collect();
        // The one that names an input stays: an input cannot be renamed.
        assert_eq!(nodes, [("Neg", "x", "named"), ("Exp", "named", "read"), ("Identity", "x", "fed")]);
    }
}
