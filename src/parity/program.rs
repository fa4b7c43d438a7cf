//! A graph as a comparison walks it: what every node reads and writes, and the types of values.
//!
//! The nodes are the file's own; nothing is folded or rewritten but `Constant` nodes, which become
//! initializers. Operators that are not known here are compared like any other: only the types behind them are
//! then found out by running.

use std::collections::{BTreeSet, HashMap};

use super::cut::Values;
use super::error::ParityError;
use super::value::Value;
use crate::onnx::{Attribute, DType, Graph, Model, Node, ValueInfo};
use crate::rewrite::{TensorType, Types, resized, upgrade};

/// A model of fixed input sizes.
#[derive(Debug)]
pub struct Program {
    /// The model, its inputs sized and its constants among the initializers.
    pub model: Model,
    /// The values that every node reads, those of its subgraphs included, initializers left out.
    reads: Vec<Vec<String>>,
    /// The initializers that every node reads.
    weights: Vec<Vec<String>>,
    producers: HashMap<String, usize>,
    /// Whether every node reads constants alone.
    constant: Vec<bool>,
    types: HashMap<String, TensorType>,
}

/// A node of a program, by its index.
#[derive(Clone, Copy)]
pub struct NodeAt<'a> {
    /// What it is a node of.
    pub program: &'a Program,
    /// Its index.
    pub index: usize,
}

impl<'a> NodeAt<'a> {
    /// The node itself.
    pub fn node(self) -> &'a Node {
        &self.program.nodes()[self.index]
    }
}

impl Program {
    /// Gives the model its input shapes, one per required input.
    ///
    /// # Errors
    /// The model does not take these shapes.
    pub fn open(model: &Model, shapes: &[Vec<usize>]) -> Result<Self, ParityError> {
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let declared = model.clone();
        let mut model = resized(model.clone(), &shapes)?;
        let types = types(&model, &declared);
        hoist_constants(&mut model.graph);
        let graph = &model.graph;
        let names: Vec<BTreeSet<String>> = graph.nodes.iter().map(read_by).collect();
        let of = |weights: bool| {
            let kept = |name: &&String| graph.initializers.contains_key(*name) == weights;
            names.iter().map(|names| names.iter().filter(kept).cloned().collect()).collect()
        };
        let (reads, weights): (Vec<Vec<String>>, Vec<Vec<String>>) = (of(false), of(true));
        let written = |(index, node): (usize, &Node)| {
            node.outputs.iter().map(|name| (name.clone(), index)).collect::<Vec<_>>()
        };
        let producers: HashMap<String, usize> =
            graph.nodes.iter().enumerate().flat_map(written).filter(|(name, _)| !name.is_empty()).collect();
        let constant = constant(&reads, &producers);
        Ok(Self { reads, weights, producers, constant, types, model })
    }

    /// The nodes, in the file's order.
    pub fn nodes(&self) -> &[Node] {
        &self.model.graph.nodes
    }

    /// The values that a node reads, initializers left out.
    pub fn reads(&self, node: usize) -> &[String] {
        &self.reads[node]
    }

    /// The initializers that a node reads.
    pub fn weights(&self, node: usize) -> &[String] {
        &self.weights[node]
    }

    /// The values that a node writes.
    pub fn writes(&self, node: usize) -> impl Iterator<Item = &String> {
        self.nodes()[node].outputs.iter().filter(|name| !name.is_empty())
    }

    /// The node that writes a value.
    pub fn producer(&self, value: &str) -> Option<usize> {
        self.producers.get(value).copied()
    }

    /// The type of a value, as far as it follows from the inputs' sizes.
    pub fn ty(&self, value: &str) -> Option<&TensorType> {
        self.types.get(value)
    }

    /// The element type of a value; float32 where it is not known.
    pub fn dtype(&self, value: &str) -> DType {
        self.ty(value).map_or(DType::F32, |ty| ty.dtype)
    }

    /// The inputs to feed, in order.
    pub fn inputs(&self) -> Vec<String> {
        self.model.graph.required_inputs().map(|input| input.name.clone()).collect()
    }

    /// What the inputs are fed with, in the types that this model takes them in.
    pub fn fed(&self, values: &[Value]) -> Values {
        let typed = |(input, value): (&ValueInfo, &Value)| {
            let dtype = input.dims().map_or(value.dtype, |(dtype, _)| dtype);
            (input.name.clone(), Value { dtype, ..value.clone() })
        };
        self.model.graph.required_inputs().zip(values).map(typed).collect()
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> Vec<String> {
        self.model.graph.outputs.iter().map(|output| output.name.clone()).collect()
    }

    /// The nodes that values depend on, in order.
    pub fn behind(&self, values: &[String]) -> Vec<usize> {
        self.between(&|_| false, values)
    }

    /// Whether a node computes the same whatever the inputs, as a dequantised weight does.
    pub fn is_constant(&self, node: usize) -> bool {
        self.constant[node]
    }

    /// The nodes with those that their constants come from, in order: a runtime fuses what it knows to be constant.
    pub fn with_constants(&self, nodes: &[usize]) -> Vec<usize> {
        let read: Vec<String> = nodes.iter().flat_map(|&node| self.reads(node)).cloned().collect();
        let moves = |value: &str| self.producer(value).is_some_and(|node| !self.is_constant(node));
        let all: BTreeSet<usize> = nodes.iter().copied().chain(self.between(&moves, &read)).collect();
        all.into_iter().collect()
    }

    /// The nodes that values depend on where those that are `known` are at hand, in order.
    pub fn between(&self, known: &dyn Fn(&str) -> bool, values: &[String]) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&String> = values.iter().collect();
        while let Some(value) = open.pop() {
            if let Some(node) = self.producer(value).filter(|_| !known(value))
                && found.insert(node)
            {
                open.extend(self.reads(node));
            }
        }
        found.into_iter().collect()
    }
}

/// Which nodes read what constant nodes write, and nothing else; nodes stand in an order in which they can run.
fn constant(reads: &[Vec<String>], producers: &HashMap<String, usize>) -> Vec<bool> {
    let mut constant: Vec<bool> = Vec::new();
    for read in reads {
        let is_constant =
            |value: &String| producers.get(value).and_then(|&before| constant.get(before)) == Some(&true);
        constant.push(read.iter().all(is_constant));
    }
    constant
}

/// What is known of the types, at the opset that the table of operators starts with.
fn types(model: &Model, declared: &Model) -> HashMap<String, TensorType> {
    let mut found = HashMap::new();
    let Ok(upgraded) = upgrade(model) else { return found };
    let Ok(mut types) = Types::open(&upgraded) else { return found };
    for node in &upgraded.graph.nodes {
        // What is not known leaves what depends on it unknown.
        let _ = types.apply(node);
        for name in node.outputs.iter().chain(&node.inputs) {
            if let Some(ty) = types.get(name) {
                found.entry(name.clone()).or_insert_with(|| ty.clone());
            }
        }
    }
    let stated = declared.graph.values.iter().chain(&declared.graph.outputs);
    for info in stated {
        if let Some((dtype, dims)) = info.dims()
            && let Some(shape) = dims.iter().map(|dim| dim.known()).collect::<Option<Vec<_>>>()
        {
            found.entry(info.name.clone()).or_insert_with(|| TensorType::new(dtype, shape));
        }
    }
    found
}

/// The model with the tensors of its `Constant` nodes among its initializers: the nodes that [`Program::nodes`] counts.
pub fn hoisted(model: &Model) -> Model {
    let mut model = model.clone();
    hoist_constants(&mut model.graph);
    model
}

/// Puts the tensors of `Constant` nodes among the initializers.
fn hoist_constants(graph: &mut Graph) {
    let outputs: BTreeSet<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
    let nodes = std::mem::take(&mut graph.nodes);
    for node in nodes {
        match (node.attributes.get("value"), node.outputs.first()) {
            (Some(Attribute::Tensor(tensor)), Some(name))
                if node.op == "Constant" && node.domain.is_empty() && !outputs.contains(name) =>
            {
                graph.initializers.insert(name.clone(), tensor.clone());
            }
            _ => graph.nodes.push(node),
        }
    }
}

/// The names that a node reads, and those that its subgraphs take from around them.
fn read_by(node: &Node) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = node.inputs.iter().filter(|name| !name.is_empty()).cloned().collect();
    for attribute in node.attributes.values() {
        let graphs = match attribute {
            Attribute::Graph(graph) => std::slice::from_ref(graph.as_ref()),
            Attribute::Graphs(graphs) => graphs.as_slice(),
            _ => continue,
        };
        graphs.iter().for_each(|graph| names.extend(captured(graph)));
    }
    names
}

/// The names that a subgraph reads and does not make.
fn captured(graph: &Graph) -> BTreeSet<String> {
    let mut own: BTreeSet<&str> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
    own.extend(graph.initializers.keys().map(String::as_str));
    own.extend(graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str));
    let read =
        graph.nodes.iter().flat_map(read_by).chain(graph.outputs.iter().map(|output| output.name.clone()));
    read.filter(|name| !own.contains(name.as_str())).collect()
}
