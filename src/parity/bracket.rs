//! Where a fault lies that vanishes when one looks: by sub-models, of which only the ends are seen.
//!
//! Making a value an output keeps a runtime from fusing the nodes around it. Here the graph is cut off behind one
//! value at a time, which is the only output, and the first value that differs is found by bisection (a difference
//! is taken to last once it is there). Then the front is cut away as well, as far as the difference stays.

use super::cut::{Style, Values, cut};
use super::difference::Difference;
use super::error::ParityError;
use super::matching::Matching;
use super::nodes::{Side, Sides};
use super::tolerance::Tolerances;
use super::value::Value;

/// A sub-model whose one output differs.
#[derive(Clone, Debug)]
pub struct Bracket {
    /// The candidate's nodes in it.
    pub nodes: Vec<usize>,
    /// What it is fed: the reference's values.
    pub fed: Values,
    /// The value of the candidate that differs.
    pub value: String,
    /// How it differs when the sub-model runs alone.
    pub difference: Difference,
    /// The same when the whole graph before it runs.
    pub propagated: Difference,
}

/// The smallest sub-model found that still differs; `None` where no single value does.
///
/// # Errors
/// A runtime that fails.
pub fn bracket(
    Sides { reference, candidate }: Sides<'_>,
    matching: &Matching,
    inputs: &[Value],
    tolerances: &Tolerances,
) -> Result<Option<Bracket>, ParityError> {
    let search = Search { reference, candidate, matching, inputs, tolerances };
    let values = search.comparable();
    let (mut low, mut high) = (0, values.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if search.differs(&search.prefix(&values[middle])?, &values[middle]) {
            high = middle
        } else {
            low = middle + 1
        }
    }
    let Some(value) = values.get(low) else { return Ok(None) };
    let propagated = search.prefix(value)?;
    if !search.differs(&propagated, value) {
        return Ok(None);
    }
    search.without_front(value, propagated).map(Some)
}

struct Search<'a> {
    reference: &'a Side,
    candidate: &'a Side,
    matching: &'a Matching,
    inputs: &'a [Value],
    tolerances: &'a Tolerances,
}

impl Search<'_> {
    /// The candidate's floating-point values that the reference has as well, in order.
    fn comparable(&self) -> Vec<String> {
        let program = &self.candidate.program;
        let written = (0..program.nodes().len()).flat_map(|node| program.writes(node).cloned());
        let is_float = |name: &String| program.dtype(name).is_float() && self.matching.value(name).is_some();
        written.filter(is_float).collect()
    }

    fn differs(&self, found: &Difference, value: &str) -> bool {
        !self.tolerances.allow(self.candidate.program.dtype(value), found)
    }

    fn fed(&self, side: &Side) -> Values {
        side.program.fed(self.inputs)
    }

    /// The value where the graph ends behind it, on both sides.
    fn prefix(&self, value: &str) -> Result<Difference, ParityError> {
        let other = self.matching.value(value).cloned().unwrap_or_default();
        let [expected, found] =
            [(self.reference, other.as_str()), (self.candidate, value)].map(|(side, value)| {
                let wanted = [value.to_owned()];
                let nodes = side.program.behind(&wanted);
                cut(&side.program, &nodes, &self.fed(side), &wanted, Style::Joined).run(&*side.runtime)
            });
        Ok(between(&expected?, &other, &found?, value))
    }

    /// Cuts nodes off the front, as long as the rest, fed with the reference's values, still differs.
    fn without_front(&self, value: &str, propagated: Difference) -> Result<Bracket, ParityError> {
        let all = self.candidate.program.behind(&[value.to_owned()]);
        let whole = Bracket {
            nodes: all.clone(),
            fed: self.fed(self.candidate),
            value: value.to_owned(),
            difference: propagated.clone(),
            propagated,
        };
        let moving: Vec<usize> =
            all.into_iter().filter(|&node| !self.candidate.program.is_constant(node)).collect();
        let last = |count: usize| self.candidate.program.with_constants(&moving[moving.len() - count..]);
        let (mut least, mut enough, mut best) = (0, moving.len(), whole);
        // Small parts first, each twice the one before: they cost little. Then what lies between.
        let mut count = 1;
        while count < enough {
            match self.tail(&last(count), value, &best.propagated)? {
                Some(found) => (best, enough) = (found, count),
                None => (least, count) = (count, 2 * count),
            }
        }
        while least + 1 < enough {
            let count = usize::midpoint(least, enough);
            match self.tail(&last(count), value, &best.propagated)? {
                Some(found) => (best, enough) = (found, count),
                None => least = count,
            }
        }
        Ok(best)
    }

    /// The last nodes alone, where they differ.
    fn tail(
        &self,
        nodes: &[usize],
        value: &str,
        propagated: &Difference,
    ) -> Result<Option<Bracket>, ParityError> {
        let program = &self.candidate.program;
        let written: Vec<&String> = nodes.iter().flat_map(|&node| program.writes(node)).collect();
        let read = nodes.iter().flat_map(|&node| program.reads(node)).filter(|name| !written.contains(name));
        let pairs: Option<Vec<(String, String)>> =
            read.map(|name| Some((name.clone(), self.matching.value(name)?.clone()))).collect();
        let Some(pairs) = pairs else { return Ok(None) };
        let mut theirs = self.fed(self.reference);
        let mut wanted: Vec<String> =
            pairs.iter().map(|(_, other)| other.clone()).filter(|name| !theirs.contains_key(name)).collect();
        wanted.sort();
        wanted.dedup();
        let before = self.reference.program.behind(&wanted);
        if !before.is_empty() {
            let made = cut(&self.reference.program, &before, &theirs, &wanted, Style::Joined)
                .run(&*self.reference.runtime)?;
            theirs.extend(made);
        }
        let Some(fed) = pairs
            .iter()
            .map(|(own, other)| {
                Some((own.clone(), Value { dtype: program.dtype(own), ..theirs.get(other)?.clone() }))
            })
            .collect::<Option<Values>>()
        else {
            return Ok(None);
        };
        let other = self.matching.value(value).cloned().unwrap_or_default();
        let partners =
            self.reference.program.between(&|name| theirs.contains_key(name), std::slice::from_ref(&other));
        let expected =
            cut(&self.reference.program, &partners, &theirs, std::slice::from_ref(&other), Style::Joined)
                .run(&*self.reference.runtime);
        let found =
            cut(program, nodes, &fed, &[value.to_owned()], Style::Joined).run(&*self.candidate.runtime);
        // A part that cannot stand alone is no reproducer.
        let (Ok(expected), Ok(found)) = (expected, found) else { return Ok(None) };
        let difference = between(&expected, &other, &found, value);
        let bracket = Bracket {
            nodes: nodes.to_vec(),
            fed,
            value: value.to_owned(),
            difference,
            propagated: propagated.clone(),
        };
        Ok(self.differs(&bracket.difference, value).then_some(bracket))
    }
}

fn between(expected: &Values, other: &str, found: &Values, value: &str) -> Difference {
    match (expected.get(other), found.get(value)) {
        (Some(expected), Some(found)) => Difference::of(expected, found),
        _ => Difference::default(),
    }
}
