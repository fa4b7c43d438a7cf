//! The gradient rules, case by case, held to independent answers: the gradient graph on tract and
//! on ONNX Runtime, libtorch's autograd over the same forward graph, and a directional finite
//! difference in f64. One test per case: `cargo test --test gradients resize`.
//!
//! `cases/` is the table. An operator that the rewrite differentiates and that has no case fails.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod answers;
mod case;
mod cases;
mod graphs;
mod refused;
#[path = "../common/trials.rs"]
mod trials;

use std::collections::BTreeSet;
use std::process::ExitCode;

use answers::{Answer, answers, outputs, refusal};
use case::Case;
use libtest_mimic::Trial;
use temper::rewrite::Status;
use temper::runtime::Kind;
use trials::{Need, runtime, trial};

/// Two gradients agree when they differ by at most this share of the larger one's length.
const TOLERANCE: f64 = 1e-5;
/// A finite difference may be off by this share.
const SLOPE_TOLERANCE: f64 = 1e-4;

fn main() -> ExitCode {
    let at_hand = Kind::all().filter(|kind| matches!(runtime(*kind), Need::Met(_))).collect();
    let mut tests: Vec<Trial> = cases::all().into_iter().flat_map(|case| tests_of(case, &at_hand)).collect();
    tests.extend(refused::all().into_iter().map(|(case, words)| {
        trial(format!("refused: {}", case.name), move || is_refused_in_words(&case, words))
    }));
    tests.push(trial("every rule has a case", every_rule_has_a_case));
    let two = if at_hand.len() > 1 { Need::Met(()) } else { Need::Missing("two runtimes to compare") };
    tests.push(two.trial("random graphs", |()| graphs::agree_on_random_graphs()));
    tests.push(trial("cases lie with their operators' family", cases_lie_with_their_family));
    tests.extend(Kind::all().map(|kind| runtime(kind).trial(format!("{kind} answers"), drop)));
    trials::run(tests)
}

/// One case's tests: that its gradient is one, and that its value is.
///
/// Otherwise a rule and the judge's own operator could be wrong in the same way.
fn tests_of(case: Case, at_hand: &BTreeSet<Kind>) -> [Trial; 2] {
    let need = match at_hand.iter().filter(|kind| case.excluded.iter().all(|(out, _)| out != *kind)).count() {
        0 | 1 => Need::Missing("two runtimes to compare"),
        _ => Need::Met(()),
    };
    let (name, other) = (case.name.clone(), case.clone());
    [
        need.clone().trial(format!("gradient: {name}"), move |()| agree(&case, &answers(&case))),
        need.trial(format!("value: {name}"), move |()| agree(&other, &outputs(&other))),
    ]
}

fn agree(case: &Case, answers: &[Answer]) {
    assert!(answers.len() > 1, "fewer than two answers");
    let wrong: Vec<_> = answers.iter().filter_map(|answer| disagreement(case, &answers[0], answer)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with an answer, next to the first one.
fn disagreement(case: &Case, first: &Answer, answer: &Answer) -> Option<String> {
    match answer {
        Answer::Gradient { who, value, gradient } => {
            let Answer::Gradient { gradient: expected, value: at, who: other } = first else { return None };
            // A long sum in float32 loses a digit more than its gradient.
            let error = relative(gradient, expected).max(0.1 * relative(&[*value, 1.0], &[*at, 1.0]));
            let stated = case.inexact.iter().filter(|(kind, ..)| [who, other].contains(&&kind.to_string()));
            let tolerance = stated.map(|(_, share, _)| *share).fold(TOLERANCE, f64::max);
            (error > tolerance).then(|| format!("{who} differs from the first answer by {error:.1e}"))
        }
        Answer::Slope { expected, gradient } => {
            let error = (expected - gradient).abs() / expected.abs().max(gradient.abs()).max(case.floor);
            let wrong = error.is_nan() || error > SLOPE_TOLERANCE;
            wrong.then(|| format!("finite difference {expected:.6e}, gradient {gradient:.6e}"))
        }
        Answer::Failed { who, reason } => Some(format!("{who} failed: {reason}")),
    }
}

/// The length of the difference over the larger length; infinite where either holds a NaN.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let length =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = length(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let size = length(&mut a.iter().map(|a| f64::from(*a))).max(length(&mut b.iter().map(|b| f64::from(*b))));
    if a.len() != b.len() || !difference.is_finite() {
        return f64::INFINITY;
    }
    difference / size.max(f64::MIN_POSITIVE)
}

/// Operators that only help a case, by feeding the one it is about, do not count.
fn every_rule_has_a_case() {
    let tried: BTreeSet<String> = cases::all().iter().flat_map(Case::subjects).collect();
    let missing: Vec<_> = temper::rewrite::operators()
        .filter(|operator| matches!(operator.status, Status::Differentiable(_)))
        .map(|operator| operator.name)
        .filter(|name| !tried.contains(*name))
        .collect();
    assert!(missing.is_empty(), "rules without a case: {}", missing.join(", "));
}

/// A case lies in the file of the family of an operator that it tries. Upsample is in no family: it is brought up
/// to Resize before.
fn cases_lie_with_their_family() {
    for (family, cases) in cases::families() {
        for case in cases {
            let tried = case.passed();
            let homes: Vec<_> =
                tried.iter().filter_map(|operator| temper::rewrite::family(operator)).collect();
            let at_home = homes.is_empty() || homes.contains(&family);
            assert!(at_home, "`{}` lies in cases/{family}.rs and tries {tried:?}", case.name);
        }
    }
}

fn is_refused_in_words(case: &Case, words: &str) {
    let said = refusal(case).unwrap_or_else(|| "nothing".into());
    assert!(said.contains(words), "expected `{words}`, it said: {said}");
}
