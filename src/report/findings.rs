//! What speaks against taking an audit's numbers at their word: signs that gradients are masked, that an
//! attack was too weak, or that runtimes differ. Each with its evidence.
//!
//! A pure function of the report. Deliberately absent: any attack made only to find out; an audit that
//! should raise these flags must run more than one attack, on more than one runtime.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use super::defences::defences;
use super::summary::finite_mean;
use super::{Report, Row, Transfer, Trust};

/// A white-box attack that leaves more than this above a gradient-free one was led astray, in dB.
const BEATEN_BY: f64 = 0.5;
/// Runtimes this far apart are not equally robust, in dB.
const APART: f64 = 1.0;
/// FDA and I-FGSM this far apart are worth a look, in dB.
const AT_ODDS: f64 = 10.0;
/// More of the objective than this won in the last fifth of the steps: there was more to be won.
const STILL_CLIMBING: f64 = 0.1;
/// More exact zeros in a gradient than this are unusual.
const MANY_ZEROS: f64 = 0.5;

/// Attacks that need forward passes only; noise is for comparison and not one of them.
const GRADIENT_FREE: [&str; 2] = ["square", "spsa"];
/// A baseline, and an attack that goes only as far as a target: neither says how far a gradient leads.
const NO_MEASURE: [&str; 2] = ["random", "cw"];

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Robust numbers beside it are not to be believed.
    Alarm,
    /// They may be too good.
    Warning,
    /// Good to know.
    Note,
}

impl Level {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Alarm => "ALARM",
            Level::Warning => "warning",
            Level::Note => "note",
        }
    }
}

/// Something that speaks against the numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub level: Level,
    /// Its name, which stays the same from version to version.
    pub code: &'static str,
    /// The model.
    pub model: String,
    /// The runtime whose verdict is in doubt.
    pub runtime: String,
    /// In words.
    pub sentence: String,
    /// The evidence.
    pub numbers: IndexMap<&'static str, f64>,
    /// The image that shows it most, or on which the least was left; null where all show it.
    pub image: Option<String>,
}

/// All that is found, the gravest first.
pub fn findings(report: &Report) -> Vec<Finding> {
    let mut found: Vec<Finding> = report.trust.iter().flat_map(distrusted).collect();
    for case in cases(report) {
        found.extend(beaten(&case));
        found.extend(no_better_than_noise(&case, report));
        found.extend(better_from_elsewhere(&case));
        found.extend(better_from_a_sibling(&case, report));
        found.extend(did_not_rise(&case));
        found.extend(still_climbing(&case));
        found.extend(restarts_help(&case));
        found.extend(at_odds(&case));
    }
    found.extend(broken_elsewhere(report));
    found.extend(defences(report));
    found.sort_by_key(|finding| finding.level);
    found
}

/// All attacks of one budget on one model, judged on one runtime.
struct Case<'a> {
    model: &'a str,
    runtime: &'a str,
    budget: f64,
    rows: Vec<&'a Row>,
}

fn cases(report: &Report) -> Vec<Case<'_>> {
    let mut cases: IndexMap<_, Vec<&Row>> = IndexMap::new();
    for row in report.rows.iter().filter(|row| row.drives_away()) {
        cases.entry((&row.model, &row.judged_on, row.budget.to_bits())).or_default().push(row);
    }
    let mut made = Vec::with_capacity(cases.len());
    for ((model, runtime, budget), rows) in cases {
        made.push(Case { model, runtime, budget: f64::from_bits(budget), rows });
    }
    made
}

impl<'a> Case<'a> {
    /// What is left after every attack crafted as `crafter` says: mean SR PSNR by attack.
    fn left(&self, keep: impl Fn(&Row) -> bool) -> BTreeMap<&'a str, f64> {
        let mut rows: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| keep(row)) {
            rows.entry(&row.attack).or_default().push(row.sr_psnr);
        }
        rows.into_iter().map(|(attack, values)| (attack, finite_mean(values.into_iter()))).collect()
    }

    fn at_home(&self, row: &Row) -> bool {
        row.crafted_on == self.runtime
    }

    /// The strongest gradient attack crafted here, and what it left.
    fn white_box(&self) -> Option<(&'a str, f64)> {
        least(self.left(|row| self.at_home(row) && climbs(&row.attack)))
    }

    fn finding(
        &self,
        (level, code): (Level, &'static str),
        sentence: String,
        numbers: impl IntoIterator<Item = (&'static str, f64)>,
    ) -> Finding {
        let numbers = [("budget", self.budget)].into_iter().chain(numbers).collect();
        let (model, runtime) = (self.model.to_owned(), self.runtime.to_owned());
        let worst = self.rows.iter().min_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr));
        let image = worst.map(|row| row.image.clone());
        Finding { level, code, model, runtime, sentence, numbers, image }
    }
}

fn climbs(attack: &str) -> bool {
    !NO_MEASURE.contains(&attack) && !GRADIENT_FREE.contains(&attack)
}

fn least(left: BTreeMap<&str, f64>) -> Option<(&str, f64)> {
    left.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))
}

fn distrusted(trust: &Trust) -> Vec<Finding> {
    let finding = |level, code, sentence: String| Finding {
        level,
        code,
        model: trust.model.clone(),
        runtime: trust.runtime.clone(),
        sentence,
        numbers: [("zero_share", trust.zero_share), ("disagreement", trust.disagreement)].into(),
        image: None,
    };
    let mut found = Vec::new();
    if let Some(problem) = &trust.problem {
        let sentence =
            format!("its gradient is not trusted: {problem}; only attacks without gradients count");
        found.push(finding(Level::Alarm, "gradient-not-trusted", sentence));
    } else if trust.zero_share > MANY_ZEROS {
        let sentence = format!("{:.0}% of its gradient is exactly zero", 100.0 * trust.zero_share);
        found.push(finding(Level::Warning, "zero-gradient", sentence));
    }
    if trust.problem.is_none() && trust.straight_through {
        let sentence = "its gradient is an estimate that passes straight through roundings".to_owned();
        found.push(finding(Level::Note, "straight-through", sentence));
    }
    if trust.problem.is_none() && trust.draws > 1 {
        let sentence = format!("its gradient is an estimate: a mean over {} draws each", trust.draws);
        found.push(finding(Level::Note, "averaged-gradient", sentence));
    }
    found
}

/// A gradient-free attack beats those that climb: the gradient is masked.
fn beaten(case: &Case<'_>) -> Option<Finding> {
    let (white, left) = case.white_box()?;
    let free = case.left(|row| case.at_home(row) && GRADIENT_FREE.contains(&row.attack.as_str()));
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

/// Noise of the same budget does as much: the gradient leads nowhere.
fn no_better_than_noise(case: &Case<'_>, report: &Report) -> Option<Finding> {
    let (white, left) = case.white_box()?;
    let ours = report.noise.iter().filter(|noise| {
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
    let elsewhere = |row: &Row| !case.at_home(row) && climbs(&row.attack);
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
fn better_from_a_sibling(case: &Case<'_>, report: &Report) -> Option<Finding> {
    let (white, left) = case.white_box()?;
    let mut by: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    let here = |transfer: &&Transfer| {
        transfer.model == case.model && transfer.judged_on == case.runtime && transfer.budget == case.budget
    };
    for transfer in report.transfers.iter().filter(here).filter(|transfer| climbs(&transfer.attack)) {
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

/// Attacks whose objective is no higher at their end than at their start.
fn did_not_rise(case: &Case<'_>) -> Option<Finding> {
    let climbing =
        || case.rows.iter().filter(|row| case.at_home(row) && climbs(&row.attack) && row.iterations > 1);
    let flat = || climbing().filter(|row| row.objective_end <= row.objective_start);
    let image = flat().next().map(|row| row.image.clone())?;
    let (flat, all) = (flat().count(), climbing().count());
    let sentence = format!("the objective of {flat} of {all} attacks did not rise at {}/255", case.budget);
    let numbers = [("flat", flat as f64), ("attacks", all as f64)];
    Some(Finding { image: Some(image), ..case.finding((Level::Warning, "no-rise"), sentence, numbers) })
}

/// More steps would have done more.
fn still_climbing(case: &Case<'_>) -> Option<Finding> {
    let home = case.rows.iter().filter(|row| case.at_home(row) && climbs(&row.attack));
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
    Some(case.finding((Level::Warning, "still-climbing"), sentence, [("late_gain", gain)]))
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
    Some(case.finding((Level::Warning, "restarts-help"), sentence, [("restart_gain", gain)]))
}

/// FDA and I-FGSM see very different models.
fn at_odds(case: &Case<'_>) -> Option<Finding> {
    let left = case.left(|row| case.at_home(row));
    let (fda, ifgsm) = (*left.get("fda")?, *left.get("ifgsm")?);
    if (fda - ifgsm).abs() <= AT_ODDS || !(fda - ifgsm).is_finite() {
        return None;
    }
    let sentence = format!(
        "fda leaves {} and ifgsm {} at {}/255: the features and the output do not move together",
        decibels(fda),
        decibels(ifgsm),
        case.budget
    );
    let numbers = [("fda_sr_psnr", fda), ("ifgsm_sr_psnr", ifgsm)];
    Some(case.finding((Level::Note, "attacks-disagree"), sentence, numbers))
}

/// Robust on one runtime, broken on another, whoever attacked.
fn broken_elsewhere(report: &Report) -> Vec<Finding> {
    let mut by_cell: IndexMap<_, Vec<_>> = IndexMap::new();
    for worst in &report.worst {
        by_cell.entry((&worst.model, worst.budget.to_bits())).or_default().push(worst);
    }
    let apart = by_cell.values().filter_map(|cells| {
        let best = cells.iter().max_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr))?;
        let least = cells.iter().min_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr))?;
        let difference = best.sr_psnr - least.sr_psnr;
        if difference.is_nan() || difference <= APART {
            return None;
        }
        let sentence = format!(
            "at {}/255 the same file keeps {} on {} and {} on {}",
            least.budget,
            decibels(best.sr_psnr),
            best.judged_on,
            decibels(least.sr_psnr),
            least.judged_on
        );
        Some(Finding {
            level: Level::Warning,
            code: "runtimes-differ",
            model: least.model.clone(),
            runtime: best.judged_on.clone(),
            sentence,
            numbers: [("budget", least.budget), ("robust", best.sr_psnr), ("broken", least.sr_psnr)].into(),
            image: Some(least.image.clone()),
        })
    });
    apart.collect()
}

fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.2} dB") } else { "all".into() }
}

#[cfg(test)]
mod tests {
    use super::super::example::{report, row, transfer};
    use super::super::{Noise, worst};
    use super::*;

    fn codes(rows: Vec<Row>, noise: Vec<Noise>) -> Vec<&'static str> {
        let report = Report { worst: worst(&rows, &[]), rows, noise, ..report() };
        findings(&report).into_iter().map(|finding| finding.code).collect()
    }

    fn by(attack: &str, row: Row) -> Row {
        Row { attack: attack.into(), ..row }
    }

    fn home(sr_psnr: f64) -> Row {
        row(("ort", "ort"), "a.png", 4.0, sr_psnr)
    }

    #[test]
    fn a_plain_audit_raises_no_flag() {
        let noise = Noise {
            model: "model.onnx".into(),
            image: "a.png".into(),
            budget: 4.0,
            runtime: "ort".into(),
            sr_psnr: 34.0,
        };
        let there = row(("tract", "ort"), "a.png", 4.0, 29.9);
        assert_eq!(codes(vec![home(30.0), by("square", home(33.0)), there], vec![noise]), [""; 0]);
    }

    #[test]
    fn every_flag_has_its_evidence() {
        assert_eq!(codes(vec![home(30.0), by("square", home(29.0))], vec![]), ["gradient-free-wins"]);
        assert_eq!(codes(vec![home(30.0), by("random", home(29.0))], vec![]), [""; 0], "noise is no attack");
        let unchanged = vec![home(f64::INFINITY), by("square", home(29.0))];
        assert_eq!(codes(unchanged, vec![]), ["gradient-free-wins"]);
        let there = row(("tract", "ort"), "a.png", 4.0, 29.0);
        assert_eq!(codes(vec![home(30.0), there], vec![]), ["transfer-wins"]);
        let flat = Row { objective_end: 0.1, ..home(30.0) };
        assert_eq!(codes(vec![flat], vec![]), ["no-rise"]);
        let climbing = Row { late_gain: Some(0.2), ..home(30.0) };
        assert_eq!(codes(vec![climbing.clone()], vec![]), ["still-climbing"]);
        let done = Row { late_gain: Some(0.01), ..by("apgd", home(30.0)) };
        assert_eq!(codes(vec![climbing, done], vec![]), [""; 0], "another attack has come to its end");
        assert_eq!(codes(vec![home(30.0), by("fda", home(42.0))], vec![]), ["attacks-disagree"]);
        let broken = row(("tract", "tract"), "a.png", 4.0, 28.0);
        assert_eq!(codes(vec![home(30.0), broken], vec![]), ["runtimes-differ"]);
    }

    #[test]
    fn a_sibling_and_restarts_raise_their_flags() {
        let codes = |rows: Vec<Row>, transfers: Vec<Transfer>| -> Vec<&str> {
            let report = Report { worst: worst(&rows, &transfers), rows, transfers, ..report() };
            findings(&report).into_iter().map(|finding| finding.code).collect()
        };
        assert_eq!(codes(vec![home(30.0)], vec![transfer("a.png", 4.0, 29.0)]), ["sibling-wins"]);
        assert_eq!(codes(vec![home(30.0)], vec![transfer("a.png", 4.0, 29.9)]), [""; 0]);
        let rugged = |gain| vec![Row { restart_gain: Some(gain), ..by("pgd", home(30.0)) }];
        assert_eq!(codes(rugged(0.2), vec![]), ["restarts-help"]);
        assert_eq!(codes(rugged(0.02), vec![]), [""; 0]);
    }

    #[test]
    fn noise_that_does_as_much_is_an_alarm_and_names_both_numbers() {
        let noise = Noise {
            model: "model.onnx".into(),
            image: "a.png".into(),
            budget: 4.0,
            runtime: "ort".into(),
            sr_psnr: 29.5,
        };
        let rows = vec![home(30.0)];
        let report = Report { worst: worst(&rows, &[]), rows, noise: vec![noise], ..report() };
        let found = &findings(&report)[0];
        assert_eq!((found.code, found.level), ("noise-wins", Level::Alarm));
        assert_eq!((found.numbers["noise_sr_psnr"], found.numbers["white_box_sr_psnr"]), (29.5, 30.0));
        assert!(found.sentence.contains("29.50 dB"), "{}", found.sentence);
    }

    #[test]
    fn gradients_that_fail_are_said_first() {
        let trust = Trust {
            model: "model.onnx".into(),
            runtime: "ort".into(),
            source: "gradient graph".into(),
            slope: 1.0,
            gradient_slope: 0.0,
            random_error: 1.0,
            zero_share: 1.0,
            straight_through: false,
            disagreement: 0.0,
            trusted: false,
            problem: Some("it is zero".into()),
            draws: 1,
        };
        let rows = vec![by("square", home(29.0)), by("fda", home(42.0)), home(30.0)];
        let report = Report { worst: worst(&rows, &[]), rows, trust: vec![trust], ..report() };
        let found: Vec<_> = findings(&report).iter().map(|finding| finding.code).collect();
        assert_eq!(found, ["gradient-not-trusted", "gradient-free-wins", "attacks-disagree"]);
    }
}
