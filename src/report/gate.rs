//! What a pipeline asks of an audit: thresholds that every attacked image keeps, and nothing that speaks
//! against them. A threshold that was kept proves nothing beside an alarm.

use super::findings::CODES;
use super::{LeastSrPsnr, Level, Report};

/// Thresholds, and the alarms that do not fail them.
#[derive(Clone, Debug)]
pub struct Gate<'a> {
    /// What every row has to keep; without any, nothing fails.
    pub least: &'a [LeastSrPsnr],
    /// The codes of alarms that are known of.
    pub allowed: &'a [Code],
}

/// The code of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(&'static str);

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let known = CODES.into_iter().find(|code| *code == given).map(Code);
        known.ok_or_else(|| format!("there is no finding `{given}`; there are {}", CODES.join(", ")))
    }
}

impl Gate<'_> {
    /// What fails, a line each; empty where the report passes.
    pub fn failures(&self, report: &Report) -> Vec<String> {
        if self.least.is_empty() {
            return vec![];
        }
        let missed = self.least.iter().flat_map(|least| {
            least.missed(report).into_iter().map(move |missed| format!("{missed}, not {least}"))
        });
        missed.chain(self.alarms(report)).collect()
    }

    fn alarms(&self, report: &Report) -> Vec<String> {
        let known = |code: &str| self.allowed.iter().any(|allowed| allowed.0 == code);
        let alarms =
            report.findings.iter().filter(|finding| finding.level == Level::Alarm && !known(finding.code));
        let line = |finding: &super::Finding| {
            let super::Finding { code, model, runtime, sentence, .. } = finding;
            format!("ALARM {code}: {model} on {runtime}: {sentence}")
        };
        alarms.map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::{report, row, transfer};
    use crate::report::{Measured, Noise};

    fn failures(measured: Measured, allowed: &[Code]) -> Vec<String> {
        let mut report = Report { measured, ..report() };
        report.conclude();
        let least = ["28".parse().unwrap()];
        assert!(Gate { least: &[], allowed }.failures(&report).is_empty(), "nothing was asked");
        Gate { least: &least, allowed }.failures(&report)
    }

    fn noisy(sr_psnr: f64) -> Measured {
        let (model, image, runtime) = ("model.onnx".into(), "a.png".into(), "ort".into());
        let noise = vec![Noise { model, image, budget: 4.0, runtime, sr_psnr }];
        Measured { rows: vec![row("ort", "ort", "a.png", 4.0, 30.0)], noise, ..Measured::default() }
    }

    #[test]
    fn an_alarm_fails_what_every_row_keeps() {
        assert!(failures(noisy(35.0), &[]).is_empty());
        let failed = failures(noisy(29.0), &[]);
        assert!(
            failed.len() == 1 && failed[0].starts_with("ALARM noise-wins: model.onnx on ort: "),
            "{failed:?}"
        );
        assert!(failures(noisy(29.0), &["noise-wins".parse().unwrap()]).is_empty(), "it is known of");
    }

    #[test]
    fn attacks_crafted_for_siblings_and_rounded_images_count() {
        let mut measured = noisy(35.0);
        measured.transfers.push(transfer("a.png", 4.0, 27.0));
        let failed = failures(measured, &["sibling-wins".parse().unwrap()]);
        assert_eq!(failed, ["model.onnx on ort, ifgsm for other.onnx at 4/255, a.png: 27.00 dB, not 28"]);
        let mut measured = noisy(35.0);
        measured.rows[0].eight_bit.sr_psnr = 27.5;
        assert_eq!(failures(measured, &[]), ["model.onnx on ort, ifgsm at 4/255, a.png: 27.50 dB, not 28"]);
    }

    #[test]
    fn an_unknown_code_is_answered_with_the_list() {
        let refused = "noise-win".parse::<Code>().unwrap_err();
        assert!(refused.contains("no finding `noise-win`; there are attacks-disagree, "), "{refused}");
    }
}
