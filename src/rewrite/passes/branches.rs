//! Puts the branch that an `If` takes in its place, where its condition is known before anything
//! runs.
//!
//! Exporters leave such branches behind where a shape decided something. Inference walks along:
//! what is known of the nodes before it decides each `If`. Deliberately absent: branches that the
//! image chooses, and loops, which the table of operators refuses.

use std::collections::{HashMap, VecDeque};

use super::upgrade::upgrade;
use crate::onnx::{Attribute, Graph, GraphBuilder, Model, Node};
use crate::rewrite::error::RewriteError;
use crate::rewrite::types::Types;

/// Inlines every decided branch of a model whose inputs have fixed sizes, and infers its types.
/// `opset` is that of the file, for which the branches are still written.
pub fn decide(model: &mut Model, opset: i64) -> Result<Types, RewriteError> {
    let mut types = Types::open(model)?;
    if !model.graph.nodes.iter().any(is_branching) {
        model.graph.nodes.iter().try_for_each(|node| types.apply(node))?;
        return Ok(types);
    }
    let mut nodes: VecDeque<Node> = std::mem::take(&mut model.graph.nodes).into();
    let mut graph = GraphBuilder::from_graph(std::mem::take(&mut model.graph));
    nodes.iter().flat_map(|node| &node.outputs).for_each(|name| graph.reserve(name));
    while let Some(node) = nodes.pop_front() {
        let Some(branch) = taken(&node, &types)? else {
            types.apply(&node)?;
            graph.push(node);
            continue;
        };
        let written_for =
            Model { opsets: [(String::new(), opset)].into(), graph: branch, ..Default::default() };
        let inlined = inline(&node, upgrade(&written_for)?.graph, &mut graph, &mut types)?;
        inlined.into_iter().rev().for_each(|node| nodes.push_front(node));
    }
    model.graph = graph.finish();
    Ok(types)
}

/// Whether a node is an `If`.
pub fn is_branching(node: &Node) -> bool {
    node.op == "If" && node.domain.is_empty()
}

/// The branch that a node takes, where it is an `If` whose condition is known.
fn taken(node: &Node, types: &Types) -> Result<Option<Graph>, RewriteError> {
    if !is_branching(node) {
        return Ok(None);
    }
    let condition = node.input(0).and_then(|name| types.constant(name)).and_then(|tensor| tensor.as_bool());
    let Some(&[condition]) = condition else { return Ok(None) };
    let name = if condition { "then_branch" } else { "else_branch" };
    match node.attributes.get(name) {
        Some(Attribute::Graph(branch)) => Ok(Some((**branch).clone())),
        _ => Err(RewriteError::at(node, &[], format!("lacks its `{name}`"))),
    }
}

/// The branch's nodes under names that are free in the graph around it, and its results under the
/// names of the node's.
fn inline(
    node: &Node,
    branch: Graph,
    graph: &mut GraphBuilder,
    types: &mut Types,
) -> Result<Vec<Node>, RewriteError> {
    let prefix = node.outputs.first().map_or("", String::as_str);
    let mut names = HashMap::new();
    for (name, tensor) in branch.initializers {
        let fresh = graph.initializer(&format!("{prefix}/{name}"), tensor.clone());
        types.put_constant(&fresh, &tensor);
        names.insert(name, fresh);
    }
    for name in branch.nodes.iter().flat_map(|node| &node.outputs).filter(|name| !name.is_empty()) {
        names.insert(name.clone(), graph.fresh(&format!("{prefix}/{name}")));
    }
    let mut nodes = branch.nodes;
    nodes.iter_mut().for_each(|node| rename(node, &names));
    if branch.outputs.len() != node.outputs.len() {
        let what = format!("gives {} values, its branch {}", node.outputs.len(), branch.outputs.len());
        return Err(RewriteError::at(node, &[], what));
    }
    for (from, to) in branch.outputs.iter().zip(&node.outputs).filter(|(_, to)| !to.is_empty()) {
        nodes.push(Node {
            op: "Identity".into(),
            inputs: vec![names.get(&from.name).unwrap_or(&from.name).clone()],
            outputs: vec![to.clone()],
            ..Default::default()
        });
    }
    Ok(nodes)
}

/// Renames what a node and the graphs inside it read and write.
fn rename(node: &mut Node, names: &HashMap<String, String>) {
    for name in node.inputs.iter_mut().chain(&mut node.outputs) {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    }
    for attribute in node.attributes.values_mut() {
        let graphs = match attribute {
            Attribute::Graph(graph) => std::slice::from_mut(graph.as_mut()),
            Attribute::Graphs(graphs) => graphs.as_mut_slice(),
            _ => continue,
        };
        for graph in graphs {
            graph.nodes.iter_mut().for_each(|node| rename(node, names));
            for output in &mut graph.outputs {
                if let Some(new) = names.get(&output.name) {
                    output.name.clone_from(new);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, Dim, Tensor, ValueInfo};
    use crate::rewrite::specialise;

    /// y = x + `value`, written by names that every branch uses.
    fn adds(value: f32) -> Graph {
        let mut graph = GraphBuilder::new("branch");
        let other = graph.initializer("other", Tensor::scalar(value));
        let y = graph.node("Add", "sum", &["x", &other], []);
        graph.output(ValueInfo::tensor(y, DType::F32, []));
        graph.finish()
    }

    /// A graph whose one node is an If over `condition` with these branches.
    fn chooses(condition: &str, branches: [Graph; 2], result: &str) -> Graph {
        let mut graph = GraphBuilder::new("g");
        let [then_branch, else_branch] = branches.map(|branch| Attribute::Graph(Box::new(branch)));
        let attributes = [("then_branch", then_branch), ("else_branch", else_branch)];
        let y = graph.node("If", result, &[condition], attributes);
        graph.output(ValueInfo::tensor(y, DType::F32, []));
        graph.finish()
    }

    fn model(condition: Option<bool>) -> Model {
        let nested = chooses("condition", [adds(1.0), adds(2.0)], "inner");
        let mut graph = chooses("condition", [nested, adds(3.0)], "y");
        graph.inputs.push(ValueInfo::tensor("x", DType::F32, [Dim::Known(2)]));
        match condition {
            Some(value) => {
                let tensor = Tensor::bool(&[], vec![value]).unwrap();
                graph.initializers.insert("condition".into(), tensor);
            }
            None => graph.inputs.push(ValueInfo::tensor("condition", DType::Bool, [])),
        }
        Model { opsets: [(String::new(), 17)].into(), graph, ..Default::default() }
    }

    #[test]
    fn the_branch_taken_stands_in_the_place_of_the_node() {
        for (condition, added) in [(true, 1.0), (false, 3.0)] {
            let model = specialise(&model(Some(condition)), &[&[2]]).unwrap();
            let ops: Vec<_> = model.graph.nodes.iter().map(|node| node.op.as_str()).collect();
            assert!(ops.starts_with(&["Add"]) && !ops.contains(&"If"), "{ops:?}");
            let weights: Vec<_> = model.graph.initializers.values().map(|w| w.as_f32().unwrap()[0]).collect();
            assert_eq!(weights, [added]);
            assert_eq!(model.graph.outputs[0].name, "y");
            assert_eq!(crate::onnx::check(&model), Ok(()));
        }
    }

    #[test]
    fn a_branch_that_an_input_chooses_is_refused_by_name() {
        let error = specialise(&model(None), &[&[2], &[]]).unwrap_err().to_string();
        assert!(error.contains("If") && error.contains("condition"), "{error}");
    }
}
