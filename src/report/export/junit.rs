//! JUnit's XML: a test suite per model, a test case per image, budget and runtime, and one per finding.
//!
//! A case fails where its worst attack leaves less than a threshold; a finding fails where it is an ALARM.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::report::html::escaped;
use crate::report::{LeastSrPsnr, Level, Missed, Report, Row};

/// The document.
pub fn junit(report: &Report, thresholds: &[LeastSrPsnr]) -> String {
    let missed: Vec<Missed<'_>> = thresholds.iter().flat_map(|least| least.missed(report)).collect();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"temper\">\n");
    for model in &report.models {
        let mut cases = String::new();
        let [mut count, mut failures] = [0, 0];
        for row in judged(report, &model.name) {
            let name = format!("{} at {}/255 on {}", row.image, row.budget, row.judged_on);
            let is_of_case = |missed: &&Missed<'_>| {
                (missed.model, missed.image, missed.judged_on) == (&row.model, &row.image, &row.judged_on)
                    && missed.budget == row.budget
            };
            let worst = missed.iter().filter(is_of_case).min_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr));
            let reason = worst
                .map(|missed| format!("{} leaves an output PSNR of {:.2} dB", missed.attack, missed.sr_psnr));
            count += 1;
            failures += usize::from(reason.is_some());
            case(&mut cases, &model.name, &name, reason.as_deref());
        }
        for finding in report.findings.iter().filter(|finding| finding.model == model.name) {
            let is_alarm = finding.level == Level::Alarm;
            count += 1;
            failures += usize::from(is_alarm);
            let name = format!("{} on {}", finding.code, finding.runtime);
            case(&mut cases, &model.name, &name, is_alarm.then_some(finding.sentence.as_str()));
        }
        let _ = write!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{count}\" failures=\"{failures}\">\n{cases}  </testsuite>\n",
            escaped(&model.name)
        );
    }
    xml + "</testsuites>\n"
}

/// A row of every image, budget and judging runtime of a model.
fn judged<'a>(report: &'a Report, model: &str) -> Vec<&'a Row> {
    let mut seen = BTreeSet::new();
    let rows = report.measured.rows.iter().filter(|row| row.model == model && row.is_budgeted());
    rows.filter(|row| seen.insert((&row.image, row.budget.to_bits(), &row.judged_on))).collect()
}

fn case(xml: &mut String, class: &str, name: &str, failure: Option<&str>) {
    let head = format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(class), escaped(name));
    let _ = match failure {
        None => writeln!(xml, "{head}/>"),
        Some(reason) => writeln!(xml, "{head}><failure message=\"{}\"/></testcase>", escaped(reason)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::report;

    #[test]
    fn an_image_below_a_threshold_fails() {
        let report = report();
        let xml = junit(&report, &["28@1".parse().unwrap()]);
        assert_eq!(xml.matches("<testsuite ").count(), 2, "{xml}");
        assert!(xml.contains("name=\"a.png at 1/255 on ort\"/>"), "{xml}");
        let xml = junit(&report, &["30.5@1".parse().unwrap()]);
        assert!(xml.contains("<failure message=\"ifgsm leaves an output PSNR of 30.00 dB\"/>"), "{xml}");
        assert!(!junit(&report, &[]).contains("output PSNR of"), "nothing was asked for");
    }
}
