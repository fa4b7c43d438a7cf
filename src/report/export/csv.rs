//! Tidy CSV (RFC 4180): a line per observation, whatever its kind, and a column per quantity.
//!
//! The columns are the keys of `report.json`; `observation` says which of its lists a line comes from. A quantity that
//! an observation lacks is empty, as is one that JSON has as null.

use indexmap::IndexSet;
use serde_json::{Map, Value};

use crate::report::Report;

/// The lists whose entries are observations; the others follow from them.
const LISTS: [&str; 8] =
    ["rows", "noise", "clean", "clever", "transfers", "minimal_budgets", "universal", "certificates"];

/// The table, its first line the names of the columns.
///
/// # Errors
/// The report cannot be written as JSON, which is a fault of ours.
pub fn csv(report: &Report) -> Result<String, serde_json::Error> {
    let json = serde_json::to_value(report)?;
    let mut lines: Vec<Map<String, Value>> = Vec::new();
    for list in LISTS {
        for entry in json[list].as_array().into_iter().flatten() {
            let mut line = Map::new();
            line.insert("observation".to_owned(), list.into());
            flatten("", entry, &mut line);
            lines.push(line);
        }
    }
    let first = ["observation", "model", "image", "attack", "budget"].map(str::to_owned);
    let columns: IndexSet<String> =
        first.into_iter().chain(lines.iter().flat_map(|line| line.keys().cloned())).collect();
    let mut table = joined(columns.iter().map(|column| quoted(column)));
    for line in &lines {
        table.push_str(&joined(columns.iter().map(|column| line.get(column).map_or(String::new(), cell))));
    }
    Ok(table)
}

/// The numbers and words inside a value, each under its path, as in `extreme.bound`.
fn flatten(path: &str, value: &Value, line: &mut Map<String, Value>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, line);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{path}.{index}"), value, line);
            }
        }
        value => {
            line.insert(path.to_owned(), value.clone());
        }
    }
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(",") + "\r\n"
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        value => value.to_string(),
    }
}

/// Text in quotes where it needs them. A leading `=`, `+`, `-` or `@` would be a formula to a spreadsheet.
fn quoted(text: &str) -> String {
    let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if formula.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{formula}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Row;
    use crate::report::example::{report, row};

    #[test]
    fn a_line_is_an_observation_and_has_all_columns() {
        let report = report();
        let table = csv(&report).unwrap();
        let lines: Vec<&str> = table.split("\r\n").filter(|line| !line.is_empty()).collect();
        assert!(lines[0].starts_with("observation,model,image,attack,budget,"), "{}", lines[0]);
        assert_eq!(lines.len(), 1 + report.measured.rows.len() + report.measured.clean.len());
        let columns = lines[0].split(',').count();
        assert!(
            lines[1].starts_with("rows,model.onnx,a.png,ifgsm,1.0,")
                && lines[1].split(',').count() == columns
        );
    }

    #[test]
    fn names_from_files_stay_one_cell_and_are_no_formula() {
        let mut report = report();
        report.measured.rows =
            vec![Row { model: "=a,\"b\"\n".into(), ..row("ort", "ort", "i", 1.0, f64::INFINITY) }];
        let table = csv(&report).unwrap();
        assert!(table.contains("rows,\"'=a,\"\"b\"\"\n\",i,ifgsm,1.0,"), "{table}");
    }
}
