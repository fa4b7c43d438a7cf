//! SARIF 2.1.0: findings and missed thresholds as results, each at its model's file.

use serde_json::{Value, json};

use crate::report::{LeastSrPsnr, Level, Report};

/// The rule of a missed threshold.
const THRESHOLD: &str = "min-sr-psnr";

/// The document.
pub fn sarif(report: &Report, thresholds: &[LeastSrPsnr]) -> Value {
    let path = |name: &str| {
        let model = report.models.iter().find(|model| model.name == name);
        model.map_or(name, |model| model.path.as_str()).to_owned()
    };
    let result = |rule: &str, level: &str, text: String, model: &str| {
        json!({
            "ruleId": rule,
            "level": level,
            "message": { "text": text },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": path(model) } } }],
        })
    };
    let findings = report.findings.iter().map(|finding| {
        let level = match finding.level {
            Level::Alarm => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        let text = format!("{} on {}: {}", finding.model, finding.runtime, finding.sentence);
        result(finding.code, level, text, &finding.model)
    });
    let missed = thresholds
        .iter()
        .flat_map(|least| least.missed(report).into_iter().map(move |missed| (least, missed)));
    let missed = missed
        .map(|(least, missed)| result(THRESHOLD, "error", format!("{missed}, not {least}"), missed.model));
    let results: Vec<Value> = findings.chain(missed).collect();
    let mut rules: Vec<&str> =
        report.findings.iter().map(|finding| finding.code).chain([THRESHOLD]).collect();
    rules.sort_unstable();
    rules.dedup();
    let rules: Vec<Value> = rules.into_iter().map(|rule| json!({ "id": rule })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "temper", "version": report.temper, "rules": rules } },
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::report;

    #[test]
    fn thresholds_and_findings_are_results_with_a_rule_each() {
        let document = sarif(&report(), &["28".parse().unwrap()]);
        let run = &document["runs"][0];
        let results = run["results"].as_array().unwrap();
        let missed: Vec<_> = results.iter().filter(|result| result["ruleId"] == THRESHOLD).collect();
        assert_eq!(missed.len(), 2, "{document}");
        let place = &missed[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(place, "model.onnx");
        for result in results {
            let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
            assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
        }
    }
}
