//! The model without its roundings: what a gradient passes straight through (BPDA, Athalye et al., ICML 2018).
//!
//! Round, Floor and Ceil give their input, a remainder of division (Mod) gives 0, and so x - Mod(x, 1) gives x.
//! The result serves other images; only its gradient is of use, where that of the model is zero almost
//! everywhere. Deliberately absent: quantised operators, whose gradient passes straight through as it is.

use crate::onnx::{GraphBuilder, Model, Node, Tensor};

/// The model with every rounding taken for what it rounds; `None` where there is none.
pub fn straight_through(model: &Model) -> Option<Model> {
    if !model.graph.nodes.iter().any(rounds) {
        return None;
    }
    let mut smooth = model.clone();
    let mut graph = std::mem::take(&mut smooth.graph);
    let nodes = std::mem::take(&mut graph.nodes);
    let mut graph = GraphBuilder::from_graph(graph);
    nodes.iter().flat_map(|node| &node.outputs).for_each(|name| graph.reserve(name));
    for mut node in nodes {
        if rounds(&node) {
            node.attributes.clear();
            if node.op == "Mod" {
                node.op = "Mul".into();
                node.inputs[1] = graph.constant("remainder", Tensor::scalar(0.0));
            } else {
                node.op = "Identity".into();
            }
        }
        graph.push(node);
    }
    smooth.graph = graph.finish();
    Some(smooth)
}

/// Whether a node rounds real numbers. A Mod without `fmod` is one of integers.
fn rounds(node: &Node) -> bool {
    let standard = node.domain.is_empty() || node.domain == "ai.onnx";
    let real = match node.op.as_str() {
        "Round" | "Floor" | "Ceil" => true,
        "Mod" => node.attributes.contains_key("fmod"),
        _ => false,
    };
    standard && real
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, Dim, ValueInfo};

    #[test]
    fn roundings_are_taken_for_what_they_round() {
        let mut graph = GraphBuilder::new("rounding");
        let dims = [1, 1, 2, 2].map(Dim::Known);
        let x = graph.input(ValueInfo::tensor("x", DType::F32, dims.clone()));
        let rounded = graph.node("Round", "rounded", &[&x], []);
        graph.output(ValueInfo::tensor(&rounded, DType::F32, dims));
        let mut model = Model { graph: graph.finish(), ..Model::default() };
        let ops =
            |model: &Model| -> Vec<String> { model.graph.nodes.iter().map(|node| node.op.clone()).collect() };
        let smooth = straight_through(&model).unwrap();
        assert_eq!(ops(&smooth), ["Identity"]);
        model.graph.nodes[0].op = "Relu".into();
        assert_eq!(straight_through(&model), None);
    }
}
