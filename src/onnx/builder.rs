//! Builds graphs node by node and keeps every name unique.

use std::collections::{HashMap, HashSet};

use super::model::{Attribute, Graph, Node, ValueInfo};
use super::tensor::Tensor;

/// A graph under construction, new or going on from an existing one.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
    names: HashSet<String>,
    /// The next number to try behind a hint: all below it are taken, for no name becomes free again.
    next: HashMap<String, usize>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self { graph: Graph { name: name.into(), ..Default::default() }, ..Default::default() }
    }

    /// Goes on building `graph`; its names stay taken.
    pub fn from_graph(graph: Graph) -> Self {
        let mut names = HashSet::new();
        names.extend(graph.inputs.iter().map(|value| value.name.clone()));
        names.extend(graph.initializers.keys().cloned());
        names.extend(graph.nodes.iter().flat_map(|node| node.outputs.iter().cloned()));
        names.extend(graph.nodes.iter().map(|node| node.name.clone()));
        Self { graph, names, next: HashMap::new() }
    }

    /// A name not taken yet: `hint`, or `hint` with a number.
    pub fn fresh(&mut self, hint: &str) -> String {
        if self.names.insert(hint.to_owned()) {
            return hint.to_owned();
        }
        let next = self.next.entry(hint.to_owned()).or_insert(1);
        loop {
            let name = format!("{hint}_{next}");
            *next += 1;
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }

    /// Takes a name that a node added later writes.
    pub fn reserve(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Adds an input that a caller feeds.
    pub fn input(&mut self, info: ValueInfo) -> String {
        self.names.insert(info.name.clone());
        let name = info.name.clone();
        self.graph.inputs.push(info);
        name
    }

    /// Adds an output that a caller gets; its value must have been written.
    pub fn output(&mut self, info: ValueInfo) {
        self.graph.outputs.push(info);
    }

    /// Adds a tensor that training may change.
    pub fn initializer(&mut self, hint: &str, tensor: Tensor) -> String {
        let name = self.fresh(hint);
        self.graph.initializers.insert(name.clone(), tensor);
        name
    }

    /// Adds a tensor that training leaves alone: a `Constant` node.
    pub fn constant(&mut self, hint: &str, tensor: Tensor) -> String {
        self.node("Constant", hint, &[], [("value", Attribute::Tensor(tensor))])
    }

    /// Adds a node with one output, both named after `hint`; gives the output's name.
    pub fn node<const N: usize>(
        &mut self,
        op: &str,
        hint: &str,
        inputs: &[&str],
        attributes: [(&str, Attribute); N],
    ) -> String {
        self.node_with(op, hint, inputs, attributes)
    }

    /// As [`Self::node`], where the number of attributes is decided as the graph is built.
    pub fn node_with<'a>(
        &mut self,
        op: &str,
        hint: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = (&'a str, Attribute)>,
    ) -> String {
        let output = self.fresh(hint);
        let node = Node {
            name: output.clone(),
            op: op.to_owned(),
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            outputs: vec![output.clone()],
            attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..Default::default()
        };
        self.graph.nodes.push(node);
        output
    }

    /// Adds a node as it is; its outputs' names must be fresh.
    pub fn push(&mut self, node: Node) {
        self.names.extend(node.outputs.iter().cloned());
        self.graph.nodes.push(node);
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_unique() {
        let mut builder = GraphBuilder::new("g");
        let a = builder.initializer("w", Tensor::scalar(1.0));
        let b = builder.initializer("w", Tensor::scalar(2.0));
        let c = builder.node("Add", "w", &[&a, &b], []);
        assert_eq!([a.as_str(), b.as_str(), c.as_str()], ["w", "w_1", "w_2"]);
        let mut again = GraphBuilder::from_graph(builder.finish());
        assert_eq!(again.fresh("w"), "w_3");
    }
}
