//! The table that `temper audit` prints.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::notes::notes;
use super::summary::finite_mean;
use super::verdict;
use super::words::{decibels, one_line};
use super::{Clean, Report, Summary};

const HEAD: [&str; 8] = ["model", "runtime", "attack", "budget", "LR PSNR", "SR PSNR", "clean PSNR", "SSIM"];

/// The line between two models.
const RULE: char = '─';

const STYLE: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('═').junction('═'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// Lines above the first row: the border, the head and its separator.
const ABOVE: usize = 3;

/// The verdicts; then a row per model, runtime and budget, attacked and judged on the same runtime; bicubic below;
/// then what the numbers mean.
pub fn table(report: &Report) -> String {
    let rows = rows(report);
    let mut table = Table::new();
    table.load_style(STYLE).set_header(HEAD).add_rows(&rows);
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let drawn = table.to_string();
    let mut lines: Vec<&str> = drawn.lines().map(str::trim_end).collect();
    let rule: String = drawn.lines().next().unwrap_or_default().chars().map(|_| RULE).collect();
    for (index, pair) in rows.windows(2).enumerate().rev() {
        if pair[0][0] != pair[1][0] {
            lines.insert(ABOVE + index + 1, &rule);
        }
    }
    let verdicts = verdict::lines(report);
    let lines = verdicts.iter().map(String::as_str).chain(lines);
    format!("{}\n{}", lines.collect::<Vec<_>>().join("\n"), notes(report))
}

/// One row per cell, those of a model together.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let cells = report.summary.iter().filter(|cell| cell.crafted_on == cell.judged_on);
    let mut rows: Vec<Vec<String>> = cells.map(|cell| attacked(cell, &report.measured.clean)).collect();
    if let Some((psnr, ssim)) =
        quality(&report.measured.clean, |_| true, |clean| (clean.bicubic_psnr, clean.bicubic_ssim))
    {
        let mut bicubic = vec!["-".to_owned(); HEAD.len()];
        bicubic[0] = "bicubic".into();
        [bicubic[6], bicubic[7]] = [psnr, ssim];
        rows.push(bicubic);
    }
    rows
}

fn attacked(cell: &Summary, clean: &[Clean]) -> Vec<String> {
    let ours = |clean: &Clean| clean.model == cell.model && clean.runtime == cell.judged_on;
    let quality = quality(clean, ours, |clean| (clean.psnr, clean.ssim));
    let (psnr, ssim) = quality.unwrap_or_else(|| ("-".into(), "-".into()));
    let sr_psnr = if cell.unchanged == cell.images { "unchanged".into() } else { decibels(cell.sr_psnr) };
    vec![
        one_line(&cell.model),
        cell.judged_on.clone(),
        cell.attack.clone(),
        format!("{}/255", cell.budget),
        decibels(cell.lr_psnr),
        sr_psnr,
        psnr,
        ssim,
    ]
}

/// PSNR and SSIM in print, averaged over those entries that `keep` keeps.
fn quality(
    clean: &[Clean],
    keep: impl Fn(&Clean) -> bool,
    numbers: impl Fn(&Clean) -> (f64, f64),
) -> Option<(String, String)> {
    let kept: Vec<(f64, f64)> = clean.iter().filter(|clean| keep(clean)).map(numbers).collect();
    let psnr = finite_mean(kept.iter().map(|pair| pair.0));
    let ssim = finite_mean(kept.iter().map(|pair| pair.1));
    (!kept.is_empty()).then(|| (decibels(psnr), format!("{ssim:.4}")))
}

#[cfg(test)]
mod tests {
    use super::super::example::report;
    use super::*;

    #[test]
    fn the_table_reads() {
        insta::assert_snapshot!(table(&report()));
    }

    #[test]
    fn equal_images_are_null_in_json() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["rows"][6]["sr_psnr"], serde_json::Value::Null);
        assert_eq!(json["rows"][0]["sr_psnr"], 30.0);
        assert_eq!(json["summary"][0]["sr_psnr"], 31.0);
    }

    #[test]
    fn metadata_is_an_object_and_so_is_a_recipe_in_it() {
        let json = serde_json::to_value(report()).unwrap();
        let metadata = &json["models"][0]["metadata"];
        assert_eq!(metadata, &serde_json::json!({"temper.recipe": {"lambda": 1.0}, "temper.seed": "0"}));
        assert_eq!(json["models"][0]["stopped"][1]["node"], "Floor node `f`");
    }

    #[test]
    fn an_unchanged_output_does_not_hide_the_others() {
        let summary = report().summary;
        let cell = |budget| summary.iter().find(|cell| cell.budget == budget).unwrap();
        assert_eq!((cell(4.0).sr_psnr, cell(4.0).images, cell(4.0).unchanged), (25.0, 2, 1));
        assert_eq!((cell(8.0).sr_psnr, cell(8.0).images, cell(8.0).unchanged), (f64::INFINITY, 1, 1));
    }
}
