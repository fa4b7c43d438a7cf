//! Checks that a graph is one: names written once, read after they are written, and typed where
//! a caller stands.
//!
//! What operators mean is not checked here; shape inference in `rewrite` does that.

use std::collections::HashSet;

use super::error::Problem;
use super::model::{Attribute, Graph, Model, Node, ValueInfo};

/// The newest version of the standard operator set that is known: what a later one means is not.
const NEWEST_OPSET: i64 = 26;
/// The newest version of the file format that is known.
const NEWEST_IR: i64 = 13;

/// Checks a model.
pub fn check(model: &Model) -> Result<(), Problem> {
    if model.opsets.is_empty() {
        return Err(Problem::defect("the model", "names no operator set"));
    }
    newest("operator set", model.opset(), NEWEST_OPSET)?;
    newest("IR version", model.ir_version, NEWEST_IR)?;
    if model.graph.outputs.is_empty() {
        return Err(Problem::defect("the graph", "has no output"));
    }
    for node in &model.graph.nodes {
        if !model.opsets.contains_key(&node.domain) {
            let what = format!("belongs to domain `{}`, of which the model imports no version", node.domain);
            return Err(Problem::defect(node.label(), what));
        }
    }
    graph(&model.graph, None)
}

/// Refuses a version that nobody has defined yet, as far as is known.
fn newest(what: &str, version: i64, newest: i64) -> Result<(), Problem> {
    if version <= newest {
        return Ok(());
    }
    let what = format!(
        "states {what} {version}, and {newest} is the newest that Temper knows; export it for {newest} or below"
    );
    Err(Problem::new("the model", what))
}

/// The names that a graph may read: its own so far, and those of the graphs around it.
struct Scope<'a> {
    own: HashSet<&'a str>,
    outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn knows(&self, name: &str) -> bool {
        self.own.contains(name) || self.outer.is_some_and(|outer| outer.knows(name))
    }
}

/// Checks a graph inside a scope of names it may read.
fn graph(graph: &Graph, outer: Option<&Scope<'_>>) -> Result<(), Problem> {
    let mut known = Scope { own: HashSet::new(), outer };
    for input in &graph.inputs {
        named(input, "input")?;
        if known.knows(&input.name) || !known.own.insert(&input.name) {
            return Err(Problem::defect(format!("input `{}`", input.name), "is named twice"));
        }
    }
    known.own.extend(graph.initializers.keys().map(String::as_str));
    let written = written_later(graph)?;
    for node in &graph.nodes {
        inputs(node, &known, &written)?;
        for subgraph in subgraphs(node) {
            self::graph(subgraph, Some(&known))?;
        }
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            if known.knows(output) || !known.own.insert(output) {
                return Err(Problem::defect(
                    node.label(),
                    format!("writes `{output}`, which already has a value"),
                ));
            }
        }
    }
    for output in &graph.outputs {
        named(output, "output")?;
        if !known.knows(&output.name) {
            return Err(Problem::defect(format!("output `{}`", output.name), "is written by no node"));
        }
    }
    Ok(())
}

fn named(info: &ValueInfo, role: &str) -> Result<(), Problem> {
    if info.name.is_empty() {
        return Err(Problem::defect(format!("an {role} of the graph"), "has no name"));
    }
    Ok(())
}

/// Every name that some node of the graph writes: to tell a cycle from a name that is missing.
fn written_later(graph: &Graph) -> Result<HashSet<&str>, Problem> {
    for node in &graph.nodes {
        if node.op.is_empty() {
            return Err(Problem::defect(node.label(), "names no operator"));
        }
    }
    Ok(graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str).collect())
}

fn inputs(node: &Node, known: &Scope<'_>, written: &HashSet<&str>) -> Result<(), Problem> {
    for input in node.inputs.iter().filter(|input| !input.is_empty()) {
        if known.knows(input) {
            continue;
        }
        let what = if written.contains(input.as_str()) {
            format!(
                "reads `{input}` before it is written: the graph has a cycle, or its nodes are out of order"
            )
        } else {
            format!("reads `{input}`, which nothing writes")
        };
        return Err(Problem::defect(node.label(), what));
    }
    Ok(())
}

fn subgraphs(node: &Node) -> impl Iterator<Item = &Graph> {
    node.attributes.values().flat_map(|attribute| match attribute {
        Attribute::Graph(graph) => std::slice::from_ref(graph.as_ref()),
        Attribute::Graphs(graphs) => graphs.as_slice(),
        _ => &[],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, Dim};

    fn node(op: &str, inputs: &[&str], output: &str) -> Node {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Node { op: op.into(), inputs: names(inputs), outputs: names(&[output]), ..Default::default() }
    }

    fn model(nodes: Vec<Node>) -> Model {
        let value = |name: &str| ValueInfo::tensor(name, DType::F32, [Dim::Known(1)]);
        let graph =
            Graph { nodes, inputs: vec![value("x")], outputs: vec![value("y")], ..Default::default() };
        Model { opsets: [(String::new(), 17)].into(), graph, ..Default::default() }
    }

    fn refusal(nodes: Vec<Node>) -> String {
        check(&model(nodes)).unwrap_err().to_string()
    }

    #[test]
    fn a_chain_passes() {
        assert_eq!(check(&model(vec![node("Relu", &["x"], "a"), node("Relu", &["a"], "y")])), Ok(()));
    }

    #[test]
    fn problems_are_named() {
        assert!(refusal(vec![node("Add", &["x", "b"], "y"), node("Relu", &["y"], "b")]).contains("cycle"));
        assert!(refusal(vec![node("Relu", &["gone"], "y")]).contains("reads `gone`, which nothing writes"));
        assert!(refusal(vec![node("Relu", &["x"], "x")]).contains("already has a value"));
        assert!(refusal(vec![node("Relu", &["x"], "z")]).contains("output `y`: is written by no node"));
        let mut foreign = node("Conv", &["x"], "y");
        foreign.domain = "com.example".into();
        let foreign = refusal(vec![foreign]);
        assert!(foreign.contains("com.example") && foreign.ends_with(": export it again"), "{foreign}");
    }

    #[test]
    fn a_graph_inside_reads_what_stands_around_it_and_hides_none_of_it() {
        let inside = |nodes: Vec<Node>, output: &str| {
            let outputs = vec![ValueInfo::tensor(output, DType::F32, [])];
            let branch = Attribute::Graph(Box::new(Graph { nodes, outputs, ..Default::default() }));
            let mut choice = node("If", &["x"], "y");
            choice.attributes.insert("then_branch".into(), branch);
            check(&model(vec![node("Relu", &["x"], "a"), choice]))
        };
        assert_eq!(inside(vec![node("Add", &["a", "x"], "b")], "b"), Ok(()));
        assert!(
            inside(vec![node("Relu", &["x"], "a")], "a").unwrap_err().what.contains("already has a value")
        );
        assert!(inside(vec![node("Relu", &["y"], "b")], "b").unwrap_err().what.contains("nothing writes"));
    }

    #[test]
    fn versions_that_nobody_has_defined_are_refused() {
        let mut future = model(vec![node("Relu", &["x"], "y")]);
        future.opsets.insert(String::new(), 999);
        let message = check(&future).unwrap_err().to_string();
        assert!(message.contains("operator set 999") && message.contains("26"), "{message}");
        future.opsets.insert(String::new(), 17);
        future.ir_version = 999;
        assert!(check(&future).unwrap_err().to_string().contains("IR version 999"));
    }
}
