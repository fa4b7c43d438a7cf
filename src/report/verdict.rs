//! The verdict on a model at a budget: what the worst of all attacks leaves of its output, and a level by
//! stated rules.
//!
//! Counted are images as a file can carry them: rounded to 8 bits inside the budget. Of every image the worst
//! of all attacks counts, on every runtime, those crafted for other models too. That a model is fragile is
//! proven by one attack; that it is not needs attacks that were strong enough, and nothing that speaks against
//! them. `docs/verdict.md` tells where the limits come from.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::null::decibels;
use super::summary::finite_mean;
use super::words::one_line;
use super::{EightBit, Level, NonFinite, Report, Row, Settings, Transfer, WorstWindow};
use crate::attack::{Attack, AttackKind, ObjectiveKind};

/// The most that a robust, and a moderately robust model amplify an attack, in times what bicubic does.
const AMPLIFICATION: Limits = Limits { robust: 2.0, moderate: 4.0 };
/// The most that an attack takes beyond noise of the same size, in dB.
const BEYOND_NOISE: Limits = Limits { robust: 4.0, moderate: 8.0 };
/// The warning that attacks were hardly better than noise: a model that they did not get anywhere on is not robust.
const NEAR_NOISE: &str = "near-noise";
/// The least that a verdict other than `fragile` rests on: steps of a white-box attack that converges.
pub const LEAST_STEPS: usize = 50;
/// The least that a verdict other than `fragile` rests on: forward passes of an attack without gradients.
pub const LEAST_QUERIES: usize = 300;

struct Limits {
    robust: f64,
    moderate: f64,
}

/// How robust a model is at a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictLevel {
    /// Attacks do little more than noise does, and the model amplifies them little more than bicubic.
    Robust,
    /// In between.
    Moderate,
    /// Attacks do far more than noise, or are amplified far more than by bicubic.
    Fragile,
    /// No attack shows it to be fragile, and the attacks that were made prove nothing else.
    NotProven,
}

impl VerdictLevel {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Robust => "ROBUST",
            Self::Moderate => "MODERATE",
            Self::Fragile => "FRAGILE",
            Self::NotProven => "NOT PROVEN",
        }
    }
}

/// The verdict on a model at a budget.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verdict {
    /// The model.
    pub model: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// How robust it is.
    pub level: VerdictLevel,
    /// In words.
    pub sentence: String,
    /// Mean over images of the least SR PSNR that an attack left, in dB; null where none changed an output.
    #[serde(serialize_with = "decibels::serialize")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
    /// Mean SR PSNR under noise of the same size, in dB; null where noise changed no output.
    #[serde(serialize_with = "decibels::serialize")]
    #[schemars(with = "Option<f64>")]
    pub noise_sr_psnr: f64,
    /// Mean over images of the amplification by the attack that left the least.
    pub amplification: Option<f64>,
    /// The same for a bicubic upscale of the same images.
    pub bicubic_amplification: Option<f64>,
    /// The window of 16 x 16 output pixels that was hit hardest.
    pub worst_window: Option<WorstWindow>,
    /// The image that it is in.
    pub worst_window_image: Option<String>,
    /// Images whose output was not finite under attack.
    pub not_finite: usize,
    /// Why nothing better is proven; empty where the level rests on enough.
    pub doubts: Vec<String>,
}

/// One attacked image on one runtime.
#[derive(Clone, Copy)]
struct Outcome<'a> {
    image: &'a str,
    eight_bit: &'a EightBit,
    non_finite: bool,
}

/// All attacks on a model at a budget.
struct Case<'a> {
    report: &'a Report,
    model: &'a str,
    budget: f64,
    rows: Vec<&'a Row>,
    /// Of every image, what left the least.
    worst: Vec<Outcome<'a>>,
}

/// A verdict per model and budget, in the order of the report's rows.
pub fn verdicts(report: &Report) -> Vec<Verdict> {
    let mut cases: IndexMap<(&str, u64), Vec<&Row>> = IndexMap::new();
    for row in report.measured.rows.iter().filter(|row| row.drives_away()) {
        cases.entry((&row.model, row.budget.to_bits())).or_default().push(row);
    }
    let case = |((model, budget), rows): (_, Vec<_>)| Case::of(report, model, f64::from_bits(budget), rows);
    cases.into_iter().map(|cell| case(cell).verdict()).collect()
}

impl<'a> Case<'a> {
    fn of(report: &'a Report, model: &'a str, budget: f64, rows: Vec<&'a Row>) -> Self {
        let of_row = |row: &&'a Row| {
            let non_finite = row.non_finite == Some(NonFinite::Output);
            Outcome { image: &row.image, eight_bit: &row.eight_bit, non_finite }
        };
        let ours = |transfer: &&Transfer| transfer.model == model && transfer.budget == budget;
        let of_transfer = |transfer: &'a Transfer| {
            let non_finite = transfer.non_finite == Some(NonFinite::Output);
            Outcome { image: &transfer.image, eight_bit: &transfer.eight_bit, non_finite }
        };
        let transfers = report.measured.transfers.iter().filter(ours).map(of_transfer);
        let mut worst: IndexMap<&str, Outcome<'a>> = IndexMap::new();
        for outcome in rows.iter().map(of_row).chain(transfers) {
            let known = worst.entry(outcome.image).or_insert(outcome);
            if outcome.eight_bit.sr_psnr < known.eight_bit.sr_psnr {
                *known = outcome;
            }
        }
        Self { report, model, budget, rows, worst: worst.into_values().collect() }
    }

    fn verdict(&self) -> Verdict {
        let mean = |values: Vec<f64>| Some(finite_mean(values.into_iter())).filter(|mean| mean.is_finite());
        let of = |number: fn(&EightBit) -> Option<f64>| {
            mean(self.worst.iter().filter_map(|outcome| number(outcome.eight_bit)).collect())
        };
        let window = self.worst_window();
        let mut verdict = Verdict {
            model: self.model.to_owned(),
            budget: self.budget,
            level: VerdictLevel::NotProven,
            sentence: String::new(),
            sr_psnr: finite_mean(self.worst.iter().map(|outcome| outcome.eight_bit.sr_psnr)),
            noise_sr_psnr: self.noise(),
            amplification: of(|eight_bit| eight_bit.amplification),
            bicubic_amplification: of(|eight_bit| eight_bit.bicubic_amplification),
            worst_window: window.map(|(window, _)| window),
            worst_window_image: window.map(|(_, image)| image.to_owned()),
            not_finite: self.worst.iter().filter(|outcome| outcome.non_finite).count(),
            doubts: self.doubts(),
        };
        verdict.level = verdict.judged();
        verdict.sentence = verdict.words();
        verdict
    }

    fn noise(&self) -> f64 {
        let ours = self.report.measured.noise.iter();
        let ours = ours.filter(|noise| noise.model == self.model && noise.budget == self.budget);
        finite_mean(ours.map(|noise| noise.sr_psnr))
    }

    fn worst_window(&self) -> Option<(WorstWindow, &'a str)> {
        let windows =
            self.worst.iter().filter_map(|outcome| Some((outcome.eight_bit.worst_window?, outcome.image)));
        windows
            .filter(|(window, _)| window.sr_psnr.is_finite())
            .min_by(|a, b| a.0.sr_psnr.total_cmp(&b.0.sr_psnr))
    }

    /// Why the attacks prove nothing but fragility, in words.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let here = |budget: Option<&f64>| budget.is_none_or(|budget| *budget == self.budget);
        for finding in &self.report.findings {
            let ours = finding.model == self.model && here(finding.numbers.get("budget"));
            let doubt = format!("{} {} on {}", finding.level.name(), finding.code, finding.runtime);
            let weighs = finding.level == Level::Alarm || finding.code == NEAR_NOISE;
            if weighs && ours && !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
        let mut checks = self.report.measured.gradient_checks.iter();
        if checks.any(|check| check.model == self.model && check.trusted && check.straight_through) {
            doubts.push("its gradient is an estimate, through roundings".into());
        }
        let settings = &self.report.settings;
        if !self.rows.iter().any(|row| climbs_far(row, settings)) {
            doubts.push(format!("no white-box attack of {LEAST_STEPS} steps that converges, such as apgd"));
        }
        if !self.rows.iter().any(|row| searches_far(row, settings)) {
            doubts.push(format!("no gradient-free attack of {LEAST_QUERIES} forward passes, such as square"));
        }
        if self.budget < 1.0 && self.worst.iter().all(|outcome| outcome.eight_bit.sr_psnr.is_infinite()) {
            doubts.push("nothing below one level of 1/255 survives rounding to 8 bits".into());
        } else if self.worst.iter().any(|outcome| outcome.eight_bit.sr_psnr.is_infinite()) {
            doubts.push("no attack changed the output of every image".into());
        }
        doubts
    }
}

/// Whether a row is of a white-box attack on the output that takes steps enough to converge, or of an ensemble with
/// such a member.
fn climbs_far(row: &Row, settings: &Settings) -> bool {
    let on_output = row.objective_kind == ObjectiveKind::Away;
    let converges = row.attack.parse::<Attack>().is_ok_and(Attack::converges);
    let single = row.kind == AttackKind::WhiteBox && converges && row.iterations >= LEAST_STEPS;
    on_output && (single || has_member(row, AttackKind::WhiteBox) && settings.iterations >= LEAST_STEPS)
}

/// Whether a row is of an attack without gradients that tries enough, or of an ensemble with such a member.
fn searches_far(row: &Row, settings: &Settings) -> bool {
    let single = row.kind == AttackKind::GradientFree && row.iterations >= LEAST_QUERIES;
    single || has_member(row, AttackKind::GradientFree) && settings.queries >= LEAST_QUERIES
}

fn has_member(row: &Row, kind: AttackKind) -> bool {
    row.members.iter().any(|member| member.kind == kind)
}

impl Verdict {
    fn judged(&self) -> VerdictLevel {
        let within = |limits: fn(&Limits) -> f64| {
            let amplified = self.amplification.zip(self.bicubic_amplification);
            let beyond_noise = if self.sr_psnr.is_finite() { self.noise_sr_psnr - self.sr_psnr } else { 0.0 };
            amplified.is_none_or(|(ours, bicubic)| ours <= limits(&AMPLIFICATION) * bicubic)
                && beyond_noise <= limits(&BEYOND_NOISE)
        };
        match self.not_finite == 0 && within(|limits| limits.moderate) {
            false => VerdictLevel::Fragile,
            true if !self.doubts.is_empty() => VerdictLevel::NotProven,
            true if within(|limits| limits.robust) => VerdictLevel::Robust,
            true => VerdictLevel::Moderate,
        }
    }

    fn words(&self) -> String {
        let level = |value: f64| {
            if value.is_finite() { format!("{value:.1} dB") } else { "unchanged".into() }
        };
        let mut words = format!(
            "{} at {}/255: output {} under attack, {} under noise of the same size",
            self.level.name(),
            self.budget,
            level(self.sr_psnr),
            level(self.noise_sr_psnr),
        );
        if let Some((ours, bicubic)) = self.amplification.zip(self.bicubic_amplification) {
            words += &format!("; amplifies x{ours:.1}, bicubic x{bicubic:.1}");
        }
        if let Some((window, image)) = self.worst_window.zip(self.worst_window_image.as_ref()) {
            let WorstWindow { sr_psnr, x, y } = window;
            words += &format!("; worst window {sr_psnr:.1} dB at ({x}, {y}) of {}", one_line(image));
        }
        if self.not_finite > 0 {
            words += &format!("; output not finite on {} images, counted as 0 dB", self.not_finite);
        }
        if self.level == VerdictLevel::NotProven {
            words += &format!("; because: {}", self.doubts.join("; "));
        }
        words
    }
}

/// The lines that are printed first: one per model and budget.
pub fn lines(report: &Report) -> Vec<String> {
    let several = report.models.len() > 1;
    let line = |verdict: &Verdict| match several {
        true => format!("{}: {}", one_line(&verdict.model), verdict.sentence),
        false => verdict.sentence.clone(),
    };
    report.verdicts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::{report, row, transfer};
    use crate::report::{Measured, Noise};

    fn noise(sr_psnr: f64) -> Noise {
        let (model, image, runtime) = ("model.onnx".into(), "a.png".into(), "ort".into());
        Noise { model, image, budget: 4.0, runtime, sr_psnr }
    }

    /// A row by an attack that is enough for a verdict, and what it amplifies.
    fn strong(name: &str, sr_psnr: f64, amplification: f64) -> Row {
        let attack: Attack = name.parse().unwrap();
        let mut row = row("ort", "ort", "a.png", 4.0, sr_psnr);
        row.eight_bit.amplification = Some(amplification);
        Row { attack: name.into(), kind: attack.kind(), iterations: 300, ..row }
    }

    fn verdict(rows: Vec<Row>, transfers: Vec<Transfer>, noise: Noise) -> Verdict {
        let noise = vec![noise];
        let mut report =
            Report { measured: Measured { rows, transfers, noise, ..Measured::default() }, ..report() };
        report.conclude();
        report.verdicts.remove(0)
    }

    #[test]
    fn levels_follow_from_amplification_and_noise() {
        let level = |sr_psnr, amplification| {
            let rows = vec![strong("apgd", sr_psnr, amplification), strong("square", 36.0, 0.4)];
            verdict(rows, vec![], noise(35.0)).level
        };
        assert_eq!(level(33.9, 0.9), VerdictLevel::Robust);
        assert_eq!(level(33.9, 1.5), VerdictLevel::Moderate);
        assert_eq!(level(30.0, 0.9), VerdictLevel::Moderate);
        assert_eq!(level(33.9, 3.0), VerdictLevel::Fragile);
        assert_eq!(level(20.0, 0.9), VerdictLevel::Fragile);
    }

    #[test]
    fn weak_attacks_prove_fragility_and_nothing_else() {
        let weak = |sr_psnr| vec![row("ort", "ort", "a.png", 4.0, sr_psnr)];
        assert_eq!(verdict(weak(20.0), vec![], noise(35.0)).level, VerdictLevel::Fragile);
        let mut calm = weak(34.0);
        calm[0].eight_bit.amplification = Some(0.9);
        let unproven = verdict(calm, vec![], noise(35.0));
        assert_eq!(unproven.level, VerdictLevel::NotProven);
        assert!(
            unproven.sentence.contains("because: no white-box attack of 50 steps"),
            "{}",
            unproven.sentence
        );
    }

    #[test]
    fn what_attacks_hardly_move_is_not_proven() {
        let rows = vec![strong("apgd", 34.5, 0.9), strong("square", 36.0, 0.4)];
        let doubted = verdict(rows, vec![], noise(35.0));
        assert_eq!(doubted.level, VerdictLevel::NotProven);
        assert!(doubted.sentence.contains("warning near-noise on ort"), "{}", doubted.sentence);
    }

    /// FDA is white-box, and maximises something else than the output's distance.
    #[test]
    fn an_attack_on_features_is_no_evidence() {
        let features = Row { objective_kind: ObjectiveKind::Features, ..strong("fda", 33.0, 0.9) };
        let doubted = verdict(vec![features, strong("square", 36.0, 0.4)], vec![], noise(35.0));
        assert_eq!(doubted.doubts, ["no white-box attack of 50 steps that converges, such as apgd"]);
    }

    #[test]
    fn an_alarm_never_stands_beside_robust() {
        let rows = vec![strong("apgd", 34.0, 0.9), strong("square", 33.0, 0.9)];
        let doubted = verdict(rows, vec![], noise(35.0));
        assert_eq!(doubted.level, VerdictLevel::NotProven);
        assert!(doubted.sentence.contains("ALARM gradient-free-wins on ort"), "{}", doubted.sentence);
    }

    #[test]
    fn attacks_of_siblings_and_outputs_that_are_not_finite_count() {
        let rows = || vec![strong("apgd", 34.0, 0.9), strong("square", 36.0, 0.9)];
        let sibling = verdict(rows(), vec![transfer("a.png", 4.0, 20.0)], noise(35.0));
        assert_eq!((sibling.sr_psnr, sibling.level), (20.0, VerdictLevel::Fragile));
        let mut broken = rows();
        broken[0].non_finite = Some(NonFinite::Output);
        broken[0].eight_bit.sr_psnr = 0.0;
        let broken = verdict(broken, vec![], noise(35.0));
        assert_eq!((broken.sr_psnr, broken.level, broken.not_finite), (0.0, VerdictLevel::Fragile, 1));
    }

    #[test]
    fn the_sentence_reads() {
        let rows = vec![strong("apgd", 17.4, 7.6), strong("square", 36.0, 0.4)];
        let sentence = verdict(rows, vec![], noise(32.3)).sentence;
        assert_eq!(
            sentence,
            "FRAGILE at 4/255: output 17.4 dB under attack, 32.3 dB under noise of the same size; amplifies x7.6, \
             bicubic x0.5; worst window 9.4 dB at (12, 6) of a.png"
        );
    }
}
