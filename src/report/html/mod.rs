//! `report.html`: one report, or several side by side, as one page that needs no network, for people who were not
//! there.
//!
//! The numbers are put in order here; the words and the form are in `page.html`, where everything from a file is
//! escaped by the template engine. Deliberately absent: any number that is not in a report.

mod charts;
mod heat_map;
mod picture;
mod plot;

use std::collections::BTreeSet;
use std::path::Path;

use minijinja::{Environment, context};
use serde::Serialize;

pub(crate) use charts::Chart;
pub use picture::{Picture, file_name, read_pictures, worst_attacks};
pub use plot::escaped;
// What `harden` draws its curves with.
#[cfg(feature = "torch")]
pub(crate) use plot::{Plot, Point, Series};

use super::compare::{Change, Comparison, compare};
use super::words::{decibels, shortened};
use super::{Finding, Level, ModelInfo, Report, Summary, Verdict, VerdictLevel, Worst};
use crate::files::{FileError, write_atomically};

const PAGE: &str = include_str!("page.html");
/// The style of all pages.
pub(crate) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Longest name of a model in a heading.
const NAME: usize = 60;

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The template refused.
    #[error("the page cannot be drawn: {0}")]
    Template(#[from] minijinja::Error),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A report on a page, and what is shown with it.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it is called where there are several.
    pub name: String,
    /// The report.
    pub report: Report,
    /// Pictures, the worst first; none where none were saved.
    pub pictures: Vec<Picture>,
}

/// Writes the page, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write_page(runs: &[Run], path: &Path) -> Result<(), PageError> {
    let page = page(runs)?;
    Ok(write_atomically(path, |file| file.write_all(page.as_bytes()))?)
}

/// The page. Of several runs the first is what the others are compared with.
///
/// # Errors
/// The template refused, which is a fault of ours.
pub fn page(runs: &[Run]) -> Result<String, PageError> {
    let comparisons = runs.iter().skip(1).map(|run| ComparisonView::new(&runs[0], run));
    fill(
        PAGE,
        &context! {
            style => STYLE,
            script => SCRIPT,
            runs => runs.iter().map(RunView::new).collect::<Vec<_>>(),
            comparisons => comparisons.collect::<Vec<_>>(),
            has_pictures => runs.iter().any(|run| !run.pictures.is_empty()),
        },
    )
}

/// Fills a template; what it is given is escaped unless the template says that it is safe.
///
/// # Errors
/// The template refused, which is a fault of ours.
pub(crate) fn fill(template: &str, given: &impl Serialize) -> Result<String, PageError> {
    let mut environment = Environment::new();
    environment.add_template("page.html", template)?;
    Ok(environment.get_template("page.html")?.render(given)?)
}

/// A report as the template takes it.
#[derive(Serialize)]
struct RunView<'a> {
    name: &'a str,
    report: &'a Report,
    models: Vec<ModelView<'a>>,
    charts: Vec<Chart>,
    cells: Vec<Cell<'a>>,
    pictures: &'a [Picture],
    /// How many images were attacked.
    images: usize,
}

impl<'a> RunView<'a> {
    fn new(run: &'a Run) -> Self {
        let Run { name, report, pictures } = run;
        // An image is listed once for every scale of the models.
        let images = report.images.iter().map(|image| image.name.as_str()).collect::<BTreeSet<_>>().len();
        Self {
            name,
            report,
            models: report.models.iter().map(|model| ModelView::new(report, model)).collect(),
            charts: charts::charts(report),
            cells: report.summary.iter().map(Cell::from).collect(),
            pictures,
            images,
        }
    }
}

/// A model with what is to be said of it first.
#[derive(Serialize)]
struct ModelView<'a> {
    name: &'a str,
    short: String,
    info: &'a ModelInfo,
    /// The class of its box: `alarm`, `warning` or `plain`.
    class: &'static str,
    verdicts: Vec<&'a Verdict>,
    sentences: Vec<String>,
    findings: Vec<FindingView<'a>>,
}

#[derive(Serialize)]
struct FindingView<'a> {
    class: &'static str,
    word: &'static str,
    runtime: &'a str,
    sentence: &'a str,
}

impl<'a> ModelView<'a> {
    fn new(report: &'a Report, info: &'a ModelInfo) -> Self {
        let findings: Vec<&Finding> = report.findings.iter().filter(|it| it.model == info.name).collect();
        let verdicts: Vec<&Verdict> = report.verdicts.iter().filter(|it| it.model == info.name).collect();
        let gravest = findings
            .iter()
            .map(|finding| finding.level)
            .chain(verdicts.iter().map(|it| weight(it.level)))
            .min();
        Self {
            name: &info.name,
            short: shortened(&info.name, NAME),
            info,
            class: gravest.map_or("plain", class),
            verdicts,
            sentences: sentences(report, &info.name),
            findings: findings.into_iter().map(FindingView::from).collect(),
        }
    }
}

impl<'a> From<&'a Finding> for FindingView<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            class: class(finding.level),
            word: finding.level.name(),
            runtime: &finding.runtime,
            sentence: &finding.sentence,
        }
    }
}

/// How grave a verdict is, in the order of findings.
fn weight(level: VerdictLevel) -> Level {
    match level {
        VerdictLevel::Fragile => Level::Alarm,
        VerdictLevel::Moderate | VerdictLevel::NotProven => Level::Warning,
        VerdictLevel::Robust => Level::Note,
    }
}

fn class(level: Level) -> &'static str {
    match level {
        Level::Alarm => "alarm",
        Level::Warning => "warning",
        Level::Note => "plain",
    }
}

/// What is left of a model, a sentence per budget: of several runtimes the one on which the least is left.
fn sentences(report: &Report, model: &str) -> Vec<String> {
    let mut least: Vec<&Worst> = Vec::new();
    for worst in report.worst.iter().filter(|worst| worst.model == model) {
        match least.iter_mut().find(|known| known.budget == worst.budget) {
            Some(known) if worst.sr_psnr < known.sr_psnr => *known = worst,
            Some(_) => {}
            None => least.push(worst),
        }
    }
    least.sort_by(|a, b| a.budget.total_cmp(&b.budget));
    least.into_iter().map(sentence).collect()
}

fn sentence(worst: &Worst) -> String {
    let Worst { budget, images, judged_on, image, attack, .. } = worst;
    if !worst.sr_psnr.is_finite() {
        return format!("At {budget}/255 no attack changed the output ({images} images, on {judged_on}).");
    }
    format!(
        "At {budget}/255 an output PSNR of {} dB is left: the mean over {images} images, under the worst attack of \
         each, on {judged_on}. The worst image, {image}, keeps {} dB ({attack}).",
        decibels(worst.sr_psnr),
        decibels(worst.image_sr_psnr),
    )
}

/// A line of the table: a cell of the summary, in print.
#[derive(Serialize)]
struct Cell<'a> {
    model: &'a str,
    attack: &'a str,
    budget: f64,
    crafted_on: &'a str,
    judged_on: &'a str,
    input_psnr: String,
    output_psnr: String,
    interval: String,
    ssim: String,
    amplification: String,
    bicubic_amplification: String,
}

impl<'a> From<&'a Summary> for Cell<'a> {
    fn from(cell: &'a Summary) -> Self {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        Self {
            model: &cell.model,
            attack: &cell.attack,
            budget: cell.budget,
            crafted_on: &cell.crafted_on,
            judged_on: &cell.judged_on,
            input_psnr: decibels(cell.lr_psnr),
            output_psnr: decibels(cell.sr_psnr),
            interval: cell
                .sr_psnr_interval
                .map_or(String::new(), |it| format!("{:.2} to {:.2}", it.low, it.high)),
            ssim: number(cell.sr_ssim, 4),
            amplification: number(cell.amplification, 2),
            bicubic_amplification: number(cell.bicubic_amplification, 2),
        }
    }
}

/// A run beside the first.
#[derive(Serialize)]
struct ComparisonView<'a> {
    before: &'a str,
    after: &'a str,
    rows: Vec<ChangeView>,
    comparison: Comparison,
}

#[derive(Serialize)]
struct ChangeView {
    model: String,
    runtime: String,
    budget: f64,
    before: String,
    after: String,
    gain: String,
}

impl<'a> ComparisonView<'a> {
    fn new(before: &'a Run, after: &'a Run) -> Self {
        let comparison = compare(&before.report, &after.report);
        let row = |change: &Change| ChangeView {
            model: shortened(&change.model, NAME),
            runtime: change.runtime.clone(),
            budget: change.budget,
            before: decibels(change.before),
            after: decibels(change.after),
            gain: if change.gain().is_finite() { format!("{:+.2}", change.gain()) } else { "-".to_owned() },
        };
        Self {
            before: &before.name,
            after: &after.name,
            rows: comparison.changes.iter().map(row).collect(),
            comparison,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Row;
    use crate::report::example::{image, report, row};

    fn run(name: &str, report: Report) -> Run {
        Run { name: name.into(), report, pictures: vec![] }
    }

    /// What a page must never do: ask for something from elsewhere.
    fn assert_self_contained(page: &str) {
        for asks in ["http://", "https://", "src=\"//", "@import", "url("] {
            assert!(!page.contains(asks), "the page has `{asks}`");
        }
    }

    #[test]
    fn the_page_says_the_verdict_first_and_asks_for_nothing_from_elsewhere() {
        let page = page(&[run("a", report())]).unwrap();
        assert_self_contained(&page);
        let verdict = page.find("an output PSNR of 30.25 dB is left").expect("the worst runtime's mean");
        assert!(verdict < page.find("<svg").unwrap());
        assert!(page.contains("no attack changed the output") && page.contains("prefers-color-scheme: dark"));
        assert!(page.contains("<dt>input PSNR</dt>") && !page.contains("<dialog"), "no pictures, no zoom");
    }

    #[test]
    fn everything_from_a_file_is_escaped() {
        let mut hostile = report();
        let name = "<img src=x onerror=alert(1)>\"'&.onnx";
        hostile.models[0].name = name.into();
        hostile.measured.rows.iter_mut().for_each(|row| row.model = name.into());
        hostile.conclude();
        let pictures = vec![Picture {
            model: name.into(),
            image: name.into(),
            attack: "ifgsm".into(),
            budget: 4.0,
            runtime: "ort".into(),
            sr_psnr: Some(17.0),
            files: vec![("\"><script>".into(), "data:image/png;base64,AAAA".into())],
        }];
        let page = page(&[Run { pictures, ..run(name, hostile) }]).unwrap();
        assert!(!page.contains("<img src=x") && !page.contains("\"><script>"), "{page}");
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
        assert_eq!(page.matches("<script>").count(), 1, "our own");
    }

    /// Pictures are bounded by [`picture::MOST_BYTES`], a third more as text; all else is what is measured here.
    #[test]
    fn a_page_of_100_images_stays_under_10_megabytes() {
        let mut many = report();
        let runtimes = [("ort", "ort"), ("ort", "tract"), ("tract", "ort"), ("tract", "tract")];
        many.images = (0..100).map(|place| image(&format!("photograph-{place:03}.png"), 2)).collect();
        let cells = ["ifgsm", "apgd", "square"].into_iter().flat_map(|attack| {
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].into_iter().map(move |budget| (attack, budget))
        });
        let cells = cells.flat_map(|cell| runtimes.into_iter().map(move |runtime| (cell, runtime)));
        many.measured.rows = cells
            .flat_map(|((attack, budget), (crafted, judged))| {
                many.images.iter().enumerate().map(move |(place, image)| Row {
                    attack: attack.into(),
                    ..row(crafted, judged, &image.name, budget, 40.0 - budget / 2.0 + place as f64 / 50.0)
                })
            })
            .collect();
        many.conclude();
        let page = page(&[run("a", many)]).unwrap();
        let whole = page.len() as u64 + picture::MOST_BYTES * 4 / 3;
        assert!(page.matches("<circle").count() > 100 && whole < 10_000_000, "{whole} bytes");
    }

    #[test]
    fn several_runs_are_compared_with_the_first() {
        let mut after = report();
        after.measured.rows.iter_mut().for_each(|row| row.sr_psnr += 2.0);
        after.conclude();
        let page = page(&[run("before", report()), run("after", after)]).unwrap();
        assert!(page.contains("after against before") && page.contains("+2.00"), "{page}");
        assert_self_contained(&page);
    }
}
