//! The plots of a report: which numbers go on which axis.

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::heat_map::HeatMap;
use super::plot::{Plot, Point, Series};
use crate::report::summary::finite_mean;
use crate::report::words::{decibels, shortened};
use crate::report::{Report, Row};

/// Longest name of a model in a legend.
const NAME: usize = 34;

/// A drawing with its heading and what it says.
#[derive(Serialize)]
pub(crate) struct Chart {
    /// Its heading.
    pub title: &'static str,
    /// How to read it.
    pub caption: String,
    /// The drawing.
    pub svg: String,
    /// Names, colours, and whether a line is dashed.
    pub legend: Vec<(String, usize, bool)>,
}

/// All plots that the report has numbers for.
pub fn charts(report: &Report) -> Vec<Chart> {
    let plots = [
        plotted(
            "Output under attack",
            against_budget(report),
            "The mean over images of what the worst attack leaves, image by image, for every budget; dashed: what is left under noise of the same budget, every value moved by all of it.",
        ),
        plotted(
            "Output against input",
            against_input(report),
            "A point is an attacked image. Below the diagonal the network makes the change larger than it was; above, smaller.",
        ),
        plotted(
            "CLEVER against output",
            clever_against_output(report),
            "A point is an image: the largest gradient norm found near it, an estimate from below, and what the worst attack at the largest budget leaves of it.",
        ),
    ];
    let maps = [
        mapped(
            "Between runtimes",
            runtimes(report),
            "Mean output PSNR in dB at the largest budget, of attacks crafted on the runtime of the row, judged on that of the column.",
        ),
        mapped(
            "Between models",
            models(report),
            "Mean output PSNR in dB at the largest budget, of attacks crafted for the model of the row, judged on that of the column: a low number beside the diagonal is an attack that carries over.",
        ),
    ];
    plots.into_iter().chain(maps).flatten().collect()
}

impl Chart {
    /// A plot with its heading and how to read it; `None` where there is nothing to draw.
    pub(crate) fn of(title: &'static str, plot: &Plot, caption: &str) -> Option<Self> {
        Some(Self { title, caption: caption.to_owned(), svg: plot.svg()?, legend: plot.legend() })
    }
}

fn plotted(title: &'static str, plot: Plot, caption: &str) -> Option<Chart> {
    Chart::of(title, &plot, caption)
}

fn mapped(title: &'static str, map: HeatMap, caption: &str) -> Option<Chart> {
    // One row and one column compare nothing.
    (map.rows.len() > 1).then(|| map.svg()).flatten().map(|svg| Chart {
        title,
        caption: caption.to_owned(),
        svg,
        legend: vec![],
    })
}

/// The places of names in the order in which they first appear: their colours.
fn colours<'a>(names: impl Iterator<Item = &'a str>) -> IndexSet<&'a str> {
    names.collect()
}

/// Output PSNR against budget, a line per model and runtime.
fn against_budget(report: &Report) -> Plot {
    let models = colours(report.models.iter().map(|model| model.name.as_str()));
    let colour = |model: &str| models.get_index_of(model).unwrap_or(0);
    let mut lines: IndexMap<(&str, &str, bool), Vec<Point>> = IndexMap::new();
    for worst in &report.worst {
        let label = format!(
            "{} on {}, {}/255: {} dB",
            worst.model,
            worst.judged_on,
            worst.budget,
            decibels(worst.sr_psnr)
        );
        let point = Point { x: worst.budget, y: worst.sr_psnr, label };
        lines.entry((&worst.model, &worst.judged_on, false)).or_default().push(point);
    }
    let mut noise: IndexMap<(&str, &str, u64), Vec<f64>> = IndexMap::new();
    for one in &report.measured.noise {
        noise.entry((&one.model, &one.runtime, one.budget.to_bits())).or_default().push(one.sr_psnr);
    }
    for ((model, runtime, budget), values) in noise {
        let (budget, mean) = (f64::from_bits(budget), finite_mean(values.into_iter()));
        let label = format!("{model} on {runtime}, noise of {budget}/255: {} dB", decibels(mean));
        lines.entry((model, runtime, true)).or_default().push(Point { x: budget, y: mean, label });
    }
    let series = lines.into_iter().map(|((model, runtime, dashed), mut points)| {
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let noise = if dashed { ", noise" } else { "" };
        Series {
            name: format!("{} on {runtime}{noise}", shortened(model, NAME)),
            colour: colour(model),
            joined: true,
            dashed,
            points,
        }
    });
    Plot {
        title: "Output PSNR against budget".into(),
        x: "budget in 1/255".into(),
        y: "output PSNR in dB".into(),
        diagonal: false,
        series: series.collect(),
    }
}

/// Output PSNR against input PSNR, a colour per model.
fn against_input(report: &Report) -> Plot {
    let mut clouds: IndexMap<&str, Vec<Point>> = IndexMap::new();
    for row in report.measured.rows.iter().filter(|row| row.crafted_on == row.judged_on) {
        let label = format!(
            "{}: {} by {} at {}/255 on {}, input {} dB, output {} dB",
            row.model,
            row.image,
            row.attack,
            row.budget,
            row.judged_on,
            decibels(row.lr_psnr),
            decibels(row.sr_psnr)
        );
        clouds.entry(&row.model).or_default().push(Point { x: row.lr_psnr, y: row.sr_psnr, label });
    }
    Plot {
        title: "Output PSNR against input PSNR".into(),
        x: "input PSNR in dB".into(),
        y: "output PSNR in dB".into(),
        diagonal: true,
        series: clouds_of(clouds),
    }
}

fn clouds_of(clouds: IndexMap<&str, Vec<Point>>) -> Vec<Series> {
    let series = clouds.into_iter().enumerate();
    series
        .map(|(colour, (name, points))| Series {
            name: shortened(name, NAME),
            colour,
            points,
            ..Series::default()
        })
        .collect()
}

/// CLEVER and what the worst attack at the largest budget leaves, image by image.
fn clever_against_output(report: &Report) -> Plot {
    let budget = largest_budget(report);
    let mut clouds: IndexMap<&str, Vec<Point>> = IndexMap::new();
    for clever in report.measured.clever.iter().filter(|clever| clever.index.is_finite()) {
        let left = report.measured.rows.iter().filter(|row| {
            row.model == clever.model
                && row.image == clever.image
                && row.judged_on == clever.runtime
                && row.budget == budget
        });
        let least = left.map(|row| row.sr_psnr).fold(f64::INFINITY, f64::min);
        let label = format!(
            "{}: {} on {}, CLEVER {:.1}, output {} dB",
            clever.model,
            clever.image,
            clever.runtime,
            clever.index,
            decibels(least)
        );
        clouds.entry(&clever.model).or_default().push(Point { x: clever.index, y: least, label });
    }
    Plot {
        title: "CLEVER against output PSNR".into(),
        x: "CLEVER".into(),
        y: format!("output PSNR in dB at {budget}/255"),
        diagonal: false,
        series: clouds_of(clouds),
    }
}

fn largest_budget(report: &Report) -> f64 {
    report.measured.rows.iter().filter(|row| row.is_budgeted()).map(|row| row.budget).fold(0.0, f64::max)
}

/// From the runtime that crafted to that which judged, over all models and attacks.
fn runtimes(report: &Report) -> HeatMap {
    let budget = largest_budget(report);
    let rows = || report.measured.rows.iter().filter(move |row| row.budget == budget);
    let names = colours(rows().flat_map(|row| [row.crafted_on.as_str(), row.judged_on.as_str()]));
    let cells = rows().map(|row: &Row| (row.crafted_on.as_str(), row.judged_on.as_str(), row.sr_psnr));
    heat_map("Transfer between runtimes", &names, cells)
}

/// From the model that an attack was crafted for to that which judged.
fn models(report: &Report) -> HeatMap {
    let budget = largest_budget(report);
    let own =
        report.measured.rows.iter().filter(|row| row.budget == budget && row.crafted_on == row.judged_on);
    let own = own.map(|row| (row.model.as_str(), row.model.as_str(), row.sr_psnr));
    let theirs = report.measured.transfers.iter().filter(|transfer| transfer.budget == budget);
    let theirs =
        theirs.map(|transfer| (transfer.crafted_for.as_str(), transfer.model.as_str(), transfer.sr_psnr));
    let transferred =
        colours(report.measured.transfers.iter().flat_map(|it| [it.crafted_for.as_str(), it.model.as_str()]));
    heat_map("Transfer between models", &transferred, own.chain(theirs))
}

/// Mean values of cells that come as row, column and value.
fn heat_map<'a>(
    title: &str,
    names: &IndexSet<&'a str>,
    values: impl Iterator<Item = (&'a str, &'a str, f64)>,
) -> HeatMap {
    let mut sums: Vec<Vec<Vec<f64>>> = vec![vec![vec![]; names.len()]; names.len()];
    for (row, column, value) in values {
        if let (Some(row), Some(column)) = (names.get_index_of(row), names.get_index_of(column)) {
            sums[row][column].push(value);
        }
    }
    let mean = |values: Vec<f64>| (!values.is_empty()).then(|| finite_mean(values.into_iter()));
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    HeatMap {
        title: title.to_owned(),
        y: "crafted".into(),
        x: "judged".into(),
        rows: names.clone(),
        columns: names,
        cells: sums.into_iter().map(|row| row.into_iter().map(mean).collect()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::{report, row, transfer};

    #[test]
    fn a_report_has_the_plots_that_it_has_numbers_for() {
        let mut report = report();
        let titles =
            |report: &Report| charts(report).into_iter().map(|chart| chart.title).collect::<Vec<_>>();
        assert_eq!(titles(&report), ["Output under attack", "Output against input"]);
        report.measured.transfers = vec![transfer("a.png", 8.0, 24.0)];
        report.measured.rows.push(row("tract", "ort", "b.png", 8.0, 26.0));
        assert_eq!(titles(&report)[2..], ["Between runtimes", "Between models"]);
    }

    #[test]
    fn every_finite_worst_case_is_a_point() {
        let report = report();
        let svg = against_budget(&report).svg().unwrap();
        let finite = report.worst.iter().filter(|worst| worst.sr_psnr.is_finite()).count();
        assert_eq!(svg.matches("<circle").count(), finite);
    }
}
