//! Signs that attacks have not come to their end, or do not agree: a stronger one would do more.

use std::collections::BTreeMap;

use super::case::{Case, is_white_box, lowest};
use super::{Finding, Level, decibels};
use crate::attack::{AttackKind, ObjectiveKind};
use crate::report::Row;
use crate::report::summary::finite_mean;

/// An attack on features and one on the output this far apart are worth a look, in dB.
const AT_ODDS: f64 = 10.0;
/// More of the objective than this won in the last fifth of the steps: there was more to be won.
const STILL_CLIMBING: f64 = 0.1;

/// Every such sign in a case.
pub fn of(case: &Case<'_>) -> Vec<Finding> {
    let found = [did_not_rise(case), still_climbing(case), restarts_help(case), at_odds(case)];
    found.into_iter().flatten().collect()
}

/// Whether a row followed gradients, of the output or of features.
fn is_gradient_attack(row: &Row) -> bool {
    row.kind == AttackKind::WhiteBox
}

/// Attacks whose objective is no higher at their end than at their start.
fn did_not_rise(case: &Case<'_>) -> Option<Finding> {
    let climbing =
        || case.rows.iter().filter(|row| case.at_home(row) && is_gradient_attack(row) && row.iterations > 1);
    let flat = || climbing().filter(|row| row.objective_end <= row.objective_start);
    let image = flat().next().map(|row| row.image.clone())?;
    let (flat, all) = (flat().count(), climbing().count());
    let sentence = format!("the objective of {flat} of {all} attacks did not rise at {}/255", case.budget);
    let numbers = [("flat", flat as f64), ("attacks", all as f64)];
    Some(Finding { image: Some(image), ..case.finding(Level::Warning, "no-rise", sentence, numbers) })
}

/// More steps would have done more.
fn still_climbing(case: &Case<'_>) -> Option<Finding> {
    let home = case.rows.iter().filter(|row| case.at_home(row) && is_gradient_attack(row));
    let mut gains: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    home.filter_map(|row| Some((&row.attack, row.late_gain?)))
        .for_each(|(attack, gain)| gains.entry(attack).or_default().push(gain));
    let means = gains.into_iter().map(|(attack, gains)| (attack, finite_mean(gains.into_iter())));
    // The attack that has come closest to its end speaks for the case.
    let (attack, gain) =
        means.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, gain)| *gain > STILL_CLIMBING)?;
    let sentence = format!(
        "{attack} won {:.0}% of its objective in the last fifth of its steps at {}/255: try more --iterations",
        100.0 * gain,
        case.budget
    );
    Some(case.finding(Level::Warning, "still-climbing", sentence, [("late_gain", gain)]))
}

/// Where an attack starts decides how far it gets.
fn restarts_help(case: &Case<'_>) -> Option<Finding> {
    let home = case.rows.iter().filter(|row| case.at_home(row));
    let gain = finite_mean(home.filter_map(|row| row.restart_gain));
    if !gain.is_finite() || gain <= STILL_CLIMBING {
        return None;
    }
    let sentence = format!(
        "restarts won {:.0}% of the objective at {}/255: the landscape is rugged, and more --restarts would do \
         more",
        100.0 * gain,
        case.budget
    );
    Some(case.finding(Level::Warning, "restarts-help", sentence, [("restart_gain", gain)]))
}

/// An attack on features and one on the output see very different models.
fn at_odds(case: &Case<'_>) -> Option<Finding> {
    let features = |row: &Row| case.at_home(row) && row.objective_kind == ObjectiveKind::Features;
    let (on_features, one) = lowest(case.means(features))?;
    let (on_output, other) = lowest(case.means(|row| case.at_home(row) && is_white_box(row)))?;
    if (one - other).abs() <= AT_ODDS || !(one - other).is_finite() {
        return None;
    }
    let sentence = format!(
        "{on_features} leaves {} and {on_output} {} at {}/255: the features and the output do not move together",
        decibels(one),
        decibels(other),
        case.budget
    );
    let numbers = [("features_sr_psnr", one), ("output_sr_psnr", other)];
    Some(case.finding(Level::Note, "attacks-disagree", sentence, numbers))
}
