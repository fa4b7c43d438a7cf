//! Which node of one file is which of another: by the value it writes, by its name, else by its place.
//!
//! Two files of one function often share names. Where an exporter chose others, `place` looks for the node that stands
//! in the same place.

use std::collections::{HashMap, HashSet};

use super::program::{NodeAt, Program};

/// Pairs of a reference's and a candidate's nodes and values.
#[derive(Debug, Default)]
pub struct Matching {
    /// For every node of the candidate, that of the reference.
    nodes: Vec<Option<usize>>,
    /// For every value of the candidate, that of the reference.
    values: HashMap<String, String>,
    /// Nodes of the reference that have a partner.
    taken: HashSet<usize>,
}

impl Matching {
    /// A program with itself.
    pub fn identity(program: &Program) -> Self {
        let count = program.nodes().len();
        let written = (0..count).flat_map(|node| program.writes(node).cloned());
        let values = written.chain(program.inputs()).map(|name| (name.clone(), name)).collect();
        Self { nodes: (0..count).map(Some).collect(), values, taken: (0..count).collect() }
    }

    /// Matches a candidate with its reference; inputs and outputs belong together by their order.
    pub fn of(reference: &Program, candidate: &Program) -> Self {
        let mut matching = Self { nodes: vec![None; candidate.nodes().len()], ..Self::default() };
        for (own, other) in candidate.inputs().into_iter().zip(reference.inputs()) {
            matching.values.insert(own, other);
        }
        matching.by_name(reference, candidate);
        super::place::match_rest(&mut matching, reference, candidate);
        for (own, other) in candidate.outputs().into_iter().zip(reference.outputs()) {
            matching.values.entry(own).or_insert(other);
        }
        matching
    }

    /// The reference's node of a candidate's.
    pub fn node(&self, candidate: usize) -> Option<usize> {
        self.nodes[candidate]
    }

    /// The reference's value of a candidate's.
    pub fn value(&self, candidate: &str) -> Option<&String> {
        self.values.get(candidate)
    }

    /// The candidate's value of each of the reference's: that of a node before that of an output.
    pub fn inverse(&self) -> HashMap<&str, &str> {
        let mut pairs: Vec<_> =
            self.values.iter().map(|(own, other)| (other.as_str(), own.as_str())).collect();
        // Where two of the candidate's stand for one, the one of the same name comes last and stays.
        pairs.sort_by_key(|(other, own)| (other == own, *own));
        pairs.into_iter().collect()
    }

    /// Whether a node of the reference has a partner.
    pub fn has(&self, reference: usize) -> bool {
        self.taken.contains(&reference)
    }

    /// Pairs nodes that write a value of one name, else those of one name and operator; none where the names turn out
    /// to be numbers that an exporter gave anew.
    fn by_name(&mut self, reference: &Program, candidate: &Program) {
        let named: HashMap<&str, usize> = reference
            .nodes()
            .iter()
            .enumerate()
            .filter(|(_, node)| !node.name.is_empty())
            .map(|(index, node)| (node.name.as_str(), index))
            .collect();
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        let mut taken = HashSet::new();
        for (index, node) in candidate.nodes().iter().enumerate() {
            let same_value = |&other: &usize| {
                let theirs = &reference.nodes()[other];
                theirs.outputs.first() == node.outputs.first()
                    || theirs.op == node.op && sorted(&theirs.outputs) == sorted(&node.outputs)
            };
            let by_value =
                node.outputs.first().and_then(|value| reference.producer(value)).filter(same_value);
            let by_name = named
                .get(node.name.as_str())
                .copied()
                .filter(|&other| reference.nodes()[other].op == node.op);
            if let Some(other) = by_value.or(by_name).filter(|other| taken.insert(*other)) {
                pairs.push((other, index));
            }
        }
        if names_tell(reference, candidate, &pairs) {
            pairs.into_iter().for_each(|(other, index)| {
                self.pair(NodeAt { program: reference, index: other }, NodeAt { program: candidate, index })
            });
        }
    }

    /// Takes two nodes for one; outputs belong together by their names where these are the same, else by their order.
    pub(super) fn pair(&mut self, reference: NodeAt<'_>, candidate: NodeAt<'_>) {
        self.nodes[candidate.index] = Some(reference.index);
        self.taken.insert(reference.index);
        let (own, theirs) = (candidate.node().outputs.clone(), reference.node().outputs.clone());
        let by_name = sorted(&own) == sorted(&theirs);
        for (own, other) in own.iter().zip(if by_name { &own } else { &theirs }) {
            if !own.is_empty() && !other.is_empty() {
                self.values.insert(own.clone(), other.clone());
            }
        }
    }
}

fn sorted(names: &[String]) -> Vec<&String> {
    let mut names: Vec<&String> = names.iter().collect();
    names.sort();
    names
}

/// Whether nodes that share a name are of one kind, too. Where an exporter numbers values, one node more or less gives
/// every name behind it to another node.
fn names_tell(reference: &Program, candidate: &Program, pairs: &[(usize, usize)]) -> bool {
    let unlike = pairs.iter().filter(|&&(other, index)| {
        let theirs = NodeAt { program: reference, index: other };
        let own = NodeAt { program: candidate, index };
        theirs.node().op != own.node().op || super::place::weights_differ_in_shape(theirs, own)
    });
    8 * unlike.count() <= pairs.len().max(16)
}
