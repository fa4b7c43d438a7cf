//! Runtimes on which one file is not equally robust.

use indexmap::IndexMap;

use super::{Finding, Level, decibels};
use crate::report::Report;

/// Runtimes that died on a model: whoever serves it there can be stopped by it.
pub fn lost(report: &Report) -> Vec<Finding> {
    let lost = report.lost_runtimes.iter().map(|lost| Finding {
        level: Level::Alarm,
        code: "runtime-died",
        model: lost.model.clone().unwrap_or_default(),
        runtime: lost.runtime.clone(),
        sentence: format!(
            "{}; there are no numbers of it, and those of the other runtimes stand",
            lost.reason
        ),
        numbers: IndexMap::new(),
        image: None,
    });
    lost.collect()
}

/// Runtimes this far apart are not equally robust, in dB.
const APART: f64 = 1.0;

/// Robust on one runtime, broken on another, whoever attacked.
pub fn apart(report: &Report) -> Vec<Finding> {
    let mut by_cell: IndexMap<_, Vec<_>> = IndexMap::new();
    for worst in &report.worst {
        by_cell.entry((&worst.model, worst.budget.to_bits())).or_default().push(worst);
    }
    let apart = by_cell.values().filter_map(|cells| {
        let best = cells.iter().max_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr))?;
        let least = cells.iter().min_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr))?;
        let difference = best.sr_psnr - least.sr_psnr;
        if difference.is_nan() || difference <= APART {
            return None;
        }
        let sentence = format!(
            "at {}/255 the same file keeps {} on {} and {} on {}",
            least.budget,
            decibels(best.sr_psnr),
            best.judged_on,
            decibels(least.sr_psnr),
            least.judged_on
        );
        Some(Finding {
            level: Level::Warning,
            code: "runtimes-differ",
            model: least.model.clone(),
            runtime: best.judged_on.clone(),
            sentence,
            numbers: [("budget", least.budget), ("robust", best.sr_psnr), ("broken", least.sr_psnr)].into(),
            image: Some(least.image.clone()),
        })
    });
    apart.collect()
}
