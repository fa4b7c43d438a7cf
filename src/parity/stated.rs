//! What two files state differently of nodes that belong together: operators, attributes, weights.
//!
//! Nothing is run; a fault that no input shows (a clip that never acts) is seen here alone.

use super::matching::Matching;
use super::program::Program;

/// One line per node that is stated differently, in the candidate's order, then what only one file has.
pub fn stated_differences(reference: &Program, candidate: &Program, matching: &Matching) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, node) in candidate.nodes().iter().enumerate() {
        let Some(other) = matching.node(index).map(|other| &reference.nodes()[other]) else {
            lines.push(format!("{} is in this file alone", node.label()));
            continue;
        };
        if (&node.op, &node.domain) != (&other.op, &other.domain) {
            lines.push(format!("{} stands for {}", node.label(), other.label()));
            continue;
        }
        let mut names: Vec<&String> = node.attributes.keys().chain(other.attributes.keys()).collect();
        names.sort();
        names.dedup();
        let changed = names.iter().filter(|name| node.attributes.get(**name) != other.attributes.get(**name));
        lines.extend(changed.map(|name| format!("{}: attribute `{name}`", node.label())));
        for (place, (own, theirs)) in node.inputs.iter().zip(&other.inputs).enumerate() {
            let weight =
                |program: &Program, name: &String| program.model.graph.initializers.get(name).cloned();
            if weight(candidate, own) != weight(reference, theirs) {
                lines.push(format!("{}: weight `{own}` (input {place})", node.label()));
            }
        }
    }
    let lacking = reference.nodes().iter().enumerate().filter(|(index, _)| !matching.has(*index));
    lines.extend(lacking.map(|(_, node)| format!("{} is in the reference alone", node.label())));
    lines
}
