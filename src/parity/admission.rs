//! Whether a file of reduced precision can stand for its float32 parent, and which nodes must stay float32 so that it can.
//!
//! Nodes are ranked by their own doing: the isolated error where the node can be fed with the parent's values, else what
//! the error of the outputs loses when the node alone is kept. Of the ranking the shortest beginning that passes is
//! looked for by doubling and halving: small, and not proven to be the smallest.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::compare::{Answer, outputs};
use super::detours::Ways;
use super::difference::Difference;
use super::error::ParityError;
use super::inputs::Input;
use super::matching::Matching;
use super::mixed::{can_keep, mixed};
use super::nodes::{Matched, Point, Side, Sides, walk};
use super::program::{Program, hoisted};
use super::range::{Range, ranges};
use super::tolerance::Tolerances;
use crate::onnx::{DType, Model};

/// What an admission is asked with.
pub struct Applicant<'a> {
    /// The parent and the file, on the runtime that is asked.
    pub sides: [&'a Side; 2],
    /// The two as files, of whatever sizes they take.
    pub models: [&'a Model; 2],
    /// The inputs' shapes.
    pub shapes: &'a [Vec<usize>],
    /// What the two are judged on.
    pub inputs: &'a [Input],
    /// What the parent gave on them.
    pub expected: &'a [Answer],
    /// What is allowed.
    pub tolerances: &'a Tolerances,
    /// The most bytes of values of one slice.
    pub memory: usize,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Admission {
    /// Whether the mixed file lies within the tolerances.
    pub passes: bool,
    /// The nodes that it keeps in float32.
    pub kept: Vec<String>,
    /// How many nodes compute in reduced precision.
    pub reduced: usize,
    /// The least PSNR of the file's outputs, in dB; `None` where equal or not a number.
    pub psnr_before: Option<f64>,
    /// The same of the mixed file.
    pub psnr_after: Option<f64>,
    /// Values of the parent beside what the format holds.
    pub ranges: Vec<Range>,
}

/// Whether a model computes in less than float32.
pub fn is_reduced(program: &Program) -> bool {
    program.nodes().iter().any(|node| {
        node.op == "DequantizeLinear" || node.outputs.iter().any(|name| program.dtype(name) == DType::F16)
    })
}

/// What was found for an applicant.
pub struct Admitted {
    /// Which nodes it keeps, and what they are worth.
    pub admission: Admission,
    /// The file with these nodes in float32.
    pub model: Model,
}

/// Finds nodes to keep and the file that keeps them.
///
/// # Errors
/// A runtime that fails at the file or its parent.
pub fn admit(applicant: &Applicant<'_>) -> Result<Admitted, ParityError> {
    let [parent, candidate] = applicant.sides.map(|side| &side.program);
    let matching = Matching::of(parent, candidate);
    let search = Search { applicant, matching: &matching };
    let mut points = Vec::new();
    for input in applicant.inputs {
        let sides = Sides { reference: applicant.sides[0], candidate: applicant.sides[1] };
        let matched = Matched { matching: &matching, ways: &Ways::default() };
        points.extend(walk(sides, matched, &input.values, applicant.memory)?);
    }
    let before = search.outcome(&BTreeSet::new())?;
    let ranked = search.ranked(&points, &before)?;
    let beginning = |count: usize| ranked[..count].iter().copied().collect::<BTreeSet<usize>>();
    let (mut least, mut enough, mut after) = (0, 0, before.clone());
    while !after.within && enough < ranked.len() {
        (least, enough) = (enough, (2 * enough).clamp(1, ranked.len()));
        after = search.outcome(&beginning(enough))?;
    }
    while after.within && least + 1 < enough {
        let middle = usize::midpoint(least, enough);
        let found = search.outcome(&beginning(middle))?;
        if found.within { (enough, after) = (middle, found) } else { least = middle }
    }
    let kept = beginning(enough);
    let models = applicant.models.map(hoisted);
    let made = mixed(&models[0], &models[1], &matching, candidate, &kept);
    let admission = Admission {
        passes: after.within,
        kept: kept.iter().map(|&node| candidate.nodes()[node].label()).collect(),
        reduced: ranked.len(),
        psnr_before: before.psnr,
        psnr_after: after.psnr,
        ranges: ranges(candidate, &matching, &points),
    };
    Ok(Admitted { admission, model: made })
}

/// How a mixed file fares.
#[derive(Clone)]
struct Outcome {
    within: bool,
    /// The largest relative error; infinite where something is no number.
    severity: f64,
    psnr: Option<f64>,
}

struct Search<'a> {
    applicant: &'a Applicant<'a>,
    matching: &'a Matching,
}

impl Search<'_> {
    fn outcome(&self, kept: &BTreeSet<usize>) -> Result<Outcome, ParityError> {
        let Applicant { sides: [parent, candidate], shapes, inputs, tolerances, .. } = self.applicant;
        let models = [parent, candidate].map(|side| &side.program.model);
        let model = mixed(models[0], models[1], self.matching, &candidate.program, kept);
        let program = Arc::new(Program::open(&model, shapes)?);
        let given = outputs(&Side { program: program.clone(), runtime: candidate.runtime.clone() }, inputs)?;
        let mut outcome = Outcome { within: true, severity: 0.0, psnr: None };
        let pairs = self.applicant.expected.iter().flatten().zip(given.iter().flatten());
        for (place, (expected, given)) in pairs.enumerate() {
            let found = Difference::of(expected, given);
            let names = program.outputs();
            let dtype = names.get(place % names.len().max(1)).map_or(DType::F32, |name| program.dtype(name));
            outcome.within &= tolerances.allow(dtype, &found);
            let odd = found.is_one_sided() || found.shapes.is_some();
            outcome.severity = outcome.severity.max(if odd { f64::INFINITY } else { found.relative });
            outcome.psnr = [outcome.psnr, found.psnr.filter(|_| !odd)].into_iter().flatten().reduce(f64::min);
        }
        Ok(outcome)
    }

    /// The nodes that can be kept, those that do most harm first.
    fn ranked(&self, points: &[Point], before: &Outcome) -> Result<Vec<usize>, ParityError> {
        let [parent, candidate] = self.applicant.sides.map(|side| &*side.program);
        let mut scored = Vec::new();
        for node in
            (0..candidate.nodes().len()).filter(|&node| can_keep(parent, self.matching, candidate, node))
        {
            let own = points.iter().filter(|point| point.candidate == Some(node));
            let isolated = own
                .filter_map(|point| point.isolated.as_ref())
                .map(|found| if found.is_one_sided() { f64::INFINITY } else { found.relative });
            let score = match isolated.reduce(f64::max) {
                Some(score) => score,
                // A node that cannot stand in the graph as float32 is not worth keeping.
                None => self
                    .outcome(&[node].into())
                    .map_or(f64::NEG_INFINITY, |found| before.severity - found.severity),
            };
            scored.push((score, node));
        }
        scored.retain(|(score, _)| *score > f64::NEG_INFINITY);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(scored.into_iter().map(|(_, node)| node).collect())
    }
}
