//! The check that a gradient must pass before any verdict rests on it.
//!
//! On every runtime that crafts it has two parts. *Local* (`local`): at a point near the first image, finite
//! differences of every objective that is used, the distance to the first runtime's gradient, and the share
//! of entries that are exactly zero. *Reach* (`reach`): at several images, dark, bright and flat ones among
//! them, the rise that the gradient promises over the smallest and the largest budget, along its sign,
//! against the rise of what is served. A gradient that fails proves nothing about a model, least of all
//! robustness: a derivative may be right and yet lead nowhere.
//!
//! Deliberately absent: what follows from a failure (`Context::attacks`, the findings).

mod arithmetic;
mod frozen;
mod local;
mod points;
mod reach;
#[cfg(test)]
mod tests;
mod view;

use ndarray::Array4;

use self::arithmetic::{Standard, standard};
use self::local::local;
pub use self::points::{Point, points};
use self::reach::reach;
use crate::attack::{AttackError, OnStep};
use crate::oracle::{Objective, Oracle};
use crate::report::GradientCheck;
use crate::rewrite::Stop;
use crate::runtime::Kind;

/// More exact zeros than this share: the gradient is masked.
const MOST_ZEROS: f64 = 0.9;

/// What a gradient is checked with.
pub struct Question<'a> {
    /// What reports call the model.
    pub model: &'a str,
    /// The points of the check, of which there is at least one; derivatives are tested at the first.
    pub points: &'a [Point],
    /// The smallest and the largest budget, on [0, 1].
    pub budgets: &'a [f32],
    /// The objectives that attacks maximise; the first is that of most.
    pub objectives: &'a [Objective],
    /// The seed of everything random.
    pub seed: u64,
}

/// A gradient at the point of the local test, and the findings.
pub struct Probe {
    target: Array4<f32>,
    gradient: Array4<f32>,
    /// The findings.
    pub report: GradientCheck,
}

/// Checks the gradient of one model on one runtime; `first` is the check of the runtime that others are
/// compared with, and `on_run` may stop it after every run of the model.
///
/// # Errors
/// Those of the oracle, and an interruption; that a gradient fails is a finding.
pub fn probe(
    question: &Question<'_>,
    oracle: &mut Oracle,
    first: Option<&Probe>,
    on_run: &mut OnStep<'_>,
) -> Result<Probe, AttackError> {
    let standard = standard(oracle);
    let compared = first.map(|first| (first.target.view(), first.gradient.view()));
    let near = local(question, oracle, compared, standard, on_run)?;
    let reach = reach(question, oracle, on_run)?;
    let mut report = GradientCheck {
        slope: near.slopes[0].slope,
        gradient_slope: near.slopes[0].gradient_slope,
        other_slopes: near.slopes[1..].to_vec(),
        step: near.step,
        random_error: near.random_error,
        zero_share: near.zero_share,
        disagreement: near.disagreement,
        reach,
        source: if oracle.kind() == Kind::TORCH { "autograd".into() } else { "gradient graph".into() },
        ..unchecked(question.model, oracle)
    };
    report.problem = problem(&report, standard);
    report.trusted = report.problem.is_none();
    Ok(Probe { target: near.target, gradient: near.gradient, report })
}

/// Names the nodes that may be why a gradient failed, in its problem.
pub fn explain(check: &mut GradientCheck, stopped: &[Stop]) {
    let (Some(problem), [first, more @ ..]) = (&mut check.problem, stopped) else { return };
    let more = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
    *problem += &format!(" (only a zero gradient passes {}: {}{more})", first.node, first.reason);
}

/// The findings on a gradient that there is none of.
pub fn refused(model: &str, oracle: &Oracle, reason: String) -> GradientCheck {
    GradientCheck { problem: Some(reason), ..unchecked(model, oracle) }
}

/// Findings without numbers.
fn unchecked(model: &str, oracle: &Oracle) -> GradientCheck {
    GradientCheck {
        model: model.to_owned(),
        runtime: oracle.kind().to_string(),
        source: "none".into(),
        slope: f64::NAN,
        gradient_slope: f64::NAN,
        other_slopes: vec![],
        step: f64::NAN,
        random_error: f64::NAN,
        zero_share: f64::NAN,
        straight_through: oracle.is_quantised(),
        disagreement: f64::NAN,
        reach: vec![],
        trusted: false,
        problem: None,
        draws: 1,
    }
}

/// What is wrong with a gradient, if anything.
fn problem(check: &GradientCheck, limits: &Standard) -> Option<String> {
    let GradientCheck { slope, gradient_slope, random_error, zero_share, disagreement, .. } = *check;
    let within = |error: f64, limit: f64| error <= limit; // false for a NaN
    if gradient_slope == 0.0 || !within(zero_share, MOST_ZEROS) {
        return Some(format!("{:.1}% of its entries are exactly zero", 100.0 * zero_share));
    }
    if !within(local::error(slope, gradient_slope), limits.slope) {
        return Some(format!(
            "a finite difference gives the slope {slope:.4e}, the gradient {gradient_slope:.4e}"
        ));
    }
    if !within(random_error, limits.random) {
        return Some(format!(
            "along random directions it misses the slope by {:.0}% of its own length, {:.1}% of its entries \
             being exactly zero: a part is left out",
            100.0 * random_error,
            100.0 * zero_share
        ));
    }
    let off = |other: &&crate::report::Slope| {
        !within(local::error(other.slope, other.gradient_slope), limits.slope)
    };
    if let Some(other) = check.other_slopes.iter().find(off) {
        return Some(format!(
            "of the objective {} a finite difference gives the slope {:.4e}, the gradient {:.4e}",
            other.objective, other.slope, other.gradient_slope
        ));
    }
    if !within(disagreement, limits.agreement) {
        return Some(format!("it differs from another runtime's by {disagreement:.1e} of its length"));
    }
    reach::problem(&check.reach, check.straight_through)
}
