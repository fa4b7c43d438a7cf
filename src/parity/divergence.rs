//! What a comparison says of the place where two sides part, and of the nodes that amplify.

use super::compare::Question;
use super::difference::Difference;
use super::inputs::Input;
use super::nodes::Point;
use super::report::{Amplifier, Divergence};
use crate::onnx::Node;

/// A node's name; the value that it writes, where it has none.
fn title(node: &Node) -> String {
    let value = node.outputs.iter().find(|name| !name.is_empty());
    if node.name.is_empty() { value.cloned().unwrap_or_default() } else { node.name.clone() }
}

/// The node that a point is about: the reference's, where the candidate has another operator or none in its place.
fn node<'a>(question: &'a Question<'_>, point: &Point) -> Option<&'a Node> {
    let theirs = point.reference.map(|node| &question.reference.program.nodes()[node]);
    let own = point.candidate.map(|node| &question.candidate.program.nodes()[node]);
    own.filter(|own| theirs.is_none_or(|theirs| own.op == theirs.op)).or(theirs)
}

/// The divergence at a point.
pub fn divergence(question: &Question<'_>, point: &Point, input: &Input, how: &str) -> Option<Divergence> {
    let node = node(question, point)?;
    let program = &question.candidate.program;
    let own = point.candidate.map(|node| &program.nodes()[node]);
    let how = match (own, point.reference) {
        (None, _) => "the candidate lacks this node of the reference".to_owned(),
        (Some(_), None) => "the reference has no such node".to_owned(),
        (Some(own), _) if own.op != node.op => format!("{} stands in its place", own.label()),
        _ => how.to_owned(),
    };
    Some(Divergence {
        node: title(node),
        operator: node.qualified_op(),
        value: point.value.clone(),
        isolated_error: point.isolated.as_ref().map(|found| found.max),
        propagated_error: point.propagated.max,
        isolated: point.isolated.clone(),
        propagated: point.propagated.clone(),
        input: input.name.clone(),
        how,
        among: point.among.iter().map(|&node| title(&program.nodes()[node])).collect(),
        arbitration: None,
    })
}

/// Nodes of the candidate that show a difference together.
pub struct Together<'a> {
    /// Their places.
    pub nodes: &'a [usize],
    /// By how much the last of them differs, fed the reference's values.
    pub isolated: &'a Difference,
    /// The same in sequence.
    pub propagated: &'a Difference,
}

/// What several nodes show together: named by the last of them.
pub fn together(
    question: &Question<'_>,
    value: &str,
    Together { nodes, isolated, propagated }: Together<'_>,
    input: &Input,
    how: String,
) -> Divergence {
    let program = &question.candidate.program;
    let moving = nodes.iter().filter(|&&node| !program.is_constant(node));
    // A QuantizeLinear is the end of a group, and not what it is about.
    let shown: Vec<&Node> = moving.map(|&node| &program.nodes()[node]).collect();
    let last =
        shown.iter().rev().find(|node| !["QuantizeLinear", "DequantizeLinear"].contains(&node.op.as_str()));
    let fallback = &program.nodes()[program.producer(value).unwrap_or(0)];
    let node = last.copied().unwrap_or(fallback);
    Divergence {
        node: title(node),
        operator: node.qualified_op(),
        value: value.to_owned(),
        isolated_error: Some(isolated.max),
        propagated_error: propagated.max,
        isolated: Some(isolated.clone()),
        propagated: propagated.clone(),
        input: input.name.clone(),
        how,
        among: shown.iter().map(|node| title(node)).collect(),
        arbitration: None,
    }
}

/// The nodes whose relative error is the largest multiple of what they read.
pub fn amplifiers(question: &Question<'_>, points: &[Point]) -> Vec<Amplifier> {
    /// How many are told.
    const TOLD: usize = 5;
    /// Less than this is rounding.
    const LEAST: f64 = 1e-7;
    let grows = points.iter().filter(|point| point.read > LEAST && point.propagated.relative.is_finite());
    let mut found: Vec<Amplifier> = grows
        .filter_map(|point| {
            let node = node(question, point)?;
            Some(Amplifier {
                node: title(node),
                operator: node.qualified_op(),
                factor: point.propagated.relative / point.read,
                relative_error: point.propagated.relative,
            })
        })
        .filter(|amplifier| amplifier.factor > 1.0)
        .collect();
    found.sort_by(|a, b| b.factor.total_cmp(&a.factor));
    found.truncate(TOLD);
    found
}
