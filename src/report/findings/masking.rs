//! Signs that a model's own gradient is masked: something that does not follow it does as much as what does.

use std::collections::BTreeMap;

use super::case::{Case, is_white_box, least, members_left};
use super::{Finding, Level, decibels};
use crate::attack::AttackKind;
use crate::report::summary::finite_mean;
use crate::report::{Measured, Row, Transfer};

/// A white-box attack that leaves more than this above another one was led astray, in dB.
const BEATEN_BY: f64 = 0.5;
/// A larger share of the output's squared change than this outside its range is no honest network's.
const OVERSHOOT: f64 = 0.9;

/// Every sign of masking in a case.
pub fn of(case: &Case<'_>, measured: &Measured) -> Vec<Finding> {
    let found = [
        beaten(case),
        beaten_inside(case),
        rugged(case),
        overshoots(case),
        no_better_than_noise(case, measured),
        better_from_elsewhere(case),
        better_from_a_sibling(case, measured),
    ];
    found.into_iter().flatten().collect()
}

/// A gradient-free attack beats those that climb: the gradient is masked.
fn beaten(case: &Case<'_>) -> Option<Finding> {
    let (white, left) = case.white_box()?;
    let free = case.left(|row| case.at_home(row) && row.kind == AttackKind::GradientFree);
    let (free, less) = least(free)?;
    if left - less <= BEATEN_BY || left.is_infinite() && less.is_infinite() {
        return None;
    }
    let sentence = format!(
        "{free}, which needs no gradient, leaves {} at {}/255 and {white} leaves {}: gradients are masked",
        decibels(less),
        case.budget,
        decibels(left)
    );
    let kind = (Level::Alarm, "gradient-free-wins");
    let numbers = [("gradient_free_sr_psnr", less), ("white_box_sr_psnr", left)];
    let of = |attack: &str| {
        let rows = case.rows.iter().filter(|row| case.at_home(row) && row.attack == attack);
        rows.map(|row| (row.image.as_str(), row.sr_psnr)).collect::<BTreeMap<_, _>>()
    };
    let (white, free) = (of(white), of(free));
    let gap = |image: &&str| white.get(*image).zip(free.get(*image)).map_or(0.0, |(w, f)| w - f);
    let image = white.keys().copied().max_by(|a, b| gap(a).total_cmp(&gap(b))).map(str::to_owned);
    Some(Finding { image, ..case.finding(kind, sentence, numbers) })
}

/// Members of an ensemble that do not follow the model's gradient beat those that do.
fn beaten_inside(case: &Case<'_>) -> Option<Finding> {
    let left = members_left(case, AttackKind::WhiteBox).unwrap_or(f64::INFINITY);
    let less = members_left(case, AttackKind::GradientFree)?;
    if left - less <= BEATEN_BY || left.is_infinite() && less.is_infinite() {
        return None;
    }
    let sentence = format!(
        "attacks that do not follow its gradient leave {} at {}/255, and those that do leave {}: gradients are masked",
        decibels(less),
        case.budget,
        decibels(left)
    );
    let numbers = [("gradient_free_sr_psnr", less), ("white_box_sr_psnr", left)];
    Some(case.finding((Level::Alarm, "gradient-free-wins"), sentence, numbers))
}

/// Images at which the plain gradient promises a rise that does not come.
fn rugged(case: &Case<'_>) -> Option<Finding> {
    let told: Vec<bool> =
        case.rows.iter().filter(|row| case.at_home(row)).filter_map(|row| row.rugged).collect();
    let count = told.iter().filter(|rugged| **rugged).count();
    if count == 0 {
        return None;
    }
    let sentence = format!(
        "on {count} of {} images the gradient promises a rise at {}/255 that does not come: the landscape is rugged, \
         and gradients are masked",
        told.len(),
        case.budget
    );
    let numbers = [("images", count as f64), ("of", told.len() as f64)];
    Some(case.finding((Level::Alarm, "rugged"), sentence, numbers))
}

/// Most of what an attack does to the output lies outside the output's range, where nobody sees it.
fn overshoots(case: &Case<'_>) -> Option<Finding> {
    let shares = case.rows.iter().filter(|row| case.at_home(row)).filter_map(|row| row.overshoot);
    let share = shares.max_by(f64::total_cmp).filter(|share| *share > OVERSHOOT)?;
    let sentence = format!(
        "{:.1}% of the output's squared change at {}/255 lies outside its range, where clipping removes it: only \
         attacks on the clipped output count",
        100.0 * share,
        case.budget
    );
    Some(case.finding((Level::Warning, "overshoot"), sentence, [("share", share)]))
}

/// Noise of the same budget does as much: the gradient leads nowhere.
fn no_better_than_noise(case: &Case<'_>, measured: &Measured) -> Option<Finding> {
    let (white, left) = case.white_box()?;
    let ours = measured.noise.iter().filter(|noise| {
        noise.model == case.model && noise.runtime == case.runtime && noise.budget == case.budget
    });
    let noise = finite_mean(ours.map(|noise| noise.sr_psnr));
    if noise.is_infinite() || left < noise {
        return None;
    }
    let sentence = format!(
        "noise leaves {} at {}/255, and {white} leaves {}: its gradient leads nowhere",
        decibels(noise),
        case.budget,
        decibels(left)
    );
    let numbers = [("noise_sr_psnr", noise), ("white_box_sr_psnr", left)];
    Some(case.finding((Level::Alarm, "noise-wins"), sentence, numbers))
}

/// An attack crafted on another runtime does more here than one crafted here.
fn better_from_elsewhere(case: &Case<'_>) -> Option<Finding> {
    let (white, left) = case.white_box()?;
    let elsewhere = |row: &Row| !case.at_home(row) && is_white_box(row);
    let (attack, less) = least(case.left(elsewhere))?;
    if left - less <= BEATEN_BY || left.is_infinite() && less.is_infinite() {
        return None;
    }
    let sentence = format!(
        "{attack} crafted on another runtime leaves {} at {}/255, and {white} crafted here leaves {}: \
         gradients are masked here",
        decibels(less),
        case.budget,
        decibels(left)
    );
    let numbers = [("elsewhere_sr_psnr", less), ("white_box_sr_psnr", left)];
    Some(case.finding((Level::Alarm, "transfer-wins"), sentence, numbers))
}

/// An attack crafted for another model does more here than one crafted for this one.
fn better_from_a_sibling(case: &Case<'_>, measured: &Measured) -> Option<Finding> {
    let (white, left) = case.white_box()?;
    let mut by: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    let here = |transfer: &&Transfer| {
        transfer.model == case.model && transfer.judged_on == case.runtime && transfer.budget == case.budget
    };
    for transfer in measured
        .transfers
        .iter()
        .filter(here)
        .filter(|transfer| matches!(transfer.kind, AttackKind::WhiteBox | AttackKind::Ensemble))
    {
        by.entry((&transfer.crafted_for, &transfer.attack)).or_default().push(transfer.sr_psnr);
    }
    let means = by.into_iter().map(|(from, values)| (from, finite_mean(values.into_iter())));
    let ((sibling, attack), less) = means.min_by(|a, b| a.1.total_cmp(&b.1))?;
    if left - less <= BEATEN_BY || left.is_infinite() && less.is_infinite() {
        return None;
    }
    let sentence = format!(
        "{attack} crafted for `{sibling}` leaves {} at {}/255, and {white} crafted for this model leaves {}: its \
         own gradients are masked",
        decibels(less),
        case.budget,
        decibels(left)
    );
    let numbers = [("sibling_sr_psnr", less), ("white_box_sr_psnr", left)];
    Some(case.finding((Level::Alarm, "sibling-wins"), sentence, numbers))
}
