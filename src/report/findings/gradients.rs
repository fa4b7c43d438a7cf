//! Gradients that failed their check, and those that are estimates.

use super::{Finding, Level};
use crate::report::GradientCheck;

/// More exact zeros in a gradient than this are unusual.
const MANY_ZEROS: f64 = 0.5;

/// The findings of one gradient check.
pub fn of(check: &GradientCheck) -> Vec<Finding> {
    let finding = |level, code, sentence: String| Finding {
        level,
        code,
        model: check.model.clone(),
        runtime: check.runtime.clone(),
        sentence,
        numbers: [("zero_share", check.zero_share), ("disagreement", check.disagreement)].into(),
        image: None,
    };
    let mut found = Vec::new();
    if let Some(problem) = &check.problem {
        let sentence =
            format!("its gradient is not trusted: {problem}; only attacks without gradients count");
        found.push(finding(Level::Alarm, "gradient-not-trusted", sentence));
    } else if check.zero_share > MANY_ZEROS {
        let sentence = format!("{:.0}% of its gradient is exactly zero", 100.0 * check.zero_share);
        found.push(finding(Level::Warning, "zero-gradient", sentence));
    }
    if check.problem.is_none() && check.straight_through {
        let sentence = "its gradient is an estimate that passes straight through roundings".to_owned();
        found.push(finding(Level::Note, "straight-through", sentence));
    }
    if check.problem.is_none() && check.draws > 1 {
        let sentence = format!("its gradient is an estimate: a mean over {} draws each", check.draws);
        found.push(finding(Level::Note, "averaged-gradient", sentence));
    }
    found
}
