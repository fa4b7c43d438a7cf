//! Where two files of one function go different ways between values that belong together.
//!
//! A node that one file lacks, one that only it has, one operator in the place of another: what such nodes make of the
//! reference's values is held against the value that the reference has there. A node that both files state alike is
//! known to give the same for the same inputs on one runtime, and need not be run to learn it.

use std::collections::HashMap;

use super::matching::Matching;
use super::place::states_the_same;
use super::program::{NodeAt, Program};
use crate::onnx::Attribute;

/// Two values that stand in one place and are made by nodes without a partner.
#[derive(Clone, Debug)]
pub struct Detour {
    /// The candidate's value.
    pub own: String,
    /// The reference's.
    pub theirs: String,
    /// The candidate's nodes without a partner that make it, in order.
    pub added: Vec<usize>,
    /// The reference's nodes without a partner that make its value, in order.
    pub lacking: Vec<usize>,
    /// The candidate's node that reads it; `None` for an output.
    pub reader: Option<usize>,
}

/// What two files go different ways in, and what they state alike; empty for one file on two runtimes.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// In the candidate's order.
    pub detours: Vec<Detour>,
    /// The reference's value in the place of a candidate's that has no partner.
    aliases: HashMap<String, String>,
    /// The candidate's nodes that their partners state alike, and that read what belongs together.
    same: Vec<bool>,
}

/// A value of a program.
#[derive(Clone, Copy)]
struct ValueOf<'a> {
    program: &'a Program,
    name: &'a String,
}

impl<'a> ValueOf<'a> {
    fn new(program: &'a Program, name: &'a String) -> Self {
        Self { program, name }
    }
}

impl Ways {
    /// Finds them, once nodes are matched.
    pub fn of(reference: &Program, candidate: &Program, matching: &Matching) -> Self {
        let mut ways = Self::default();
        for index in 0..candidate.nodes().len() {
            let Some(other) = matching.node(index) else { continue };
            let (own, theirs) = (&candidate.nodes()[index], &reference.nodes()[other]);
            if own.op == theirs.op && own.inputs.len() == theirs.inputs.len() {
                let pairs = own.inputs.iter().zip(&theirs.inputs);
                pairs.for_each(|(own, theirs)| {
                    let (theirs, own) = (ValueOf::new(reference, theirs), ValueOf::new(candidate, own));
                    ways.note(theirs, own, matching, Some(index));
                });
            }
        }
        for (own, theirs) in candidate.outputs().iter().zip(&reference.outputs()) {
            ways.note(ValueOf::new(reference, theirs), ValueOf::new(candidate, own), matching, None);
        }
        if reference.model.opsets == candidate.model.opsets {
            let same = |index| ways.are_the_same(reference, candidate, matching, index);
            ways.same = (0..candidate.nodes().len()).map(same).collect();
        }
        ways
    }

    /// The reference's value that a candidate's stands for.
    pub fn value<'a>(&'a self, matching: &'a Matching, own: &str) -> Option<&'a String> {
        matching.value(own).or_else(|| self.aliases.get(own))
    }

    /// Whether a node of the candidate and its partner give the same for the same inputs, by what they state.
    pub fn is_same(&self, candidate: usize) -> bool {
        self.same.get(candidate) == Some(&true)
    }

    fn note(&mut self, theirs: ValueOf<'_>, own: ValueOf<'_>, matching: &Matching, reader: Option<usize>) {
        let ValueOf { program: reference, name: theirs } = theirs;
        let ValueOf { program: candidate, name: own } = own;
        let fixed = |program: &Program, name: &String| {
            name.is_empty() || program.model.graph.initializers.contains_key(name)
        };
        let known = |name: &str| {
            matching
                .value(name)
                .filter(|_| candidate.producer(name).is_none_or(|node| matching.node(node).is_some()))
        };
        if fixed(reference, theirs) || fixed(candidate, own) || known(own) == Some(theirs) {
            return;
        }
        if self.detours.iter().any(|detour| (&detour.own, &detour.theirs) == (own, theirs)) {
            return;
        }
        let made = |name: &str| reference.producer(name).is_none_or(|node| matching.has(node));
        let lacking = reference.between(&made, std::slice::from_ref(theirs));
        let added = match known(own) {
            Some(_) => Vec::new(),
            None => candidate.between(&|name| known(name).is_some(), std::slice::from_ref(own)),
        };
        if known(own).is_none() && reader.is_some() {
            self.aliases.insert(own.clone(), theirs.clone());
        }
        // Where neither is the case a node reads another value: that is its own doing.
        if !(added.is_empty() && lacking.is_empty()) {
            self.detours.push(Detour { own: own.clone(), theirs: theirs.clone(), added, lacking, reader });
        }
    }

    fn are_the_same(
        &self,
        reference: &Program,
        candidate: &Program,
        matching: &Matching,
        index: usize,
    ) -> bool {
        let Some(other) = matching.node(index) else { return false };
        let (own, theirs) = (&candidate.nodes()[index], &reference.nodes()[other]);
        let belongs = |(own, theirs): (&String, &String)| {
            let weight = candidate.model.graph.initializers.contains_key(own);
            own.is_empty() && theirs.is_empty()
                || weight
                || self.value(matching, own) == Some(theirs)
                    && candidate.dtype(own) == reference.dtype(theirs)
        };
        let stays = |(own, theirs): (&String, &String)| own.is_empty() || matching.value(own) == Some(theirs);
        // What a subgraph takes from around it is not looked into.
        own.outputs.len() == theirs.outputs.len()
            && !own
                .attributes
                .values()
                .any(|value| matches!(value, Attribute::Graph(_) | Attribute::Graphs(_)))
            && own.inputs.iter().zip(&theirs.inputs).all(belongs)
            && own.outputs.iter().zip(&theirs.outputs).all(stays)
            && states_the_same(
                NodeAt { program: reference, index: other },
                NodeAt { program: candidate, index },
            )
    }
}
