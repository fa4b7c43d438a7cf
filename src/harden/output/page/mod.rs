//! `training.html`: how a run went, as one page that needs no network.
//!
//! Drawn from the logs when a run ends, an interrupted one too. Deliberately absent: any number that the logs do not
//! hold, and what attacks stronger than the validation's do, which is an audit's to say.

mod curves;

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::log::Record;
use crate::files::{OutputFolder, write_atomically};
use crate::harden::HardenError;
use crate::harden::names::{CONFIG, LOG, TRAINING, VALIDATIONS};
use crate::harden::train::Validated;
use crate::report::html::{Chart, STYLE, fill};
use curves::charts;

const PAGE: &str = include_str!("training.html");

/// A row of the table of what training changed.
#[derive(Serialize)]
struct Change {
    name: &'static str,
    values: Vec<String>,
}

/// The page as the template takes it.
#[derive(Serialize)]
struct View<'a> {
    style: &'static str,
    version: &'static str,
    name: &'a str,
    steps: u64,
    images: String,
    columns: Vec<&'static str>,
    change: Vec<Change>,
    charts: Vec<Chart>,
    config: String,
}

/// A run as its page names it, beside its logs.
pub(in crate::harden) struct PageFacts<'a> {
    /// The network's name.
    pub name: &'a str,
    /// Steps done.
    pub steps: u64,
    /// The validation before the first step, if there was one.
    pub before: Option<&'a Validated>,
    /// The last validation, if there was one.
    pub after: Option<&'a Validated>,
}

/// Writes the page of the run in a folder.
///
/// # Errors
/// The file cannot be written.
pub(in crate::harden) fn write_page(
    folder: &OutputFolder,
    &PageFacts { name, steps, before, after }: &PageFacts<'_>,
) -> Result<(), HardenError> {
    let records: Vec<Record> = lines(&folder.file(LOG));
    let mut validations: Vec<Validated> = lines(&folder.file(VALIDATIONS));
    if validations.is_empty() {
        validations = [before, after].into_iter().flatten().cloned().collect();
    }
    let change = [before, after].into_iter().flatten().collect::<Vec<_>>();
    let view = View {
        style: STYLE,
        version: env!("CARGO_PKG_VERSION"),
        name,
        steps,
        images: after.map_or(String::new(), images),
        columns: if before.is_some() { vec!["before", "after"] } else { vec!["after"] },
        change: if after.is_some() { changes(&change) } else { vec![] },
        charts: charts(&records, &validations),
        config: fs::read_to_string(folder.file(CONFIG)).unwrap_or_default(),
    };
    let page = fill(PAGE, &view).map_err(Box::new)?;
    Ok(write_atomically(&folder.file(TRAINING), |file| file.write_all(page.as_bytes()))?)
}

/// The lines of a log that can be read: a file that is missing or damaged costs a curve, no more.
fn lines<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn images(found: &Validated) -> String {
    let kind = if found.training { "training" } else { "validation" };
    format!("{} {kind} image{}", found.images, if found.images == 1 { "" } else { "s" })
}

fn changes(found: &[&Validated]) -> Vec<Change> {
    type Figure = (&'static str, fn(&Validated) -> String);
    let figures: [Figure; 6] = [
        ("clean PSNR, dB", |found| format!("{:.2}", found.psnr)),
        ("SSIM", |found| format!("{:.4}", found.ssim)),
        ("SR PSNR under I-FGSM, dB", |found| format!("{:.2}", found.attacked)),
        ("entropy of Phi, bits per element", |found| format!("{:.2}", found.entropy)),
        ("standard deviation of Phi", |found| format!("{:.4}", found.spread)),
        ("gain on noise in Phi", |found| format!("{:.3}", found.gain)),
    ];
    figures
        .into_iter()
        .map(|(name, of)| Change { name, values: found.iter().map(|found| of(found)).collect() })
        .collect()
}
