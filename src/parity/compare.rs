//! A candidate beside its reference: the outputs of whole runs, then, where something differs, node by node.

use super::arbitrate::arbitrate;
use super::bracket::bracket;
use super::cut::{Style, cut};
use super::detours::Ways;
use super::difference::Difference;
use super::divergence::{Together, amplifiers, divergence, together};
use super::error::ParityError;
use super::groups::{Group, groups};
use super::inputs::Input;
use super::matching::Matching;
use super::nodes::{Matched, Point, Side, Sides, walk};
use super::report::{Comparison, Divergence, Output, Verdict};
use super::stated::stated_differences;
use super::tolerance::Tolerances;
use super::value::Value;
use super::whole::Whole;

/// What is compared.
pub struct Question<'a> {
    /// What is taken as right.
    pub reference: &'a Side,
    /// What is held against it.
    pub candidate: &'a Side,
    /// Whether both run one file, so that every node has its own for a partner.
    pub one_file: bool,
    /// What is allowed.
    pub tolerances: &'a Tolerances,
    /// The most bytes of values of one slice.
    pub memory: usize,
}

/// What whole runs gave on one input: one value per output, in order.
pub type Answer = Vec<Value>;

/// The outputs of whole runs, one answer per input, with no value in between looked at.
///
/// # Errors
/// What the runtime refuses or fails at.
pub fn outputs(side: &Side, inputs: &[Input]) -> Result<Vec<Answer>, ParityError> {
    let Some(first) = inputs.first() else { return Ok(Vec::new()) };
    let mut whole = Whole::open(side, first)?;
    inputs.iter().map(|input| whole.run(input)).collect()
}

/// Compares what two sides gave on every input, and finds where they part.
///
/// Of two files every node is compared, on as many inputs as it takes to find one that differs; of one file on two
/// runtimes only where an output differs.
///
/// # Errors
/// A runtime that fails at a part of the graph though it ran the whole.
pub fn compare(
    question: &Question<'_>,
    inputs: &[Input],
    answers: [&[Answer]; 2],
) -> Result<Comparison, ParityError> {
    let Question { reference, candidate, .. } = *question;
    let matching = match question.one_file {
        true => Matching::identity(&candidate.program),
        false => Matching::of(&reference.program, &candidate.program),
    };
    let ways = match question.one_file {
        true => Ways::default(),
        false => Ways::of(&reference.program, &candidate.program, &matching),
    };
    let outputs = compared_outputs(question, inputs, answers);
    let mut comparison = Comparison {
        reference: name(reference),
        candidate: name(candidate),
        one_file: question.one_file,
        verdict: if outputs.iter().all(|output| output.within) && !outputs.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Fail
        },
        outputs,
        first_divergence: None,
        amplifiers: Vec::new(),
        survives_probing: None,
        failed: None,
        searched: None,
        stated_differences: match question.one_file {
            true => Vec::new(),
            false => stated_differences(&reference.program, &candidate.program, &matching),
        },
    };
    if answers[0].iter().zip(answers[1]).any(|(a, b)| a.len() != b.len()) {
        comparison.verdict = Verdict::Fail;
        comparison.failed = Some("they have different numbers of outputs".into());
    }
    for input in worst_first(inputs, &comparison.outputs, question.one_file) {
        if locate(question, Matched { matching: &matching, ways: &ways }, input, &mut comparison)? {
            break;
        }
    }
    Ok(comparison)
}

fn name(side: &Side) -> String {
    format!("{} {}", side.runtime.kind(), side.runtime.version())
}

fn compared_outputs(question: &Question<'_>, inputs: &[Input], answers: [&[Answer]; 2]) -> Vec<Output> {
    let program = &question.candidate.program;
    let mut found = Vec::new();
    for ((input, expected), given) in inputs.iter().zip(answers[0]).zip(answers[1]) {
        for ((name, expected), given) in program.outputs().into_iter().zip(expected).zip(given) {
            let difference = Difference::of(expected, given);
            let dtype = program.dtype(&name);
            let within = question.tolerances.allow(dtype, &difference);
            found.push(Output {
                input: input.name.clone(),
                output: name,
                dtype: dtype.name().into(),
                within,
                difference,
            });
        }
    }
    found
}

/// The inputs to look inside at: those whose outputs differ, the worst first; of two files the others after them.
fn worst_first<'a>(inputs: &'a [Input], outputs: &[Output], one_file: bool) -> Vec<&'a Input> {
    let worst = |input: &Input| {
        let of = outputs.iter().filter(|output| output.input == input.name && !output.within);
        // Where an output is no number on one side, how far the others are off says little.
        of.map(|output| {
            if output.difference.is_one_sided() { 0.5 } else { 1.0 + output.difference.relative.min(1e30) }
        })
        .fold(0.0_f64, f64::max)
    };
    let mut ordered: Vec<(f64, &Input)> = inputs.iter().map(|input| (worst(input), input)).collect();
    ordered.retain(|(severity, _)| *severity > 0.0 || !one_file);
    ordered.sort_by(|a, b| b.0.total_cmp(&a.0));
    ordered.into_iter().map(|(_, input)| input).collect()
}

/// Looks inside on one input; gives whether the place was found.
fn locate(
    question: &Question<'_>,
    matched: Matched<'_>,
    input: &Input,
    comparison: &mut Comparison,
) -> Result<bool, ParityError> {
    let Question { reference, candidate, tolerances, memory, .. } = *question;
    let points = match walk(Sides { reference, candidate }, matched, &input.values, memory) {
        Ok(points) => points,
        Err(error) => {
            comparison.failed = Some(format!("not compared node by node: {error}"));
            return Ok(true);
        }
    };
    let differ = comparison.outputs.iter().any(|output| output.input == input.name && !output.within);
    let dtype = |point: &Point| match point.candidate {
        Some(_) => candidate.program.dtype(&point.value),
        None => reference.program.dtype(&point.value),
    };
    let isolated =
        |point: &&Point| point.isolated.as_ref().is_some_and(|found| !tolerances.allow(dtype(point), found));
    let propagated = |point: &&Point| !tolerances.allow(dtype(point), &point.propagated);
    let ends = candidate.program.outputs();
    let survives = points.iter().filter(propagated).any(|point| ends.contains(&point.value));
    if differ {
        comparison.survives_probing = Some(survives);
    }
    comparison.amplifiers = amplifiers(question, &points);
    let found = match (points.iter().find(isolated), points.iter().find(propagated)) {
        (Some(point), _) if survives || !differ => {
            let how = "it gives something else for the reference's inputs";
            divergence(question, point, input, how)
        }
        (None, Some(point)) if survives => {
            let (point, how) = most_of_its_own(question, &points, point);
            divergence(question, point, input, how)
        }
        (first, _) if differ => match unseen(question, matched.matching, input) {
            Ok(Some(found)) => Some(found),
            Ok(None) => first.and_then(|point| {
                divergence(question, point, input, "it gives something else for the reference's inputs")
            }),
            Err(error) => {
                comparison.failed = Some(format!("not bracketed: {error}"));
                None
            }
        },
        _ => None,
    };
    if let Some(mut found) = found {
        comparison.verdict = Verdict::Fail;
        // What several nodes show together is no question about one of them.
        if question.one_file && found.among.is_empty() {
            found.arbitration = arbitration(question, &points, &found, input);
        }
        comparison.first_divergence = Some(found);
        return Ok(true);
    }
    Ok(false)
}

/// Of two files, the node before `first` that adds most of its own, though within its tolerance: what comes of it is
/// beyond it further on. Else `first` itself.
fn most_of_its_own<'a>(
    question: &Question<'_>,
    points: &'a [Point],
    first: &'a Point,
) -> (&'a Point, &'static str) {
    let before = points.iter().take_while(|point| point.value != first.value).chain([first]);
    let own = |point: &Point| point.isolated.as_ref().map_or(0.0, |found| found.relative);
    let most = before.filter(|point| own(point) > 0.0).max_by(|a, b| own(a).total_cmp(&own(b)));
    match most.filter(|_| !question.one_file) {
        Some(most) => (
            most,
            "what it gives for the reference's inputs is within its tolerance, and what comes of it is not",
        ),
        None => (first, "no node alone leaves its tolerance; here what came down to it first does"),
    }
}

/// The place of a fault that vanishes when every value is looked at: a group of a quantised graph, else by sub-models.
fn unseen(
    question: &Question<'_>,
    matching: &Matching,
    input: &Input,
) -> Result<Option<Divergence>, ParityError> {
    let Question { reference, candidate, tolerances, memory, .. } = *question;
    let sides = Sides { reference, candidate };
    let program = &candidate.program;
    let groups = groups(sides, matching, &input.values, memory)?;
    if let Some(group) = groups.first(program, tolerances) {
        return Ok(Some(grouped(question, group, [groups.differing.len(), groups.count], input)));
    }
    let found = bracket(sides, matching, &input.values, tolerances)?;
    Ok(found.map(|found| {
        let how = "the fault vanishes when the values in between are looked at; these nodes show it together";
        let parts =
            Together { nodes: &found.nodes, isolated: &found.difference, propagated: &found.propagated };
        together(question, &found.value, parts, input, how.into())
    }))
}

fn grouped(question: &Question<'_>, group: &Group, [differ, count]: [usize; 2], input: &Input) -> Divergence {
    let how = format!(
        "fused, these nodes give other integers for the reference's; so do {differ} of {count} groups between one \
         QuantizeLinear and the next"
    );
    let parts = Together { nodes: &group.nodes, isolated: &group.isolated, propagated: &group.propagated };
    together(question, &group.border, parts, input, how)
}

/// Who is right about the node, by float64, on what the reference's node reads.
fn arbitration(
    question: &Question<'_>,
    points: &[Point],
    found: &Divergence,
    input: &Input,
) -> Option<super::report::Arbitration> {
    let Question { reference, candidate, .. } = *question;
    let point = points.iter().find(|point| point.value == found.value)?;
    let node = point.candidate?;
    let program = &reference.program;
    let mut fed = program.fed(&input.values);
    let wanted: Vec<String> =
        program.reads(node).iter().filter(|name| !fed.contains_key(*name)).cloned().collect();
    let before = program.behind(&wanted);
    if !before.is_empty() {
        fed.extend(cut(program, &before, &fed, &wanted, Style::Joined).run(&*reference.runtime).ok()?);
    }
    arbitrate(Sides { reference, candidate }, node, &found.value, &fed)
}
