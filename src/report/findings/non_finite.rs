//! Values that are not finite numbers, met by attacks: outputs, the worst there is, and gradients, where an
//! attack had to end.

use indexmap::IndexMap;

use super::{Finding, Level};
use crate::report::{Measured, NonFinite};

/// Half the side of the cube that CLEVER takes its points from, in 1/255.
const CLEVER: f64 = 1.0;

/// A finding per model, runtime and kind of value.
pub fn of(measured: &Measured) -> Vec<Finding> {
    let rows =
        measured.rows.iter().map(|row| (&row.model, &row.judged_on, &row.image, row.budget, row.non_finite));
    let transfers = measured.transfers.iter();
    let transfers = transfers.map(|it| (&it.model, &it.judged_on, &it.image, it.budget, it.non_finite));
    let clever = measured.clever.iter();
    let clever = clever.map(|it| (&it.model, &it.runtime, &it.image, CLEVER, it.non_finite));
    let mut met: IndexMap<(&str, &str, u64, NonFinite), Vec<&str>> = IndexMap::new();
    for (model, runtime, image, budget, non_finite) in rows.chain(transfers).chain(clever) {
        let Some(non_finite) = non_finite else { continue };
        let images = met.entry((model, runtime, budget.to_bits(), non_finite)).or_default();
        if !images.contains(&image.as_str()) {
            images.push(image);
        }
    }
    let finding = |((model, runtime, budget, non_finite), images): (
        (&str, &str, u64, NonFinite),
        Vec<&str>,
    )| {
        let budget = f64::from_bits(budget);
        let count = images.len();
        let of = if count == 1 { "image" } else { "images" };
        let (code, sentence) = match non_finite {
            NonFinite::Output => (
                "non-finite-output",
                format!(
                    "under attack at {budget}/255 its output is not finite on {count} {of}: counted as 0 dB"
                ),
            ),
            NonFinite::Gradient => (
                "non-finite-gradient",
                format!(
                    "its gradient is not finite at points within {budget}/255 of {count} {of}, where attacks end"
                ),
            ),
        };
        Finding {
            level: Level::Alarm,
            code,
            model: model.to_owned(),
            runtime: runtime.to_owned(),
            sentence,
            numbers: [("budget", budget), ("images", count as f64)].into(),
            image: images.first().map(|image| (*image).to_owned()),
        }
    };
    met.into_iter().map(finding).collect()
}
