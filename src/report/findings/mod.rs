//! What speaks against taking an audit's numbers at their word: signs that gradients are masked, that an
//! attack was too weak, or that runtimes differ. Each with its evidence.
//!
//! A pure function of the report; a file for each kind of sign. Deliberately absent: any attack made only to
//! find out (an audit that should raise these flags must run more than one attack, on more than one runtime),
//! and names of attacks: a row says what evidence it is.

mod case;
mod codes;
mod convergence;
mod defences;
mod gradients;
mod masking;
mod network;
mod non_finite;
mod runtimes;

pub use codes::CODES;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::Report;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
    let measured = &report.measured;
    let mut found: Vec<Finding> = measured.gradient_checks.iter().flat_map(gradients::of).collect();
    found.extend(network::of(report));
    for case in case::cases(measured) {
        found.extend(masking::of(&case, measured));
        found.extend(convergence::of(&case));
    }
    found.extend(runtimes::lost(report));
    found.extend(non_finite::of(measured));
    found.extend(runtimes::apart(report));
    found.extend(defences::defences(report));
    found.sort_by_key(|finding| finding.level);
    found
}

/// A PSNR in dB, or what an infinite one means.
fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.2} dB") } else { "all".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::{Attack, AttackKind, Member, ObjectiveKind};
    use crate::report::example::{report, row, transfer};
    use crate::report::{GradientCheck, LostRuntime, Measured, Noise, Row, Transfer, worst};

    fn reported(measured: Measured) -> Report {
        Report { worst: worst(&measured.rows, &measured.transfers), measured, ..report() }
    }

    fn codes(rows: Vec<Row>, noise: Vec<Noise>) -> Vec<&'static str> {
        let report = reported(Measured { rows, noise, ..Measured::default() });
        findings(&report).into_iter().map(|finding| finding.code).collect()
    }

    /// A row as one of these attacks would have made it.
    fn by(name: &str, row: Row) -> Row {
        let attack: Attack = name.parse().unwrap();
        let objective_kind = if attack.needs_tap() { ObjectiveKind::Features } else { ObjectiveKind::Away };
        Row { attack: name.into(), kind: attack.kind(), objective_kind, ..row }
    }

    fn home(sr_psnr: f64) -> Row {
        row("ort", "ort", "a.png", 4.0, sr_psnr)
    }

    #[test]
    fn a_plain_audit_raises_no_flag() {
        let noise = noise("a.png", 34.0);
        let there = row("tract", "ort", "a.png", 4.0, 29.9);
        assert_eq!(codes(vec![home(30.0), by("square", home(33.0)), there], vec![noise]), [""; 0]);
    }

    #[test]
    fn a_runtime_that_died_is_an_alarm_under_its_name() {
        let reason =
            "runtime tract died as it was to run the model: its process ended by signal 6".to_owned();
        let lost = LostRuntime { runtime: "tract".into(), model: Some("model.onnx".into()), reason };
        let report = Report { lost_runtimes: vec![lost], ..reported(Measured::default()) };
        let found = findings(&report);
        let [died] = &found[..] else { panic!("{found:?}") };
        assert_eq!((died.level, died.code, &died.runtime[..]), (Level::Alarm, "runtime-died", "tract"));
        assert!(died.sentence.contains("signal 6; there are no numbers of it"), "{}", died.sentence);
    }

    #[test]
    fn every_flag_has_its_evidence() {
        assert_eq!(codes(vec![home(30.0), by("square", home(29.0))], vec![]), ["gradient-free-wins"]);
        assert_eq!(codes(vec![home(30.0), by("random", home(29.0))], vec![]), [""; 0], "noise is no attack");
        let unchanged = vec![home(f64::INFINITY), by("square", home(29.0))];
        assert_eq!(codes(unchanged, vec![]), ["gradient-free-wins"]);
        let there = row("tract", "ort", "a.png", 4.0, 29.0);
        assert_eq!(codes(vec![home(30.0), there], vec![]), ["transfer-wins"]);
        let flat = Row { objective_end: 0.1, ..home(30.0) };
        assert_eq!(codes(vec![flat], vec![]), ["no-rise"]);
        let climbing = Row { late_gain: Some(0.2), ..home(30.0) };
        assert_eq!(codes(vec![climbing.clone()], vec![]), ["still-climbing"]);
        let done = Row { late_gain: Some(0.01), ..by("apgd", home(30.0)) };
        assert_eq!(codes(vec![climbing, done], vec![]), [""; 0], "another attack has come to its end");
        assert_eq!(codes(vec![home(30.0), by("fda", home(42.0))], vec![]), ["attacks-disagree"]);
        let broken = row("tract", "tract", "a.png", 4.0, 28.0);
        assert_eq!(codes(vec![home(30.0), broken], vec![]), ["runtimes-differ"]);
    }

    #[test]
    fn a_sibling_and_restarts_raise_their_flags() {
        let codes = |rows: Vec<Row>, transfers: Vec<Transfer>| -> Vec<&str> {
            let report = reported(Measured { rows, transfers, ..Measured::default() });
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
        let rows = vec![home(30.0)];
        let noise = vec![noise("a.png", 29.5)];
        let report = reported(Measured { rows, noise, ..Measured::default() });
        let found = &findings(&report)[0];
        assert_eq!((found.code, found.level), ("noise-wins", Level::Alarm));
        assert_eq!((found.numbers["noise_sr_psnr"], found.numbers["white_box_sr_psnr"]), (29.5, 30.0));
        assert!(found.sentence.contains("29.50 dB"), "{}", found.sentence);
    }

    fn noise(image: &str, sr_psnr: f64) -> Noise {
        let (model, image, runtime) = ("model.onnx".into(), image.into(), "ort".into());
        Noise { model, image, budget: 4.0, runtime, sr_psnr }
    }

    /// One image of twelve is masked: the mean over all of them is 0.25 dB apart.
    #[test]
    fn a_mask_on_one_image_of_twelve_is_an_alarm_that_counts_it() {
        let image = |place: usize, left| row("ort", "ort", &format!("{place}.png"), 4.0, left);
        let mut rows: Vec<Row> = (0..12).map(|place| image(place, 25.0)).collect();
        rows.extend((0..12).map(|place| by("square", image(place, 27.0))));
        assert_eq!(codes(rows.clone(), vec![]), [""; 0]);
        rows[7].sr_psnr = 30.0;
        let report = reported(Measured { rows: rows.clone(), ..Measured::default() });
        let found = &findings(&report)[0];
        assert_eq!((found.code, found.image.as_deref()), ("gradient-free-wins", Some("7.png")));
        assert!(found.sentence.starts_with("on 1 of 12 images square"), "{}", found.sentence);
        assert_eq!((found.numbers["images"], found.numbers["of"]), (1.0, 12.0));
        rows[7].sr_psnr = f64::INFINITY;
        assert_eq!(codes(rows, vec![]), ["gradient-free-wins"], "what did not change at all is masked");
    }

    #[test]
    fn attacks_that_are_hardly_better_than_noise_on_an_image_are_a_warning() {
        let there = |left| vec![home(30.0), row("ort", "ort", "b.png", 4.0, left)];
        let both = || vec![noise("a.png", 34.0), noise("b.png", 33.0)];
        assert_eq!(codes(there(31.0), both()), [""; 0]);
        assert_eq!(codes(there(32.5), both()), ["near-noise"]);
        assert_eq!(codes(there(33.0), both()), ["noise-wins"]);
        assert_eq!(codes(there(f64::INFINITY), both()), ["noise-wins"]);
    }

    #[test]
    fn an_ensemble_is_judged_by_its_members() {
        let member = |name: &'static str, kind, left| Member {
            name: name.into(),
            kind,
            sr_psnr: left,
            part: None,
            rounded: false,
        };
        let with = |white: Option<f64>| {
            let members = vec![
                member("apgd", AttackKind::WhiteBox, white),
                member("square", AttackKind::GradientFree, Some(29.0)),
            ];
            vec![Row { members, ..by("strongest", home(29.0)) }]
        };
        assert_eq!(codes(with(Some(26.0)), vec![]), [""; 0]);
        assert_eq!(codes(with(Some(31.0)), vec![]), ["gradient-free-wins"]);
        assert_eq!(codes(with(None), vec![]), ["gradient-free-wins"]);
    }

    #[test]
    fn less_of_the_budget_or_of_the_images_that_does_more_is_an_alarm() {
        let smaller = |left| Row { budget: 1.0, ..home(left) };
        assert_eq!(codes(vec![smaller(29.8), home(30.0)], vec![]), [""; 0]);
        assert_eq!(codes(vec![smaller(28.0), home(30.0)], vec![]), ["smaller-budget-wins"]);
        let member = |name: &'static str, left, part| Member {
            name: name.into(),
            kind: AttackKind::WhiteBox,
            sr_psnr: Some(left),
            part,
            rounded: name == "eight-bit",
        };
        let members = vec![member("apgd", 30.0, None), member("inner", 28.0, Some(0.5))];
        let row = Row { members, ..by("strongest", home(28.0)) };
        assert_eq!(codes(vec![row], vec![]), ["smaller-budget-wins"]);
        let members = vec![member("apgd", 30.0, None), member("eight-bit", 28.0, None)];
        let row = Row { members, ..by("strongest", home(28.0)) };
        assert_eq!(codes(vec![row], vec![]), ["rounded-wins"]);
    }

    /// What disrupts features says nothing of how far the output can be driven.
    #[test]
    fn an_attack_on_features_alone_is_no_white_box_evidence() {
        let rows = vec![by("fda", home(30.0)), by("square", home(26.0))];
        assert_eq!(codes(rows, vec![noise("a.png", 29.0)]), [""; 0], "there is nothing to compare");
    }

    #[test]
    fn gradients_that_fail_are_said_first() {
        let check = GradientCheck {
            model: "model.onnx".into(),
            runtime: "ort".into(),
            source: "gradient graph".into(),
            slope: 1.0,
            gradient_slope: 0.0,
            other_slopes: vec![],
            step: 0.03,
            random_error: 1.0,
            zero_share: 1.0,
            straight_through: false,
            disagreement: 0.0,
            reach: vec![],
            trusted: false,
            problem: Some("it is zero".into()),
            draws: 1,
        };
        let rows = vec![by("square", home(29.0)), by("fda", home(42.0)), home(30.0)];
        let report = reported(Measured { rows, gradient_checks: vec![check], ..Measured::default() });
        let found: Vec<_> = findings(&report).iter().map(|finding| finding.code).collect();
        assert_eq!(found, ["gradient-not-trusted", "gradient-free-wins", "attacks-disagree"]);
    }
}
