//! Which node of one file is which of another: by the value it writes, by its name, else by its place.
//!
//! Two files of one function often share names. Where an exporter chose others, a node is taken for the one of the
//! same operator that reads the same values, input by input. A node that only one file has (a Clip that somebody
//! removed) is stepped over.

use std::collections::{HashMap, HashSet};

use super::program::Program;

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
        matching.by_place(reference, candidate);
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

    fn pair(&mut self, reference: (&Program, usize), candidate: (&Program, usize)) {
        self.nodes[candidate.1] = Some(reference.1);
        self.taken.insert(reference.1);
        let outputs = |(program, node): (&Program, usize)| program.nodes()[node].outputs.clone();
        for (own, other) in outputs(candidate).into_iter().zip(outputs(reference)) {
            if !own.is_empty() && !other.is_empty() {
                self.values.insert(own, other);
            }
        }
    }

    fn by_name(&mut self, reference: &Program, candidate: &Program) {
        let named: HashMap<&str, usize> = reference
            .nodes()
            .iter()
            .enumerate()
            .filter(|(_, node)| !node.name.is_empty())
            .map(|(index, node)| (node.name.as_str(), index))
            .collect();
        for (index, node) in candidate.nodes().iter().enumerate() {
            let by_value = node.outputs.first().and_then(|value| reference.producer(value));
            let by_value =
                by_value.filter(|&other| reference.nodes()[other].outputs.first() == node.outputs.first());
            let by_name = named
                .get(node.name.as_str())
                .copied()
                .filter(|&other| reference.nodes()[other].op == node.op);
            if let Some(other) = by_value.or(by_name).filter(|other| !self.taken.contains(other)) {
                self.pair((reference, other), (candidate, index));
            }
        }
    }

    /// In the candidate's order, so that the values that a node reads are matched before it.
    fn by_place(&mut self, reference: &Program, candidate: &Program) {
        let mut readers: HashMap<&String, Vec<usize>> = HashMap::new();
        for node in 0..reference.nodes().len() {
            reference.reads(node).iter().for_each(|name| readers.entry(name).or_default().push(node));
        }
        for index in 0..candidate.nodes().len() {
            if self.nodes[index].is_some() {
                continue;
            }
            let Some(first) = candidate.reads(index).iter().find_map(|name| self.through(candidate, name))
            else {
                continue;
            };
            // A node that the candidate lacks may stand between.
            let mut near: Vec<usize> = readers.get(&first).cloned().unwrap_or_default();
            let skipped = near.iter().filter(|node| !self.taken.contains(node));
            let behind: Vec<usize> = skipped
                .flat_map(|&node| reference.writes(node).collect::<Vec<_>>())
                .flat_map(|name| readers.get(name).cloned().unwrap_or_default())
                .collect();
            near.extend(behind);
            let fits = |&other: &usize| {
                !self.taken.contains(&other) && self.fits((reference, other), (candidate, index))
            };
            if let Some(other) = near.into_iter().find(fits) {
                self.pair((reference, other), (candidate, index));
            }
        }
    }

    /// The reference's value of a candidate's, through a node that the reference lacks.
    fn through(&self, candidate: &Program, name: &String) -> Option<String> {
        if let Some(known) = self.values.get(name) {
            return Some(known.clone());
        }
        let before = candidate.producer(name).filter(|&node| self.nodes[node].is_none())?;
        candidate.reads(before).first().and_then(|name| self.values.get(name)).cloned()
    }

    fn fits(&self, (reference, other): (&Program, usize), (candidate, index): (&Program, usize)) -> bool {
        let (a, b) = (&reference.nodes()[other], &candidate.nodes()[index]);
        if a.op != b.op || a.domain != b.domain || a.inputs.len() != b.inputs.len() {
            return false;
        }
        a.inputs.iter().zip(&b.inputs).all(|(theirs, own)| {
            let weights = [(reference, theirs), (candidate, own)].map(|(program, name)| {
                program.model.graph.initializers.get(name).map(|tensor| tensor.shape().to_vec())
            });
            match weights {
                [Some(a), Some(b)] => a == b,
                [None, None] if own.is_empty() => theirs.is_empty(),
                [None, None] => self.through(candidate, own).is_some_and(|known| {
                    known == *theirs || self.skipped(reference, theirs).is_some_and(|before| *before == known)
                }),
                _ => false,
            }
        })
    }

    /// What the node behind a value reads first, where the candidate lacks that node.
    pub fn skipped<'a>(&self, reference: &'a Program, value: &str) -> Option<&'a String> {
        let node = reference.producer(value).filter(|node| !self.taken.contains(node))?;
        reference.reads(node).first()
    }
}
