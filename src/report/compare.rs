//! Two audits side by side: what is left under the worst attack, before and after.
//!
//! A pure function of two reports. Rows are matched by model, runtime and budget; where each report has one model,
//! these two are matched whatever they are called. Deliberately absent: a test of significance. What counts as noise
//! is for whoever asks to state.

use serde::Serialize;

use super::null::decibels;
use super::{Report, Worst};

/// What is left under the worst attack of a model on a runtime at a budget, in both reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The model, as the second report calls it.
    pub model: String,
    /// The runtime that judged.
    pub runtime: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// Output PSNR in dB in the first report.
    #[serde(serialize_with = "decibels::serialize")]
    pub before: f64,
    /// Output PSNR in dB in the second.
    #[serde(serialize_with = "decibels::serialize")]
    pub after: f64,
}

impl Change {
    /// How many dB more are left than before; 0 where both are infinite.
    pub fn gain(&self) -> f64 {
        if self.after == self.before { 0.0 } else { self.after - self.before }
    }

    /// Whether more was lost than noise explains.
    pub fn is_regression(&self, noise: f64) -> bool {
        self.gain() < -noise
    }
}

/// Two reports, row by row.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Rows that both have, in the order of the second.
    pub changes: Vec<Change>,
    /// Rows of the first that the second lacks, in words: they count as regressions.
    pub missing: Vec<String>,
    /// What differs in what was asked for, in words: the numbers may differ because of it.
    pub settings: Vec<String>,
}

/// Compares two reports.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let renamed = |name: &str| match (&before.models[..], &after.models[..]) {
        ([_], [only]) => only.name.clone(),
        _ => name.to_owned(),
    };
    let find = |worst: &Worst| {
        let is_same = |old: &&Worst| {
            renamed(&old.model) == worst.model
                && old.judged_on == worst.judged_on
                && old.budget == worst.budget
        };
        before.worst.iter().find(is_same)
    };
    let change = |worst: &Worst| {
        Some(Change {
            model: worst.model.clone(),
            runtime: worst.judged_on.clone(),
            budget: worst.budget,
            before: find(worst)?.sr_psnr,
            after: worst.sr_psnr,
        })
    };
    let changes: Vec<Change> = after.worst.iter().filter_map(change).collect();
    let is_there = |old: &&Worst| {
        let model = renamed(&old.model);
        changes.iter().any(|it| it.model == model && it.runtime == old.judged_on && it.budget == old.budget)
    };
    let missing = before.worst.iter().filter(|old| !is_there(old));
    let missing =
        missing.map(|old| format!("{} on {} at {}/255", old.model, old.judged_on, old.budget)).collect();
    Comparison { changes, missing, settings: differing(before, after) }
}

/// The settings that differ, each as `name: before, after`.
fn differing(before: &Report, after: &Report) -> Vec<String> {
    let objects = [before, after].map(|report| serde_json::to_value(&report.settings).unwrap_or_default());
    let [Some(before_settings), Some(after_settings)] = [objects[0].as_object(), objects[1].as_object()]
    else {
        return vec![];
    };
    let pairs = before_settings.iter().filter_map(|(name, old)| Some((name, old, after_settings.get(name)?)));
    let mut lines: Vec<String> = pairs
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{name}: {old}, {new}"))
        .collect();
    let names = |report: &Report| report.images.iter().map(|image| image.sha256.clone()).collect::<Vec<_>>();
    if names(before) != names(after) {
        lines.push("images: not the same pixels".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::example::report;
    use super::*;

    #[test]
    fn a_report_compared_with_itself_changes_nothing() {
        let comparison = compare(&report(), &report());
        assert_eq!(comparison.changes.len(), report().worst.len());
        assert!(comparison.changes.iter().all(|change| change.gain() == 0.0 && !change.is_regression(0.0)));
        assert!(comparison.missing.is_empty() && comparison.settings.is_empty());
    }

    #[test]
    fn less_than_before_is_a_regression_beyond_the_noise() {
        let mut after = report();
        after.measured.rows.iter_mut().for_each(|row| row.sr_psnr -= 0.3);
        after.settings.iterations = 20;
        after.conclude();
        let comparison = compare(&report(), &after);
        let finite: Vec<_> = comparison.changes.iter().filter(|change| change.before.is_finite()).collect();
        assert!(!finite.is_empty());
        for change in finite {
            assert!(change.is_regression(0.1) && !change.is_regression(0.5), "{change:?}");
        }
        assert_eq!(comparison.settings, ["iterations: 50, 20"]);
    }

    #[test]
    fn what_is_no_longer_measured_is_missing() {
        let mut after = report();
        after.measured.rows.retain(|row| row.budget != 4.0);
        after.conclude();
        assert_eq!(compare(&report(), &after).missing, ["model.onnx on ort at 4/255"]);
    }
}
