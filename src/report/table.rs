//! The table that `temper audit` prints.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use indexmap::IndexMap;

use super::notes::notes;
use super::verdict;
use super::words::{decibels, one_line, shortened};
use super::{Report, Summary};

/// Two lines a head where that keeps the table within 80 columns.
const HEAD: [&str; 7] =
    ["model", "attack", "budget", "crafted\non", "judged\non", "input\nPSNR", "output\nPSNR"];
/// Columns that the table may take.
const WIDTH: usize = 80;
/// Longest name of a model, and how short it may get for the table to fit.
const NAME: std::ops::RangeInclusive<usize> = 10..=30;
/// Columns of words; those behind them are numbers, and so is the third.
const NUMBERS: [usize; 3] = [2, 5, 6];

/// The line between two models.
const RULE: char = '─';

const STYLE: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('═').junction('═'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// Lines above the first row: the border, the head of two lines and its separator.
const ABOVE: usize = 4;

/// The verdicts; then a row per model, attack and budget, and per runtimes where they differ; then what the numbers mean.
pub fn table(report: &Report) -> String {
    let lines = verdict::lines(report).into_iter().chain(lines(&rows(report)));
    format!("{}\n{}", lines.collect::<Vec<_>>().join("\n"), notes(report))
}

/// The lines of the table, with names of models as long as its width allows.
fn lines(rows: &[Vec<String>]) -> Vec<String> {
    let fits = |lines: &Vec<String>| lines.iter().all(|line| line.chars().count() <= WIDTH);
    let drawn = NAME.rev().map(|name| drawn(rows, name)).find(fits);
    drawn.unwrap_or_else(|| self::drawn(rows, *NAME.start()))
}

fn drawn(rows: &[Vec<String>], name: usize) -> Vec<String> {
    let short = |row: &Vec<String>| {
        let model = shortened(&one_line(&row[0]), name);
        [model].into_iter().chain(row[1..].iter().cloned()).collect::<Vec<String>>()
    };
    let mut table = Table::new();
    table.load_style(STYLE).set_header(HEAD).add_rows(rows.iter().map(short));
    for (index, column) in table.column_iter_mut().enumerate() {
        if NUMBERS.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let drawn = table.to_string();
    let mut lines: Vec<String> = drawn.lines().map(|line| line.trim_end().to_owned()).collect();
    let rule: String = drawn.lines().next().unwrap_or_default().chars().map(|_| RULE).collect();
    for (index, pair) in rows.windows(2).enumerate().rev() {
        if pair[0][0] != pair[1][0] {
            lines.insert(ABOVE + index + 1, rule.clone());
        }
    }
    lines
}

/// The cells of a model, an attack and a budget, those with the same numbers as one row.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let mut groups: IndexMap<_, Vec<&Summary>> = IndexMap::new();
    for cell in &report.summary {
        groups.entry((&cell.model, &cell.attack, cell.budget.to_bits())).or_default().push(cell);
    }
    let all = report.runtimes.len();
    groups.values().flat_map(|cells| joined(cells, all)).collect()
}

/// Runtimes that judge alike are joined for every crafting runtime, then crafting runtimes that are judged alike; `all`
/// is how many there are.
fn joined(cells: &[&Summary], all: usize) -> Vec<Vec<String>> {
    let mut judged: IndexMap<(&str, [String; 2]), Vec<&str>> = IndexMap::new();
    for cell in cells {
        judged.entry((&cell.crafted_on, numbers(cell))).or_default().push(&cell.judged_on);
    }
    let mut crafted: IndexMap<(Vec<&str>, [String; 2]), Vec<&str>> = IndexMap::new();
    for ((crafter, numbers), mut judges) in judged {
        judges.sort_unstable();
        crafted.entry((judges, numbers)).or_default().push(crafter);
    }
    let first = cells[0];
    let row = |((judges, [input, output]), crafters): ((Vec<&str>, [String; 2]), Vec<&str>)| {
        vec![
            first.model.clone(),
            first.attack.clone(),
            format!("{}/255", first.budget),
            names(&crafters, all),
            names(&judges, all),
            input,
            output,
        ]
    };
    crafted.into_iter().map(row).collect()
}

/// Names of runtimes, in short where they are all of more than two.
fn names(runtimes: &[&str], all: usize) -> String {
    if runtimes.len() == all && all > 2 { format!("all {all}") } else { runtimes.join(", ") }
}

/// Input and output PSNR in print.
fn numbers(cell: &Summary) -> [String; 2] {
    let output = if cell.unchanged == cell.images { "equal".into() } else { decibels(cell.sr_psnr) };
    [decibels(cell.lr_psnr), output]
}

#[cfg(test)]
mod tests {
    use super::super::RuntimeInfo;
    use super::super::example::report;
    use super::*;

    #[test]
    fn the_table_reads() {
        insta::assert_snapshot!(table(&report()));
    }

    #[test]
    fn the_table_of_long_names_and_many_runtimes_fits_80_columns() {
        let mut report = report();
        let runtime = report.summary[0].clone();
        for name in ["ort", "tract", "torch"] {
            report.runtimes.push(RuntimeInfo { name: name.into(), version: "1".into() });
        }
        report.summary = ["ort", "tract", "torch"]
            .map(|judged_on| Summary {
                model: "a-network-with-a-name-that-goes-on-and-on-x4.onnx".into(),
                attack: "strongest".into(),
                crafted_on: "ort".into(),
                judged_on: judged_on.into(),
                ..runtime.clone()
            })
            .to_vec();
        let lines = lines(&rows(&report));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{}", lines.join("\n"));
        let row = &lines[ABOVE];
        assert!(row.contains("a-networ…") && row.contains("all 3"), "{}", lines.join("\n"));
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
