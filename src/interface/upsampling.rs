//! Finds the last feature map before upsampling in a graph that does not name it.
//!
//! From the output backwards to the first operator that upsamples features, and on through chains of
//! such operators (x4 is often x2 twice). What upsamples the image itself, as a global skip connection
//! does, is passed over. Deliberately absent: what the operators compute.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::onnx::{Attribute, Graph, Node};

/// The last feature map before upsampling.
#[derive(Clone, Debug)]
pub struct FoundTap {
    /// The value's name.
    pub value: String,
    /// How it was found, in words that go on "Phi is ...".
    pub how: String,
}

/// Finds the last feature map before upsampling; `None` where no convolution reads features.
pub fn find_tap(graph: &Graph) -> Option<FoundTap> {
    let graph = Backwards::new(graph);
    let output = graph.graph.outputs.first()?;
    if let Some(found) = graph.nearest(&output.name, |node| graph.before(node).is_some()) {
        let (value, label) = graph.first_of_chain(found)?;
        return Some(FoundTap { value, how: format!("the last value before the {label}, which upsamples") });
    }
    let last = graph.nearest(&output.name, |node| node.op == "Conv" && graph.has_features(node))?;
    let how = format!("the input of the last convolution, {}: nothing upsamples features", last.label());
    Some(FoundTap { value: last.input(0)?.to_owned(), how })
}

/// Whether a value is written by a node, moves with an input and moves an output.
pub fn on_the_way(graph: &Graph, value: &str) -> bool {
    let mut moved: HashSet<&str> = graph.required_inputs().map(|input| input.name.as_str()).collect();
    for node in &graph.nodes {
        if node.inputs.iter().any(|name| moved.contains(name.as_str())) {
            moved.extend(node.outputs.iter().map(String::as_str));
        }
    }
    let mut moves: HashSet<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|name| moves.contains(name.as_str())) {
            moves.extend(node.inputs.iter().map(String::as_str));
        }
    }
    let written = graph.nodes.iter().any(|node| node.outputs.iter().any(|name| name == value));
    written && moved.contains(value) && moves.contains(value)
}

/// A graph with the producer of every value.
struct Backwards<'a> {
    graph: &'a Graph,
    producers: HashMap<&'a str, &'a Node>,
}

impl<'a> Backwards<'a> {
    fn new(graph: &'a Graph) -> Self {
        let written =
            graph.nodes.iter().flat_map(|node| node.outputs.iter().map(move |name| (name.as_str(), node)));
        Self { graph, producers: written.collect() }
    }

    /// The node nearest to `value`, going backwards, that is wanted.
    fn nearest(&self, value: &str, wanted: impl Fn(&Node) -> bool) -> Option<&'a Node> {
        let mut queue = VecDeque::from([self.producers.get(value).copied()?]);
        let mut seen = HashSet::new();
        while let Some(node) = queue.pop_front() {
            if !seen.insert(node.outputs.first()) {
                continue;
            }
            if wanted(node) {
                return Some(node);
            }
            queue.extend(node.inputs.iter().filter_map(|name| self.producers.get(name.as_str())));
        }
        None
    }

    /// The feature map that a node upsamples, with the convolution that widens it for the purpose
    /// taken off; `None` where the node does something else, or upsamples the image.
    fn before(&self, node: &'a Node) -> Option<&'a str> {
        let value = match node.op.as_str() {
            "ConvTranspose" | "Resize" | "Upsample" => node.input(0)?,
            "DepthToSpace" => self.widening(node)?.input(0)?,
            // A shuffle spelled out: Reshape to six axes, Transpose, Reshape.
            "Transpose" if axes(node) == 6 => self.widening(node)?.input(0)?,
            _ => return None,
        };
        let depth = self.producers.get(value).copied()?;
        (depth.op == "Conv" || self.has_features(depth)).then_some(value)
    }

    /// The convolution that `node` reads through nodes of one computed input each.
    fn widening(&self, node: &'a Node) -> Option<&'a Node> {
        let mut node = node;
        loop {
            node = self.producers.get(node.input(0)?).copied()?;
            if node.op == "Conv" {
                return Some(node);
            }
            if self.computed_inputs(node) > 1 {
                return None;
            }
        }
    }

    fn computed_inputs(&self, node: &Node) -> usize {
        let constant = |name: &str| {
            self.graph.initializers.contains_key(name)
                || self.producers.get(name).is_some_and(|node| node.op == "Constant")
        };
        node.inputs.iter().filter(|name| !name.is_empty() && !constant(name)).count()
    }

    /// Whether a convolution lies behind a node.
    fn has_features(&self, node: &Node) -> bool {
        node.input(0).is_some_and(|value| self.nearest(value, |node| node.op == "Conv").is_some())
    }

    /// Where several upsample one after the other, what the first of them reads, and its label.
    fn first_of_chain(&self, last: &'a Node) -> Option<(String, String)> {
        let (mut node, mut value) = (last, self.before(last)?);
        let mut at = value;
        while let Some(producer) = self.producers.get(at).copied() {
            if let Some(earlier) = self.before(producer) {
                (node, value) = (producer, earlier);
                at = earlier;
            } else if self.computed_inputs(producer) == 1 {
                at = producer.input(0)?;
            } else {
                break;
            }
        }
        Some((value.to_owned(), node.label()))
    }
}

fn axes(transpose: &Node) -> usize {
    match transpose.attributes.get("perm") {
        Some(Attribute::Ints(perm)) => perm.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{DType, Dim, GraphBuilder, ValueInfo};
    use crate::zoo::Edsr;

    #[test]
    fn our_own_networks_are_found_as_they_say() {
        for scale in 2..=4 {
            let model = Edsr { features: 4, blocks: 2, scale }.build(0).unwrap();
            let FoundTap { value, how } = find_tap(&model.graph).unwrap();
            assert_eq!(value, "features");
            assert!(how.contains("DepthToSpace node `upsample.0.shuffle`"), "{how}");
        }
    }

    /// `steps` are (operator, name, inputs); the last is the output.
    fn graph(steps: &[(&str, &str, &[&str])]) -> Graph {
        let mut graph = GraphBuilder::new("g");
        graph.input(ValueInfo::tensor("x", DType::F32, [Dim::Known(1)]));
        for (op, name, inputs) in steps {
            graph.push(Node {
                op: (*op).into(),
                name: (*name).into(),
                inputs: inputs.iter().map(ToString::to_string).collect(),
                outputs: vec![(*name).into()],
                ..Default::default()
            });
        }
        let (_, last, _) = steps[steps.len() - 1];
        graph.output(ValueInfo::tensor(last, DType::F32, [Dim::Known(1)]));
        graph.finish()
    }

    fn value(steps: &[(&str, &str, &[&str])]) -> Option<String> {
        find_tap(&graph(steps)).map(|found| found.value)
    }

    #[test]
    fn skips_attention_and_plain_networks_are_told_apart() {
        // The image's own upscale is no feature map.
        let skip: &[(&str, &str, &[&str])] = &[
            ("Conv", "a", &["x"]),
            ("Relu", "b", &["a"]),
            ("Conv", "wide", &["b"]),
            ("DepthToSpace", "shuffle", &["wide"]),
            ("Resize", "large", &["x"]),
            ("Add", "y", &["large", "shuffle"]),
        ];
        assert_eq!(value(skip).unwrap(), "b");
        // A Resize inside an attention block is farther from the output than the shuffle.
        let attention: &[(&str, &str, &[&str])] = &[
            ("Conv", "a", &["x"]),
            ("MaxPool", "pool", &["a"]),
            ("Resize", "up", &["pool"]),
            ("Mul", "weighted", &["a", "up"]),
            ("Conv", "wide", &["weighted"]),
            ("DepthToSpace", "y", &["wide"]),
        ];
        assert_eq!(value(attention).unwrap(), "weighted");
        let after: &[(&str, &str, &[&str])] = &[
            ("Conv", "a", &["x"]),
            ("Resize", "up", &["a"]),
            ("Conv", "b", &["up"]),
            ("Resize", "c", &["b"]),
            ("Conv", "y", &["c"]),
        ];
        assert_eq!(value(after).unwrap(), "a");
        let before: &[(&str, &str, &[&str])] =
            &[("Resize", "up", &["x"]), ("Conv", "a", &["up"]), ("Relu", "b", &["a"]), ("Conv", "y", &["b"])];
        assert_eq!(value(before).unwrap(), "b");
        assert_eq!(value(&[("Relu", "y", &["x"])]), None);
    }
}
