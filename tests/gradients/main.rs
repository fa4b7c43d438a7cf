//! The gradient rules, case by case, held to independent answers: the gradient graph on tract and
//! on ONNX Runtime, libtorch's autograd over the same forward graph, and a directional finite
//! difference in f64.
//!
//! `cases/` is the table. An operator that the rewrite differentiates and that has no case fails.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod answers;
mod case;
mod cases;
mod refused;

use std::collections::BTreeSet;

use answers::{Answer, answers, outputs, refusal};
use case::Case;
use temper::runtime::{self, Kind};

/// Two gradients agree when they differ by at most this share of the larger one's length.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_case_has_one_gradient() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let answers = answers(&case);
        if answers.is_empty() {
            // Where tract is alone, what it gets wrong has nobody to ask.
            let reason =
                case.excluded.iter().find(|(kind, _)| *kind == Kind::TRACT).map(|(_, reason)| reason);
            let reason = reason.unwrap_or_else(|| panic!("{}: no runtime answered", case.name));
            assert!(runtime::open(Kind::ORT).is_err() && cfg!(not(feature = "torch")), "{}", case.name);
            eprintln!("skipped {}: {reason}", case.name);
            continue;
        }
        wrong.extend(answers.iter().filter_map(|answer| disagreement(&case, &answers[0], answer)));
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

/// Otherwise a rule and the judge's own operator could be wrong in the same way.
#[test]
fn every_case_has_one_value() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let answers = outputs(&case);
        let Some(first) = answers.first() else { continue };
        wrong.extend(answers.iter().filter_map(|answer| disagreement(&case, first, answer)));
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with an answer, next to the first one.
fn disagreement(case: &Case, first: &Answer, answer: &Answer) -> Option<String> {
    let found = match answer {
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
            (error > 1e-4).then(|| format!("finite difference {expected:.6e}, gradient {gradient:.6e}"))
        }
        Answer::Failed { who, reason } => Some(format!("{who} failed: {reason}")),
    };
    found.map(|what| format!("  {}: {what}", case.name))
}

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

#[test]
fn every_rule_has_a_case() {
    let tried: BTreeSet<String> = cases::all().iter().flat_map(Case::operators).collect();
    let differentiable = |operator: &&temper::rewrite::Operator| {
        matches!(operator.status, temper::rewrite::Status::Differentiable(_))
    };
    let missing: Vec<_> = temper::rewrite::operators()
        .filter(differentiable)
        .filter(|operator| !tried.contains(operator.name))
        .map(|operator| operator.name)
        .collect();
    assert!(missing.is_empty(), "rules without a case: {}", missing.join(", "));
}

#[test]
fn what_cannot_be_differentiated_is_refused_in_words() {
    for (case, words) in refused::all() {
        let said = refusal(&case).unwrap_or_else(|| "nothing".into());
        assert!(said.contains(words), "{}: expected `{words}`, it said: {said}", case.name);
    }
}
