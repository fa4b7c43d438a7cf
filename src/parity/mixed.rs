//! A file of reduced precision with some of its nodes taken from its float32 parent.
//!
//! A node that is kept in float32 reads the parent's weights and the values before they are quantised or made float16,
//! and writes float32; values pass from one such node to the next without a detour. Deliberately absent: which nodes.

use std::collections::{BTreeSet, HashMap};

use super::matching::Matching;
use super::program::Program;
use crate::onnx::{Attribute, DType, Model, Node};
use crate::rewrite::prune;

/// The candidate with the nodes `kept` of its float32 parent; both models as [`super::program::hoisted`] leaves them.
pub fn mixed(
    parent: &Model,
    candidate: &Model,
    matching: &Matching,
    program: &Program,
    kept: &BTreeSet<usize>,
) -> Model {
    let mut made = candidate.clone();
    made.graph.values.clear();
    let mut stitching = Stitching {
        parent,
        inverse: matching.inverse(),
        program,
        single: HashMap::new(),
        ends: HashMap::new(),
    };
    for (index, node) in std::mem::take(&mut made.graph.nodes).into_iter().enumerate() {
        match matching.node(index).filter(|_| kept.contains(&index)) {
            Some(theirs) => stitching.keep(&mut made, &node, &parent.graph.nodes[theirs]),
            None => made.graph.nodes.push(node),
        }
    }
    stitching.end(&mut made);
    prune(&mut made.graph);
    made
}

/// Whether a node computes in reduced precision and its parent's can stand in its place.
pub fn can_keep(parent: &Program, matching: &Matching, program: &Program, node: usize) -> bool {
    let own = &program.nodes()[node];
    let Some(theirs) = matching.node(node) else { return false };
    let inverse = matching.inverse();
    let reads = parent.reads(theirs).iter().all(|name| inverse.contains_key(name.as_str()));
    let is_half = program.writes(node).any(|name| program.dtype(name) == DType::F16);
    let is_dequantised = |name: &String| {
        program.producer(name).is_some_and(|before| program.nodes()[before].op == "DequantizeLinear")
    };
    let same =
        parent.nodes()[theirs].op == own.op && parent.nodes()[theirs].outputs.len() == own.outputs.len();
    let floats = parent.writes(theirs).all(|name| parent.dtype(name) == DType::F32);
    same && reads && floats && own.op != "Cast" && (is_half || program.reads(node).iter().any(is_dequantised))
}

struct Stitching<'a> {
    parent: &'a Model,
    /// The candidate's value of each of the parent's.
    inverse: HashMap<&'a str, &'a str>,
    program: &'a Program,
    /// The float32 value beside each of the candidate's float16 ones, as far as there is one.
    single: HashMap<String, String>,
    /// What stands for each of the parent's values that a kept node writes, in the candidate's type.
    ends: HashMap<&'a str, String>,
}

impl<'a> Stitching<'a> {
    fn keep(&mut self, made: &mut Model, own: &Node, theirs: &'a Node) {
        self.ends.extend(theirs.outputs.iter().map(String::as_str).zip(own.outputs.iter().cloned()));
        let mut node = Node { name: own.name.clone(), ..theirs.clone() };
        for input in node.inputs.iter_mut().filter(|name| !name.is_empty()) {
            *input = match self.parent.graph.initializers.get(input) {
                Some(weight) => {
                    let name = format!("float32/{input}");
                    made.graph.initializers.entry(name.clone()).or_insert_with(|| weight.clone());
                    name
                }
                None => self.read(made, input),
            };
        }
        let mut casts = Vec::new();
        for (output, name) in node.outputs.iter_mut().zip(&own.outputs) {
            output.clone_from(name);
            if !name.is_empty() && self.program.dtype(name) == DType::F16 {
                *output = format!("float32/{name}");
                casts.push(cast(output, name, DType::F16));
                self.single.insert(name.clone(), output.clone());
            }
        }
        made.graph.nodes.push(node);
        made.graph.nodes.extend(casts);
    }

    /// Gives what a kept node wrote as the output of the graph, where the candidate would quantise it once more.
    fn end(&self, made: &mut Model) {
        let pairs = made.graph.outputs.iter().zip(&self.parent.graph.outputs);
        for (own, theirs) in pairs {
            let Some(end) = self.ends.get(theirs.name.as_str()).filter(|end| **end != own.name) else {
                continue;
            };
            let writer = made.graph.nodes.iter_mut().find(|node| node.outputs.contains(&own.name));
            if let Some(writer) = writer.filter(|node| node.op == "DequantizeLinear") {
                writer.op = "Identity".into();
                writer.inputs = vec![end.clone()];
                writer.attributes.clear();
            }
        }
    }

    /// A value of the parent's as float32, of what the candidate has.
    fn read(&mut self, made: &mut Model, name: &str) -> String {
        let own = self.inverse.get(name).copied().unwrap_or(name).to_owned();
        if self.program.dtype(&own) != DType::F16 {
            return own;
        }
        if let Some(known) = self.single.get(&own) {
            return known.clone();
        }
        let single = format!("float32/{own}");
        made.graph.nodes.push(cast(&own, &single, DType::F32));
        self.single.insert(own, single.clone());
        single
    }
}

fn cast(from: &str, to: &str, dtype: DType) -> Node {
    Node {
        op: "Cast".into(),
        name: format!("cast/{to}"),
        inputs: vec![from.to_owned()],
        outputs: vec![to.to_owned()],
        attributes: [("to".to_owned(), Attribute::Int(i64::from(dtype as i32)))].into_iter().collect(),
        ..Node::default()
    }
}
