//! Node by node: what each computes from the reference's values, and what has come down to it in sequence.
//!
//! The isolated error of a node is that of its outputs when it reads what the reference's node read: its own doing.
//! The propagated error is that of its outputs when both sides run in sequence. A graph is walked in slices, and a
//! value is dropped once nothing reads it any more, so that memory follows the largest slice and not the graph.

use std::collections::HashMap;
use std::sync::Arc;

use super::cut::{Cut, Style, Values, cut};
use super::detours::{Detour, Ways};
use super::difference::Difference;
use super::error::ParityError;
use super::matching::Matching;
use super::program::Program;
use super::value::Value;
use crate::runtime::Runtime;

/// A program on a runtime.
#[derive(Clone)]
pub struct Side {
    /// What runs.
    pub program: Arc<Program>,
    /// Where it runs.
    pub runtime: Arc<dyn Runtime>,
}

/// The two programs of a comparison.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The one that is taken for right.
    pub reference: &'a Side,
    /// The one that is asked about.
    pub candidate: &'a Side,
}

/// How the nodes and values of two programs belong together.
#[derive(Clone, Copy)]
pub struct Matched<'a> {
    /// Those with a partner.
    pub matching: &'a Matching,
    /// The ways around those without.
    pub ways: &'a Ways,
}

/// What is known of one value of the candidate beside the reference's.
#[derive(Clone, Debug)]
pub struct Point {
    /// The node in the candidate; `None` where the candidate lacks the reference's node.
    pub candidate: Option<usize>,
    /// The node in the reference; `None` where the candidate has one more.
    pub reference: Option<usize>,
    /// The candidate's nodes that make the value together, where they are several.
    pub among: Vec<usize>,
    /// The value's name in the candidate, or in the reference where the candidate has none.
    pub value: String,
    /// What the node does to the reference's inputs; `None` where it could not be fed with them.
    pub isolated: Option<Difference>,
    /// What has come down to it.
    pub propagated: Difference,
    /// The largest relative propagated error among what it reads.
    pub read: f64,
}

/// Nodes in a slice at most: sessions of more than this take long to prepare.
const MOST_NODES: usize = 256;

/// What a slice's values are held in at a time: both sides', and what a runtime has given and not yet let go.
const COPIES: usize = 3;

/// The share of a slice whose nodes run alone at a time, each fed with copies of what it reads.
const ALONE: usize = 8;

/// The size of a value that does not follow from the inputs', in bytes.
const UNKNOWN: usize = 1 << 20;

/// Walks both sides and compares every value that has a partner, in the candidate's order.
///
/// # Errors
/// A runtime that refuses or fails at a slice.
pub fn walk(
    sides: Sides<'_>,
    matched: Matched<'_>,
    inputs: &[Value],
    memory: usize,
) -> Result<Vec<Point>, ParityError> {
    let mut walk = Walk::new(sides, matched, inputs, memory);
    for slice in 0..=walk.last {
        walk.step(slice)?;
    }
    Ok(walk.points)
}

struct Walk<'a> {
    reference: &'a Side,
    candidate: &'a Side,
    matching: &'a Matching,
    ways: &'a Ways,
    /// The slice of every node of the reference and of the candidate.
    slices: [Vec<usize>; 2],
    last: usize,
    /// The most bytes of the values of a slice, on one side.
    memory: usize,
    /// The last slice that a value of either side is needed in.
    needed: [HashMap<String, usize>; 2],
    values: [Values; 2],
    /// Relative propagated errors of the candidate's values.
    errors: HashMap<String, f64>,
    points: Vec<Point>,
}

impl<'a> Walk<'a> {
    fn new(sides: Sides<'a>, matched: Matched<'a>, inputs: &[Value], memory: usize) -> Self {
        let (Sides { reference, candidate }, Matched { matching, ways }) = (sides, matched);
        let memory = memory / COPIES;
        let own = slices(&reference.program, memory);
        let others = follow(&candidate.program, matching, &own);
        let last = own.iter().chain(&others).copied().max().unwrap_or(0);
        let mut walk = Self {
            reference,
            candidate,
            matching,
            ways,
            slices: [own, others],
            last,
            memory,
            needed: [HashMap::new(), HashMap::new()],
            values: [Values::new(), Values::new()],
            errors: HashMap::new(),
            points: Vec::new(),
        };
        for (side, values) in [reference, candidate].iter().zip(&mut walk.values) {
            values.extend(side.program.fed(inputs));
        }
        walk.note_needs();
        walk
    }

    /// Notes for how long values must be kept.
    fn note_needs(&mut self) {
        let (reference, candidate) = (&self.reference.program, &self.candidate.program);
        let mut needed = [HashMap::new(), HashMap::new()];
        let mut need = |side: usize, value: &str, slice: usize| {
            let last: &mut usize = needed[side].entry(value.to_owned()).or_insert(slice);
            *last = slice.max(*last);
        };
        for node in 0..reference.nodes().len() {
            reference.reads(node).iter().for_each(|value| need(0, value, self.slices[0][node]));
        }
        for node in 0..candidate.nodes().len() {
            let slice = self.slices[1][node];
            for value in candidate.reads(node).iter().chain(candidate.writes(node)) {
                need(1, value, slice);
                if let Some(other) = self.matching.value(value) {
                    need(0, other, slice);
                }
            }
            for value in self.matching.node(node).map_or(&[][..], |other| reference.reads(other)) {
                need(0, value, slice);
            }
        }
        for detour in &self.ways.detours {
            let slice = self.end(detour);
            need(1, &detour.own, slice);
            need(0, &detour.theirs, slice);
            let read = detour.added.iter().flat_map(|&node| candidate.reads(node)).chain([&detour.own]);
            read.filter_map(|name| self.matching.value(name)).for_each(|name| need(0, name, slice));
        }
        self.needed = needed;
    }

    fn step(&mut self, slice: usize) -> Result<(), ParityError> {
        for (index, side) in [self.reference, self.candidate].into_iter().enumerate() {
            let nodes = self.nodes(index, slice);
            let found = run(side, &nodes, &self.values[index], Style::Joined)?;
            self.values[index].extend(found);
        }
        let nodes = self.nodes(1, slice);
        for group in split(&self.candidate.program, &nodes, self.memory / ALONE) {
            let isolated = self.isolated(group);
            for &node in group {
                self.compare_detours(slice, Some(node));
                self.compare(node, &isolated);
            }
        }
        self.compare_detours(slice, None);
        for (values, needed) in self.values.iter_mut().zip(&self.needed) {
            values.retain(|name, _| needed.get(name).is_some_and(|last| *last > slice));
        }
        Ok(())
    }

    fn nodes(&self, side: usize, slice: usize) -> Vec<usize> {
        let of = &self.slices[side];
        (0..of.len()).filter(|&node| of[node] == slice).collect()
    }

    /// The slice in which a detour is compared.
    fn end(&self, detour: &Detour) -> usize {
        detour.reader.map_or(self.last, |node| self.slices[1][node])
    }

    /// What the candidate's nodes give for the reference's values, and what they should: each alone on both sides where
    /// the files are two, so that what a runtime fuses does not pass for a node's doing.
    fn isolated(&self, nodes: &[usize]) -> [Values; 2] {
        let (reference, candidate) = (&self.reference.program, &self.candidate.program);
        let (mut fed, mut alone, mut partners) = (Values::new(), Vec::new(), Vec::new());
        for &node in nodes.iter().filter(|&&node| !self.ways.is_same(node)) {
            let Some(partner) = self.matching.node(node) else { continue };
            let read: Option<Vec<(String, Value)>> = candidate
                .reads(node)
                .iter()
                .map(|name| {
                    let value = self.values[0].get(self.ways.value(self.matching, name)?)?.clone();
                    Some((name.clone(), Value { dtype: candidate.dtype(name), ..value }))
                })
                .collect();
            if let Some(read) = read {
                fed.extend(read);
                alone.push(node);
                partners.push(partner);
            }
        }
        let expected = match Arc::ptr_eq(reference, candidate) {
            true => Values::new(),
            false => run_apart(self.reference, &partners, &self.values[0]),
        };
        [expected, run_apart(self.candidate, &alone, &fed)]
    }

    /// Compares what nodes without a partner make of the reference's values with what stands in their place.
    fn compare_detours(&mut self, slice: usize, reader: Option<usize>) {
        let ways = self.ways;
        let here = |detour: &&Detour| detour.reader == reader && self.end(detour) == slice;
        let points: Vec<Point> =
            ways.detours.iter().filter(here).filter_map(|detour| self.detour(detour)).collect();
        self.points.extend(points);
    }

    fn detour(&self, detour: &Detour) -> Option<Point> {
        let [of, with] = &self.values;
        let program = &self.candidate.program;
        let (expected, found) = (of.get(&detour.theirs)?, with.get(&detour.own)?);
        let given = match &detour.added[..] {
            [] => of.get(self.matching.value(&detour.own)?).cloned(),
            added => {
                let read = added.iter().flat_map(|&node| program.reads(node));
                let fed = read.filter_map(|name| {
                    let value = of.get(self.matching.value(name)?)?.clone();
                    Some((name.clone(), Value { dtype: program.dtype(name), ..value }))
                });
                let wanted = std::slice::from_ref(&detour.own);
                let part = cut(program, added, &fed.collect(), wanted, Style::Joined);
                part.run(&*self.candidate.runtime).ok().and_then(|mut values| values.remove(&detour.own))
            }
        };
        let isolated = given.map(|given| Difference::of(expected, &given));
        Some(Point {
            candidate: detour.added.last().copied(),
            reference: detour.lacking.last().copied(),
            among: if detour.added.len() > 1 { detour.added.clone() } else { Vec::new() },
            value: if detour.added.is_empty() { &detour.theirs } else { &detour.own }.clone(),
            // Another layout of the same numbers is not compared here.
            isolated: isolated.filter(|found| found.shapes.is_none()),
            propagated: Difference::of(expected, found),
            read: self.errors.get(&detour.own).copied().unwrap_or(0.0),
        })
    }

    fn compare(&mut self, node: usize, [expected_alone, isolated]: &[Values; 2]) {
        let Some(other) = self.matching.node(node) else { return };
        let program = &self.candidate.program;
        let read = program
            .reads(node)
            .iter()
            .filter_map(|name| self.errors.get(name))
            .fold(0.0_f64, |a, b| a.max(*b));
        for name in program.writes(node) {
            let Some(theirs) = self.matching.value(name) else { continue };
            let (Some(expected), Some(found)) = (self.values[0].get(theirs), self.values[1].get(name)) else {
                continue;
            };
            let propagated = Difference::of(expected, found);
            self.errors.insert(name.clone(), propagated.relative);
            let right = expected_alone.get(theirs).unwrap_or(expected);
            let isolated = match self.ways.is_same(node) {
                true => Some(Difference::of(expected, expected)),
                false => isolated.get(name).map(|found| Difference::of(right, found)),
            };
            self.points.push(Point {
                candidate: Some(node),
                reference: Some(other),
                among: Vec::new(),
                value: name.clone(),
                isolated,
                propagated,
                read,
            });
        }
    }
}

/// What nodes give, each alone; those that cannot stand alone are left out.
fn run_apart(side: &Side, nodes: &[usize], values: &Values) -> Values {
    let all = run(side, nodes, values, Style::Apart);
    all.unwrap_or_else(|_| {
        let each = nodes.iter().filter_map(|&node| run(side, &[node], values, Style::Apart).ok());
        each.flatten().collect()
    })
}

fn run(side: &Side, nodes: &[usize], values: &Values, style: Style) -> Result<Values, ParityError> {
    if nodes.is_empty() {
        return Ok(Values::new());
    }
    let wanted: Vec<String> = nodes.iter().flat_map(|&node| side.program.writes(node).cloned()).collect();
    let part: Cut = cut(&side.program, nodes, values, &wanted, style);
    Ok(part.run(&*side.runtime)?)
}

/// The slice of every node: as many as `memory` bytes hold the outputs of.
fn slices(program: &Program, memory: usize) -> Vec<usize> {
    let all: Vec<usize> = (0..program.nodes().len()).collect();
    let numbered = split(program, &all, memory).into_iter().enumerate();
    numbered.flat_map(|(slice, nodes)| nodes.iter().map(move |_| slice)).collect()
}

/// Nodes in groups, in order: as many in each as `memory` bytes hold the outputs of, and one at least.
fn split<'a>(program: &Program, nodes: &'a [usize], memory: usize) -> Vec<&'a [usize]> {
    let size = |&node: &usize| -> usize {
        program.writes(node).map(|name| program.ty(name).map_or(UNKNOWN, |ty| 4 * ty.len())).sum()
    };
    let (mut groups, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (place, size) in nodes.iter().map(size).enumerate() {
        let count = place - start;
        if count > 0 && (count >= MOST_NODES || bytes + size > memory) {
            groups.push(&nodes[start..place]);
            (start, bytes) = (place, 0);
        }
        bytes += size;
    }
    groups.push(&nodes[start..]);
    groups
}

/// The slices of a candidate's nodes: those of their partners, and none before what they read.
fn follow(program: &Program, matching: &Matching, own: &[usize]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for node in 0..program.nodes().len() {
        let read = program.reads(node).iter().filter_map(|name| program.producer(name));
        let least = read.filter_map(|before| found.get(before).copied()).max().unwrap_or(0);
        found.push(matching.node(node).map_or(0, |other| own[other]).max(least));
    }
    found
}
