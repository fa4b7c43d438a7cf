//! What a pre-processing before a model costs, and what it brings against the worst of all attacks.

use indexmap::IndexMap;

use super::{Finding, Level};
use crate::report::Report;
use crate::report::summary::finite_mean;

/// One note for every pre-processing before every model on every runtime.
pub fn defences(report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    for (model, info) in report.models.iter().filter_map(|model| Some((model, model.preprocess.as_ref()?))) {
        for runtime in &report.runtimes {
            let Side { clean, worst } = Side::of(report, &info.of, &runtime.name);
            let behind = Side::of(report, &model.name, &runtime.name);
            let mut numbers = IndexMap::new();
            let cost = match (clean, behind.clean) {
                (Some(bare), Some(left)) => {
                    let cost = bare - left;
                    numbers.extend([("clean_psnr_bare", bare), ("clean_psnr", left), ("cost", cost)]);
                    format!("costs {cost:.2} dB of clean PSNR ({bare:.2} to {left:.2} dB)")
                }
                _ => "costs clean PSNR that ground truth alone could tell (--truth)".to_owned(),
            };
            let gains = worst.iter().zip(&behind.worst).filter(|(bare, left)| bare.0 == left.0);
            let gains = gains.map(|(bare, left)| (bare.0, left.1 - bare.1)).filter(|gain| gain.1.is_finite());
            let told: Vec<String> =
                gains.map(|(budget, gain)| format!("{gain:+.2} dB at {budget}/255")).collect();
            let gain = match told.is_empty() {
                true => String::new(),
                false => format!("; SR PSNR under the worst of all attacks: {}", told.join(", ")),
            };
            found.push(Finding {
                level: Level::Note,
                code: "preprocess",
                model: model.name.clone(),
                runtime: runtime.name.clone(),
                sentence: format!("{} {cost}{gain}", info.name),
                numbers,
                image: None,
            });
        }
    }
    found
}

/// What is known of one model on one runtime.
struct Side {
    /// Mean PSNR without attack, where there is ground truth.
    clean: Option<f64>,
    /// Budgets with the mean SR PSNR under the worst of all attacks.
    worst: Vec<(f64, f64)>,
}

impl Side {
    fn of(report: &Report, model: &str, runtime: &str) -> Self {
        let clean =
            report.measured.clean.iter().filter(|clean| clean.model == model && clean.runtime == runtime);
        let clean = Some(finite_mean(clean.map(|clean| clean.psnr))).filter(|mean| mean.is_finite());
        let worst = report.worst.iter().filter(|worst| worst.model == model && worst.judged_on == runtime);
        Self { clean, worst: worst.map(|worst| (worst.budget, worst.sr_psnr)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::{model, report, row};
    use crate::report::{Clean, Measured, ModelInfo, PreprocessInfo, Row, RuntimeInfo, worst};

    #[test]
    fn cost_and_gain_are_told_with_their_signs() {
        let behind = "model.onnx + jpeg=75";
        let preprocess = PreprocessInfo {
            name: "jpeg=75".into(),
            of: "model.onnx".into(),
            how: "".into(),
            draws: 1,
            straight_through: true,
        };
        let defended = ModelInfo { preprocess: Some(preprocess), ..model(behind, &[]) };
        let rows = vec![
            row("ort", "ort", "a.png", 4.0, 30.0),
            Row { model: behind.into(), ..row("ort", "ort", "a.png", 4.0, 30.25) },
        ];
        let clean = &report().measured.clean[0];
        let report = Report {
            models: vec![model("model.onnx", &[]), defended],
            runtimes: vec![RuntimeInfo { name: "ort".into(), version: "1".into() }],
            worst: worst(&rows, &[]),
            measured: Measured {
                rows,
                clean: vec![clean.clone(), Clean { model: behind.into(), psnr: 28.626, ..clean.clone() }],
                ..Measured::default()
            },
            ..report()
        };
        let found = defences(&report);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].sentence,
            "jpeg=75 costs 0.50 dB of clean PSNR (29.13 to 28.63 dB); SR PSNR under the worst of all attacks: \
             +0.25 dB at 4/255"
        );
        assert!((found[0].numbers["cost"] - 0.5).abs() < 1e-9);
    }
}
