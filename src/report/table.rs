//! The table that `temper audit` prints.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use super::{Clean, Report, Summary};

const HEAD: [&str; 7] = ["model", "runtime", "budget", "LR PSNR", "SR PSNR", "clean PSNR", "SSIM"];

/// A row per model, runtime and budget, attacked and judged on the same runtime; bicubic below;
/// then what the numbers mean.
pub fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(HEAD);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for cell in report.summary.iter().filter(|cell| cell.crafted_on == cell.judged_on) {
        table.add_row(attacked(cell, &report.clean));
    }
    if let Some((psnr, ssim)) =
        mean(&report.clean, |_| true, |clean| (clean.bicubic_psnr, clean.bicubic_ssim))
    {
        let dash = || "-".to_owned();
        table.add_row(vec![
            "bicubic".into(),
            dash(),
            dash(),
            dash(),
            dash(),
            decibels(psnr),
            format!("{ssim:.4}"),
        ]);
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n{}", lines.join("\n"), notes(report))
}

fn attacked(cell: &Summary, clean: &[Clean]) -> Vec<String> {
    let ours = |clean: &Clean| clean.model == cell.model && clean.runtime == cell.judged_on;
    let quality = mean(clean, ours, |clean| (clean.psnr, clean.ssim));
    let (psnr, ssim) =
        quality.map_or(("-".into(), "-".into()), |(psnr, ssim)| (decibels(psnr), format!("{ssim:.4}")));
    vec![
        cell.model.clone(),
        cell.judged_on.clone(),
        format!("{}/255", cell.budget),
        decibels(cell.lr_psnr),
        decibels(cell.sr_psnr),
        psnr,
        ssim,
    ]
}

/// The mean of a pair of numbers over those entries that `keep` keeps.
fn mean(
    clean: &[Clean],
    keep: impl Fn(&Clean) -> bool,
    numbers: impl Fn(&Clean) -> (f64, f64),
) -> Option<(f64, f64)> {
    let kept: Vec<(f64, f64)> = clean.iter().filter(|clean| keep(clean)).map(numbers).collect();
    let count = kept.len() as f64;
    let sum = |part: fn(&(f64, f64)) -> f64| kept.iter().map(part).sum::<f64>();
    (!kept.is_empty()).then(|| (sum(|pair| pair.0) / count, sum(|pair| pair.1) / count))
}

fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "equal".into() }
}

fn notes(report: &Report) -> String {
    let count = report.images.len();
    let mut notes = vec![format!(
        "{} with {} steps on {count} image{}; PSNR in dB, mean over images: LR against the unattacked input, \
         SR against the unattacked output; clean against the ground truth, on luma.",
        report.settings.attack,
        report.settings.iterations,
        if count == 1 { "" } else { "s" },
    )];
    if let Some(difference) = transfer(report) {
        notes.push(format!(
            "Judged on another runtime than the one it was crafted on, an attack's SR PSNR differs by at most \
             {difference:.3} dB."
        ));
    }
    notes.join("\n")
}

/// The largest difference that judging elsewhere makes to one attacked image.
fn transfer(report: &Report) -> Option<f64> {
    let mut worst: Option<f64> = None;
    for row in report.rows.iter().filter(|row| row.crafted_on != row.judged_on) {
        let home = report.rows.iter().find(|home| {
            home.judged_on == row.crafted_on
                && home.crafted_on == row.crafted_on
                && home.model == row.model
                && home.image == row.image
                && home.budget == row.budget
        })?;
        // Two infinite ones, of outputs that no attack has changed, do not differ.
        let same = home.sr_psnr == row.sr_psnr;
        let difference = if same { 0.0 } else { (home.sr_psnr - row.sr_psnr).abs() };
        worst = Some(worst.map_or(difference, |worst| worst.max(difference)));
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::super::{Row, SCHEMA, Settings, Timing, summarise};
    use super::*;

    fn row(runtime: (&str, &str), image: &str, budget: f64, sr_psnr: f64) -> Row {
        Row {
            model: "model.onnx".into(),
            image: image.into(),
            attack: "ifgsm".into(),
            budget,
            iterations: 50,
            crafted_on: runtime.0.into(),
            judged_on: runtime.1.into(),
            lr_psnr: 40.0,
            sr_psnr,
            objective_start: 0.1,
            objective_end: 2.0,
            seed: 0,
            model_sha256: "00".into(),
        }
    }

    fn report() -> Report {
        let rows = vec![
            row(("ort", "ort"), "a.png", 1.0, 30.0),
            row(("ort", "tract"), "a.png", 1.0, 30.25),
            row(("tract", "tract"), "a.png", 1.0, 31.0),
            row(("ort", "ort"), "b.png", 1.0, 32.0),
            row(("ort", "ort"), "a.png", 8.0, f64::INFINITY),
            row(("ort", "tract"), "a.png", 8.0, f64::INFINITY),
        ];
        let clean = Clean {
            model: "model.onnx".into(),
            image: "a.png".into(),
            runtime: "ort".into(),
            psnr: 29.126,
            ssim: 0.81234,
            bicubic_psnr: 28.0,
            bicubic_ssim: 0.8,
        };
        Report {
            schema: SCHEMA,
            temper: "0",
            conventions: vec![],
            settings: Settings {
                attack: "ifgsm".into(),
                objective: "distance".into(),
                budgets: vec![1.0, 8.0],
                iterations: 50,
                seed: 0,
                crop: None,
            },
            runtimes: vec![],
            models: vec![],
            images: vec![],
            trust: vec![],
            clean: vec![clean],
            summary: summarise(&rows),
            rows,
            timing: Timing::default(),
        }
    }

    #[test]
    fn the_table_reads() {
        insta::assert_snapshot!(table(&report()));
    }

    #[test]
    fn equal_images_are_null_in_json() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["rows"][4]["sr_psnr"], serde_json::Value::Null);
        assert_eq!(json["rows"][0]["sr_psnr"], 30.0);
        assert_eq!(json["summary"][0]["sr_psnr"], 31.0);
    }
}
