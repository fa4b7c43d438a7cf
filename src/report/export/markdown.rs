//! A summary in Markdown, as a comment on a pull request.

use std::fmt::Write as _;

use crate::report::words::{decibels, one_line};
use crate::report::{Level, Report};

/// The summary: what the worst attack leaves, then alarms and warnings.
pub fn markdown(report: &Report) -> String {
    let mut text = String::from(
        "| model | judged on | budget | output PSNR (dB), worst attack | worst image | its PSNR |\n|---|---|--:|--:|---|--:|\n",
    );
    for worst in &report.worst {
        let _ = writeln!(
            text,
            "| {} | {} | {}/255 | {} | {} ({}) | {} |",
            cell(&worst.model),
            worst.judged_on,
            worst.budget,
            decibels(worst.sr_psnr),
            cell(&worst.image),
            worst.attack,
            decibels(worst.image_sr_psnr)
        );
    }
    let grave = report.findings.iter().filter(|finding| finding.level != Level::Note);
    let mut lines = grave.peekable();
    if lines.peek().is_some() {
        text.push('\n');
    }
    for finding in lines {
        let _ = writeln!(
            text,
            "- **{}** {} on {}: {}",
            finding.level.name(),
            cell(&finding.model),
            finding.runtime,
            cell(&finding.sentence)
        );
    }
    let seen: std::collections::BTreeSet<&str> =
        report.images.iter().map(|image| image.name.as_str()).collect();
    let _ = writeln!(
        text,
        "\n{} images, temper {}; PSNR against the unattacked output.",
        seen.len(),
        report.temper
    );
    text
}

/// Text that ends no cell and starts no markup.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for c in one_line(text).chars() {
        if matches!(c, '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '@') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::report;

    #[test]
    fn every_worst_case_is_a_row() {
        let report = report();
        let text = markdown(&report);
        assert_eq!(text.lines().filter(|line| line.contains("/255 |")).count(), report.worst.len(), "{text}");
        assert!(text.contains("| model.onnx | ort | 1/255 | 31.00 | a.png (ifgsm) | 30.00 |"), "{text}");
    }

    #[test]
    fn names_start_no_markup() {
        assert_eq!(cell("a|<b>\n"), "a\\|\\<b\\>?");
    }
}
