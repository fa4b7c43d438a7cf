//! Which node stands in the same place, where names do not tell: the same operator behind the same values.
//!
//! A node that only one file has (a Clip that somebody removed or added) is stepped over, so that what follows it is
//! matched all the same. Of several that fit, the one with the same attributes and weights is taken; where none fits
//! input by input, one that reads the same in another order, else one that shares an input.

use std::collections::{BTreeSet, HashMap};

use super::matching::Matching;
use super::program::{NodeAt, Program};

/// How many nodes of one file alone may follow one another.
const STEPS: usize = 4;

/// A fit, and of those over other nodes how many values both come from.
type Score = (Fit, usize);

/// The link of two values that are one.
const DIRECT: usize = usize::MAX;

/// How well two nodes fit, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// They share an input.
    Partly,
    /// They read the same in another order.
    Reordered,
    /// Over nodes that one file lacks; weights of the same shapes.
    Behind,
    /// The same with the same attributes and weights.
    BehindAndEqual,
    /// They read the same; weights of the same shapes.
    Direct,
    /// The same with the same attributes and weights.
    Equal,
}

/// Matches what is not matched yet, in the candidate's order, so that what a node reads is matched before it.
pub fn match_rest(matching: &mut Matching, reference: &Program, candidate: &Program) {
    let places = Places {
        reference,
        candidate,
        readers: [reference, candidate].map(readers),
        constants: constants(reference),
    };
    for least in [Fit::Reordered, Fit::Partly] {
        for index in 0..candidate.nodes().len() {
            if matching.node(index).is_none()
                && let Some(other) = places.partner(matching, index, least)
            {
                matching.pair(at(reference, other), at(candidate, index));
                places.pair_constants(matching, other, index);
            }
        }
    }
}

/// Whether weights in the same position have other shapes.
pub fn weights_differ_in_shape(reference: NodeAt<'_>, candidate: NodeAt<'_>) -> bool {
    let (theirs, own) = (reference.node(), candidate.node());
    theirs.inputs.iter().zip(&own.inputs).any(|(theirs, own)| {
        let shape = |program: &Program, name: &String| {
            program.model.graph.initializers.get(name).map(|tensor| tensor.shape().to_vec())
        };
        matches!((shape(reference.program, theirs), shape(candidate.program, own)), (Some(a), Some(b)) if a != b)
    })
}

/// Whether two nodes state the same: operator, attributes and weights. What they read is not asked.
pub fn states_the_same(reference: NodeAt<'_>, candidate: NodeAt<'_>) -> bool {
    let (a, b) = (reference.node(), candidate.node());
    let weight = |program: &Program, name: &String| program.model.graph.initializers.get(name).cloned();
    (&a.op, &a.domain, a.inputs.len()) == (&b.op, &b.domain, b.inputs.len())
        && a.attributes.len() == b.attributes.len()
        && a.attributes.iter().all(|(name, value)| b.attributes.get(name) == Some(value))
        && a.inputs
            .iter()
            .zip(&b.inputs)
            .all(|(a, b)| weight(reference.program, a) == weight(candidate.program, b))
}

fn at(program: &Program, index: usize) -> NodeAt<'_> {
    NodeAt { program, index }
}

struct Places<'a> {
    reference: &'a Program,
    candidate: &'a Program,
    /// The nodes that read a value, in the reference and in the candidate.
    readers: [HashMap<&'a str, Vec<usize>>; 2],
    /// Nodes of the reference that read weights alone.
    constants: Vec<usize>,
}

fn readers(program: &Program) -> HashMap<&str, Vec<usize>> {
    let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
    for node in 0..program.nodes().len() {
        program.reads(node).iter().for_each(|name| readers.entry(name).or_default().push(node));
    }
    readers
}

fn constants(program: &Program) -> Vec<usize> {
    (0..program.nodes().len()).filter(|&node| program.reads(node).is_empty()).collect()
}

impl Places<'_> {
    fn partner(&self, matching: &Matching, index: usize, least: Fit) -> Option<usize> {
        let near: Vec<usize> = match self.candidate.reads(index) {
            [] => self.constants.clone(),
            reads => {
                let values = reads.iter().flat_map(|name| self.before(matching, name));
                self.near(matching, values.collect())
            }
        };
        let free = near.into_iter().filter(|&other| !matching.has(other));
        let mut best: Option<(Score, usize)> = None;
        for other in free {
            let fit = self.fit(matching, other, index).filter(|(fit, _)| *fit >= least);
            if let Some(fit) = fit.filter(|fit| best.is_none_or(|(known, _)| *fit > known)) {
                best = Some((fit, other));
            }
        }
        // What fits another node better is left to it.
        best.filter(|&(fit, other)| {
            fit.0 == Fit::Equal || !self.belongs_to_another(matching, other, fit, index)
        })
        .map(|(_, other)| other)
    }

    /// Whether the reference's node `other` fits a candidate's node other than `index` better than `fit`.
    fn belongs_to_another(&self, matching: &Matching, other: usize, fit: Score, index: usize) -> bool {
        let mut open: Vec<&String> = self.candidate.reads(index).iter().collect();
        for _ in 0..STEPS {
            let readers = open.iter().filter_map(|name| self.readers[1].get(name.as_str())).flatten();
            let rivals: Vec<usize> =
                readers.copied().filter(|&rival| matching.node(rival).is_none()).collect();
            let better = |&rival: &usize| {
                let theirs = self.fit(matching, other, rival);
                theirs.is_some_and(|(kind, shared)| kind == Fit::Equal || (kind, shared) > fit)
            };
            if rivals.iter().filter(|rival| **rival != index).any(better) {
                return true;
            }
            open = rivals.iter().flat_map(|&rival| self.candidate.writes(rival)).collect();
        }
        false
    }

    /// The reference's values that a candidate's is, or is made from by nodes without a partner.
    fn before(&self, matching: &Matching, name: &str) -> BTreeSet<String> {
        self.behind(
            self.candidate,
            name,
            |name| matching.value(name).cloned(),
            |node| matching.node(node).is_some(),
        )
    }

    /// A reference's value and those that it is made from by nodes without a partner.
    fn over(&self, matching: &Matching, name: &str) -> BTreeSet<String> {
        let mut found = self.behind(self.reference, name, |_| None, |node| matching.has(node));
        found.insert(name.to_owned());
        found
    }

    fn behind(
        &self,
        program: &Program,
        name: &str,
        known: impl Fn(&String) -> Option<String>,
        matched: impl Fn(usize) -> bool,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        for _ in 0..=STEPS {
            let mut next = Vec::new();
            for name in open {
                if let Some(value) = known(&name) {
                    found.insert(value);
                } else if let Some(node) = program.producer(&name).filter(|&node| !matched(node)) {
                    next.extend(program.reads(node).iter().cloned());
                } else if std::ptr::eq(program, self.reference) {
                    found.insert(name);
                }
                if found.len() > 16 {
                    return found;
                }
            }
            if std::ptr::eq(program, self.reference) {
                found.extend(next.iter().cloned());
            }
            open = next;
        }
        found
    }

    /// The reference's nodes that read values, and those behind them while they have no partner.
    fn near(&self, matching: &Matching, values: Vec<String>) -> Vec<usize> {
        /// More than this is no neighbourhood.
        const MOST: usize = 256;
        let mut found: Vec<usize> = Vec::new();
        let mut open = values;
        for _ in 0..=STEPS {
            let here: Vec<usize> = open
                .iter()
                .filter_map(|name| self.readers[0].get(name.as_str()))
                .flatten()
                .copied()
                .collect();
            let new: Vec<usize> = here.into_iter().filter(|node| !found.contains(node)).collect();
            let free = new.iter().filter(|&&node| !matching.has(node));
            open = free.flat_map(|&node| self.reference.writes(node).cloned()).collect();
            found.extend(new);
            if found.len() > MOST {
                break;
            }
        }
        found
    }

    fn fit(&self, matching: &Matching, other: usize, index: usize) -> Option<Score> {
        let (a, b) = (&self.reference.nodes()[other], &self.candidate.nodes()[index]);
        if (&a.op, &a.domain, a.inputs.len()) != (&b.op, &b.domain, b.inputs.len()) {
            return None;
        }
        let equal = || states_the_same(at(self.reference, other), at(self.candidate, index));
        let links: Vec<Option<usize>> =
            a.inputs.iter().zip(&b.inputs).map(|(theirs, own)| self.link(matching, theirs, own)).collect();
        match links.iter().copied().collect::<Option<Vec<usize>>>() {
            Some(links) if links.iter().all(|shared| *shared == DIRECT) => {
                Some((if equal() { Fit::Equal } else { Fit::Direct }, 0))
            }
            Some(links) => {
                let shared = links.iter().filter(|shared| **shared != DIRECT).sum();
                Some((if equal() { Fit::BehindAndEqual } else { Fit::Behind }, shared))
            }
            None => {
                let mut read: Vec<&String> = b.inputs.iter().filter_map(|own| matching.value(own)).collect();
                let mut theirs: Vec<&String> = a.inputs.iter().collect();
                read.sort();
                theirs.sort();
                let moving = |own: &String| matching.value(own).is_some();
                let shares = links.iter().zip(&b.inputs).any(|(link, own)| link.is_some() && moving(own));
                if read == theirs { Some((Fit::Reordered, 0)) } else { shares.then_some((Fit::Partly, 0)) }
            }
        }
    }

    /// Whether two inputs in one position belong together: directly, or by how many values that both come from.
    fn link(&self, matching: &Matching, theirs: &String, own: &String) -> Option<usize> {
        let shape = |program: &Program, name: &String| {
            program.model.graph.initializers.get(name).map(|tensor| tensor.shape().to_vec())
        };
        let constant = |program: &Program, name: &String| {
            program.producer(name).is_some_and(|node| program.is_constant(node))
        };
        match (shape(self.reference, theirs), shape(self.candidate, own)) {
            (Some(a), Some(b)) => (a == b).then_some(DIRECT),
            (Some(_), None) => constant(self.candidate, own).then_some(DIRECT),
            (None, Some(_)) => constant(self.reference, theirs).then_some(DIRECT),
            (None, None) if own.is_empty() || theirs.is_empty() => (own == theirs).then_some(DIRECT),
            (None, None) if matching.value(own) == Some(theirs) => Some(DIRECT),
            (None, None) if constant(self.candidate, own) && constant(self.reference, theirs) => Some(DIRECT),
            (None, None) => {
                let (own, theirs) = (self.before(matching, own), self.over(matching, theirs));
                let shared = own.intersection(&theirs).count();
                (shared > 0).then_some(shared)
            }
        }
    }

    /// Of two nodes that belong together, what makes their constants does, too.
    fn pair_constants(&self, matching: &mut Matching, other: usize, index: usize) {
        let inputs = |program: &Program, node: usize| program.nodes()[node].inputs.clone();
        let pairs = inputs(self.reference, other).into_iter().zip(inputs(self.candidate, index));
        for (theirs, own) in pairs.collect::<Vec<_>>() {
            let (Some(other), Some(index)) =
                (self.reference.producer(&theirs), self.candidate.producer(&own))
            else {
                continue;
            };
            let alike = self.reference.nodes()[other].op == self.candidate.nodes()[index].op;
            let constant = self.reference.is_constant(other) && self.candidate.is_constant(index);
            if alike && constant && !matching.has(other) && matching.node(index).is_none() {
                matching.pair(at(self.reference, other), at(self.candidate, index));
                self.pair_constants(matching, other, index);
            }
        }
    }
}
