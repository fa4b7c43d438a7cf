//! What the table needs said: how the numbers came about, and what speaks against them.
//!
//! What is the same on several runtimes is said once. Deliberately absent: anything that is not in the report.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;

use super::certificate::certified;
use super::summary::finite_mean;
use super::words::{decibels, one_line};
use super::{Clean, Clever, Finding, ImageInfo, MinimalBudget, Report, Row, Settings, Universal};
use crate::attack::AttackKind;

/// A line about a model on a runtime.
pub struct Told {
    /// What comes before the model's name.
    before: String,
    model: String,
    runtime: String,
    /// What follows the runtime's name.
    what: String,
}

impl Told {
    /// A line that begins with the model.
    pub fn of(model: &str, runtime: &str, what: String) -> Self {
        Self { before: String::new(), model: one_line(model), runtime: runtime.to_owned(), what }
    }
}

/// The lines, those that differ in the runtime alone as one.
fn joined(told: Vec<Told>) -> Vec<String> {
    let mut lines: IndexMap<(String, String, String), Vec<String>> = IndexMap::new();
    for Told { before, model, runtime, what } in told {
        lines.entry((before, model, what)).or_default().push(runtime);
    }
    let line = |((before, model, what), runtimes): (_, Vec<String>)| -> String {
        let (before, model, what): (String, String, String) = (before, model, what);
        format!("{before}{model} on {}{what}", runtimes.join(", "))
    };
    lines.into_iter().map(line).collect()
}

/// All of them, a line each.
pub fn notes(report: &Report) -> String {
    let names = attacked(report);
    let mut notes = vec![format!(
        "{} with {} on {} image{}; PSNR in dB, mean over images: input against the unattacked input, output against \
         the unattacked output.",
        attacks(&report.settings),
        effort(report),
        names.len(),
        if names.len() == 1 { "" } else { "s" },
    )];
    notes.extend(report.settings.left_out.iter().map(|what| format!("Left out: {what}.")));
    for attack in report.settings.attacks.iter().filter(|attack| attack.kind == AttackKind::Minimal) {
        notes.push(format!(
            "{} looks for the smallest perturbation that reaches the target, whatever the budget: its size is \
             its input PSNR, and `linf` and `l2` in report.json.",
            attack.name
        ));
    }
    notes.extend(joined(quality(report)));
    for kind in [hardest, clever, smallest, universal, certified, doubts, untrusted] {
        notes.extend(joined(kind(report)));
    }
    notes.extend(fitted(report));
    notes.extend(tiled(report));
    notes.extend(unchanged(report));
    notes.extend(ignored(report));
    notes.extend(stopped(report));
    if let Some(difference) = transfer(&report.measured.rows) {
        notes.push(format!(
            "Judged on another runtime than the one it was crafted on, an attack's output PSNR differs by at most \
             {difference:.3} dB."
        ));
    }
    notes.extend(ranking(report));
    notes.join("\n")
}

/// Quality without attack, where there is ground truth.
fn quality(report: &Report) -> Vec<Told> {
    let mut cells: IndexMap<(&str, &str), Vec<&Clean>> = IndexMap::new();
    for clean in &report.measured.clean {
        cells.entry((&clean.model, &clean.runtime)).or_default().push(clean);
    }
    let told = cells.into_iter().map(|((model, runtime), found)| {
        let mean = |of: fn(&Clean) -> f64| finite_mean(found.iter().map(|clean| of(clean)));
        let what = format!(
            ", without attack: {} dB, SSIM {:.4}; bicubic: {} dB, {:.4} (against the ground truth, on luma).",
            decibels(mean(|clean| clean.psnr)),
            mean(|clean| clean.ssim),
            decibels(mean(|clean| clean.bicubic_psnr)),
            mean(|clean| clean.bicubic_ssim),
        );
        Told::of(model, runtime, what)
    });
    told.collect()
}

/// The models by what the worst attack leaves at the largest budget that all have, on the runtime with the least.
fn ranking(report: &Report) -> Option<String> {
    let least = |model: &str, budget: f64| {
        let of_model = report.worst.iter().filter(|worst| worst.model == model && worst.budget == budget);
        of_model.map(|worst| worst.sr_psnr).min_by(f64::total_cmp)
    };
    let names: Vec<&str> = report.models.iter().map(|model| model.name.as_str()).collect();
    let budgets = report.worst.iter().map(|worst| worst.budget);
    let common = budgets.filter(|&budget| names.iter().all(|name| least(name, budget).is_some()));
    let budget = common.max_by(f64::total_cmp).filter(|_| names.len() > 1)?;
    let mut ranked: Vec<(&str, f64)> =
        names.into_iter().filter_map(|name| Some((name, least(name, budget)?))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let lines = ranked
        .iter()
        .zip(1..)
        .map(|((name, left), place)| format!("  {place}. {}: {}", one_line(name), decibels(*left)));
    let title = format!("By the output PSNR that the worst attack leaves at {budget}/255, most first:");
    Some(std::iter::once(title).chain(lines).collect::<Vec<_>>().join("\n"))
}

/// The images that were attacked: those of one shard, where the report is that of a shard.
fn attacked(report: &Report) -> BTreeSet<&str> {
    report.measured.rows.iter().map(|row| row.image.as_str()).collect()
}

/// The attacks that were asked for.
fn attacks(settings: &Settings) -> String {
    settings.attacks.iter().map(|attack| &*attack.name).collect::<Vec<_>>().join(", ")
}

/// Steps of attacks with gradients, and forward passes of those without.
fn effort(report: &Report) -> String {
    let Settings { attacks, iterations, queries, .. } = &report.settings;
    let without = attacks.iter().filter(|attack| !attack.kind.needs_gradient()).count();
    match without {
        0 => format!("{iterations} steps"),
        all if all == attacks.len() => format!("at most {queries} forward passes"),
        _ => format!("{iterations} steps, or at most {queries} forward passes"),
    }
}

/// What is left under the worst of several attacks; one alone is in the table.
fn hardest(report: &Report) -> Vec<Told> {
    if report.settings.attacks.len() < 2 && report.measured.transfers.is_empty() {
        return vec![];
    }
    let told = report.worst.iter().map(|worst| {
        let spread = worst.interval.map_or(String::new(), |interval| format!(" ({interval})"));
        let what = format!(
            ", worst of all attacks at {}/255: {}{spread}; worst image: {}, {} dB ({}{}).",
            worst.budget,
            decibels(worst.sr_psnr),
            one_line(&worst.image),
            decibels(worst.image_sr_psnr),
            worst.attack,
            worst.crafted_for.as_ref().map_or(String::new(), |name| format!(" for {}", one_line(name))),
        );
        Told::of(&worst.model, &worst.judged_on, what)
    });
    told.collect()
}

/// CLEVER, averaged over images.
fn clever(report: &Report) -> Vec<Told> {
    let mut cells: BTreeMap<(&str, &str), Vec<&Clever>> = BTreeMap::new();
    for clever in report.measured.clever.iter().filter(|clever| clever.index.is_finite()) {
        cells.entry((&clever.model, &clever.runtime)).or_default().push(clever);
    }
    let told = cells.into_iter().map(|((model, runtime), found)| {
        let index = finite_mean(found.iter().map(|clever| clever.index));
        let fits = found.iter().filter_map(|clever| clever.extreme).filter(|extreme| extreme.p_value > 0.05);
        let bounds: Vec<f64> = fits.map(|extreme| extreme.bound).collect();
        let extreme = match bounds.len() {
            0 => String::new(),
            count => {
                let mean = finite_mean(bounds.into_iter());
                format!(
                    "; extrapolated {mean:.1}, where the extreme-value fit holds: {count} of {}",
                    found.len()
                )
            }
        };
        let what = format!(
            ": CLEVER at least {index:.1} (estimated from below by {} gradients an image{extreme}).",
            found[0].samples
        );
        Told::of(model, runtime, what)
    });
    told.collect()
}

/// The smallest budgets that cost as much as was asked about: the median over images.
fn smallest(report: &Report) -> Vec<Told> {
    let mut cells: BTreeMap<(&str, &str), Vec<&MinimalBudget>> = BTreeMap::new();
    for smallest in &report.measured.minimal_budgets {
        cells.entry((&smallest.model, &smallest.runtime)).or_default().push(smallest);
    }
    let told = cells.into_iter().map(|((model, runtime), found)| {
        let mut budgets: Vec<f64> = found.iter().map(|one| one.budget.unwrap_or(f64::INFINITY)).collect();
        budgets.sort_by(f64::total_cmp);
        let [least, middle, most] = [0, budgets.len() / 2, budgets.len() - 1].map(|at| level(budgets[at]));
        let what = format!(
            ": {} costs {} dB of PSNR at {middle} (median; {least} to {most} over images).",
            found[0].attack, found[0].cost
        );
        Told::of(model, runtime, what)
    });
    told.collect()
}

fn level(budget: f64) -> String {
    if budget.is_finite() { format!("{budget:.3}/255") } else { "no budget tried".into() }
}

/// One perturbation for all images, on those that it was not found with.
fn universal(report: &Report) -> Vec<Told> {
    type Cell<'a> = (&'a str, &'a str, u64);
    let mut cells: BTreeMap<Cell<'_>, Vec<&Universal>> = BTreeMap::new();
    for one in report.measured.universal.iter().filter(|one| !one.seen && one.crafted_on == one.judged_on) {
        cells.entry((&one.model, &one.judged_on, one.budget.to_bits())).or_default().push(one);
    }
    let told = cells.into_iter().map(|((model, runtime, budget), found)| {
        let what = format!(
            ": one perturbation of {}/255, found with {} images, leaves {} dB on {} others.",
            f64::from_bits(budget),
            found[0].found_with,
            decibels(finite_mean(found.iter().map(|one| one.sr_psnr))),
            found.len()
        );
        Told::of(model, runtime, what)
    });
    told.collect()
}

/// What speaks against the numbers.
fn doubts(report: &Report) -> Vec<Told> {
    // What is said of gradients elsewhere in these notes is not said twice.
    let findings = report.findings.iter().filter(|finding| finding.code != "gradient-not-trusted");
    let told = findings.map(|Finding { level, model, runtime, sentence, .. }| Told {
        before: format!("{}: ", level.name()),
        ..Told::of(model, runtime, format!(": {sentence}."))
    });
    told.collect()
}

/// Gradients that no attack was made with, and what was done in their place.
fn untrusted(report: &Report) -> Vec<Told> {
    let found =
        report.measured.gradient_checks.iter().filter_map(|trust| Some((trust, trust.problem.as_ref()?)));
    let told = found.map(|(trust, problem)| {
        let what = format!(": gradient not trusted: {problem}. It is attacked without gradients there.");
        Told::of(&trust.model, &trust.runtime, what)
    });
    told.collect()
}

/// What was done to images because of what models take.
fn fitted(report: &Report) -> Option<String> {
    let done: Vec<&ImageInfo> = report.images.iter().filter(|image| image.fitted.is_some()).collect();
    let first = done.first()?;
    let others = if done.len() > 1 { " (and others: see report.json)" } else { "" };
    Some(format!("{} was {}{others}.", first.name, first.fitted.as_deref().unwrap_or_default()))
}

/// The models whose images were cut into tiles.
fn tiled(report: &Report) -> Vec<String> {
    let told = |model: &super::ModelInfo| -> Option<String> {
        let super::TilesInfo { size: [height, width], margin } = model.tiles?;
        Some(format!(
            "{}: larger images in tiles of {height}x{width} pixels that overlap by {margin} on every side, beyond which \
             its output does not change by 0.00025.",
            one_line(&model.name)
        ))
    };
    report.models.iter().filter_map(told).collect()
}

/// How many of the attacks that the table shows changed nothing.
fn unchanged(report: &Report) -> Option<String> {
    let shown = report.summary.iter().filter(|cell| cell.crafted_on == cell.judged_on);
    let (all, unchanged) =
        shown.fold((0, 0), |(all, unchanged), cell| (all + cell.images, unchanged + cell.unchanged));
    (unchanged > 0).then(|| {
        format!(
            "{unchanged} of {all} attacks left the output as it was, to the last bit; the means are over the \
             others."
        )
    })
}

/// Claims of files that were not taken, model by model.
fn ignored(report: &Report) -> Vec<String> {
    let told = |model: &super::ModelInfo| -> Vec<String> {
        model.metadata_ignored.iter().map(|what| format!("{}: {}.", model.name, one_line(what))).collect()
    };
    report.models.iter().flat_map(told).collect()
}

/// What gradients do not see, model by model.
fn stopped(report: &Report) -> Vec<String> {
    let seen = report.models.iter().filter_map(|model| Some((model, model.stopped.first()?)));
    seen.map(|(model, first)| {
        let others = match model.stopped.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: see report.json)"),
        };
        format!("{}: only a zero gradient passes {}: {}{others}.", model.name, first.node, first.reason)
    })
    .collect()
}

/// The largest difference that judging elsewhere makes to one attacked image.
fn transfer(rows: &[Row]) -> Option<f64> {
    fn attack(row: &Row) -> (&str, &str, u64, &str, &str) {
        (&row.model, &row.image, row.budget.to_bits(), &row.crafted_on, &row.attack)
    }
    let (home, away): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.crafted_on == row.judged_on);
    let home: HashMap<_, f64> = home.into_iter().map(|row| (attack(row), row.sr_psnr)).collect();
    let difference = |row: &Row| {
        let home = home.get(&attack(row))?;
        // Two infinite ones, of outputs that no attack has changed, do not differ.
        Some(if *home == row.sr_psnr { 0.0 } else { (home - row.sr_psnr).abs() })
    };
    away.into_iter().filter_map(difference).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::super::example::row;
    use super::super::summarise;
    use super::*;

    #[test]
    fn what_is_the_same_on_several_runtimes_is_said_once() {
        let told = |runtime: &str, what: &str| Told::of("m.onnx", runtime, what.to_owned());
        let lines = joined(vec![told("ort", ": a."), told("ort", ": b."), told("tract", ": a.")]);
        assert_eq!(lines, ["m.onnx on ort, tract: a.", "m.onnx on ort: b."]);
    }

    #[test]
    fn judging_elsewhere_is_compared_attack_by_attack() {
        let equal = f64::INFINITY;
        let mut rows = vec![row("ort", "ort", "a.png", 1.0, equal), row("ort", "tract", "a.png", 1.0, equal)];
        assert_eq!(transfer(&rows), Some(0.0), "two infinities do not differ");
        rows.push(row("tract", "ort", "a.png", 1.0, 20.0));
        rows.push(row("ort", "tract", "b.png", 1.0, 30.5));
        rows.push(row("ort", "ort", "b.png", 1.0, 30.0));
        assert_eq!(transfer(&rows), Some(0.5), "what has no counterpart is passed over");
        assert_eq!(transfer(&rows[..1]), None);
    }

    /// Comparing every row with every other would take minutes here.
    #[test]
    fn a_large_report_is_summed_up_in_no_time() {
        let runtimes = [("ort", "ort"), ("tract", "ort"), ("tract", "tract"), ("ort", "tract")];
        let names: Vec<String> = (0..50_000).map(|number| format!("{number}.png")).collect();
        let rows: Vec<Row> = names
            .iter()
            .flat_map(|name| runtimes.map(|(crafted, judged)| row(crafted, judged, name, 1.0, 30.0)))
            .collect();
        let start = std::time::Instant::now();
        assert_eq!(transfer(&rows), Some(0.0));
        assert_eq!(summarise(&rows).len(), 4);
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
