//! Rows averaged over images, and the worst that all attacks together did.

use indexmap::IndexMap;
use indexmap::map::Entry;
use schemars::JsonSchema;
use serde::Serialize;

use super::interval::Interval;
use super::null::decibels;
use super::{Row, Transfer};

/// Rows averaged over images.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// The model.
    pub model: String,
    /// The attack.
    pub attack: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// The runtime whose gradients made the attacks.
    pub crafted_on: String,
    /// The runtime that upscaled the attacked images.
    pub judged_on: String,
    /// Images attacked.
    pub images: usize,
    /// How many of the attacks left the output as it was, to the last bit. Their PSNR is infinite and
    /// no part of `sr_psnr`: one of them must not pass off the others as harmless.
    pub unchanged: usize,
    /// Mean of `lr_psnr` over the images whose input was changed; null where none was.
    #[serde(serialize_with = "decibels::serialize")]
    #[schemars(with = "Option<f64>")]
    pub lr_psnr: f64,
    /// Mean of `sr_psnr` over the images whose output was changed; null where none was.
    #[serde(serialize_with = "decibels::serialize")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
    /// The 95% confidence interval of that mean over images like these; null for fewer than eight.
    pub sr_psnr_interval: Option<Interval>,
    /// Mean of `sr_ssim`; null where there is none.
    pub sr_ssim: Option<f64>,
    /// Mean of `amplification`; null where there is none.
    pub amplification: Option<f64>,
    /// Mean of `bicubic_amplification`; null where there is none.
    pub bicubic_amplification: Option<f64>,
}

/// The rows averaged over images, in the order in which the cells first appear.
pub fn summarise(rows: &[Row]) -> Vec<Summary> {
    let mut cells: IndexMap<_, Vec<&Row>> = IndexMap::new();
    for row in rows {
        let cell = (&row.model, &row.attack, row.budget.to_bits(), &row.crafted_on, &row.judged_on);
        cells.entry(cell).or_default().push(row);
    }
    cells.values().map(|rows| averaged(rows)).collect()
}

/// The summary of the rows of one cell, of which there is at least one.
fn averaged(rows: &[&Row]) -> Summary {
    let first = rows[0];
    let sr_psnrs: Vec<f64> = rows.iter().map(|row| row.sr_psnr).collect();
    Summary {
        model: first.model.clone(),
        attack: first.attack.clone(),
        budget: first.budget,
        crafted_on: first.crafted_on.clone(),
        judged_on: first.judged_on.clone(),
        images: rows.len(),
        unchanged: rows.iter().filter(|row| row.sr_psnr.is_infinite()).count(),
        lr_psnr: finite_mean(rows.iter().map(|row| row.lr_psnr)),
        sr_psnr: finite_mean(sr_psnrs.iter().copied()),
        sr_psnr_interval: Interval::of_mean(&sr_psnrs),
        sr_ssim: mean(rows.iter().filter_map(|row| row.sr_ssim)),
        amplification: mean(rows.iter().filter_map(|row| row.amplification)),
        bicubic_amplification: mean(rows.iter().filter_map(|row| row.bicubic_amplification)),
    }
}

/// The mean, where there is anything to average.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    Some(finite_mean(values)).filter(|mean| mean.is_finite())
}

/// The mean of the finite values; infinite where there is none.
pub fn finite_mean(values: impl Iterator<Item = f64>) -> f64 {
    let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    if finite.is_empty() { f64::INFINITY } else { finite.iter().sum::<f64>() / finite.len() as f64 }
}

/// What is left of a model on one runtime under the worst of all attacks, whoever crafted it, taken
/// image by image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Worst {
    /// The model.
    pub model: String,
    /// The runtime that upscaled the attacked images.
    pub judged_on: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// Images attacked.
    pub images: usize,
    /// Mean over images of the least `sr_psnr`; null where no attack changed an output.
    #[serde(serialize_with = "decibels::serialize")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
    /// The 95% confidence interval of that mean over images like these; null for fewer than eight.
    pub interval: Option<Interval>,
    /// The attack that did the most on the worst image.
    pub attack: String,
    /// The model that it was crafted for; null for this one.
    pub crafted_for: Option<String>,
    /// The image on which the least was left.
    pub image: String,
    /// What was left there.
    #[serde(serialize_with = "decibels::serialize")]
    #[schemars(with = "Option<f64>")]
    pub image_sr_psnr: f64,
}

/// One judged attack, whoever it was crafted for.
struct Judged<'a> {
    model: &'a str,
    judged_on: &'a str,
    budget: f64,
    image: &'a str,
    attack: &'a str,
    crafted_for: Option<&'a str>,
    sr_psnr: f64,
}

impl<'a> From<&'a Row> for Judged<'a> {
    fn from(row: &'a Row) -> Self {
        let Row { model, judged_on, budget, image, attack, sr_psnr, .. } = row;
        let crafted_for = None;
        Self { model, judged_on, budget: *budget, image, attack, crafted_for, sr_psnr: *sr_psnr }
    }
}

impl<'a> From<&'a Transfer> for Judged<'a> {
    fn from(transfer: &'a Transfer) -> Self {
        let Transfer { model, crafted_for, judged_on, budget, image, attack, sr_psnr, .. } = transfer;
        let crafted_for = Some(crafted_for.as_str());
        Self { model, judged_on, budget: *budget, image, attack, crafted_for, sr_psnr: *sr_psnr }
    }
}

/// The worst of all attacks for every model, runtime and budget, in the order of the rows.
pub fn worst(rows: &[Row], transfers: &[Transfer]) -> Vec<Worst> {
    let mut cells: IndexMap<_, IndexMap<&str, Judged<'_>>> = IndexMap::new();
    let own = rows.iter().filter(|row| row.is_budgeted()).map(Judged::from);
    for judged in own.chain(transfers.iter().map(Judged::from)) {
        let cell = (judged.model, judged.judged_on, judged.budget.to_bits());
        match cells.entry(cell).or_default().entry(judged.image) {
            Entry::Occupied(mut least) if judged.sr_psnr < least.get().sr_psnr => {
                least.insert(judged);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(first) => {
                first.insert(judged);
            }
        }
    }
    cells.values().filter_map(worst_of).collect()
}

fn worst_of(images: &IndexMap<&str, Judged<'_>>) -> Option<Worst> {
    let least = images.values().min_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr))?;
    let values: Vec<f64> = images.values().map(|judged| judged.sr_psnr).collect();
    Some(Worst {
        model: least.model.to_owned(),
        judged_on: least.judged_on.to_owned(),
        budget: least.budget,
        images: values.len(),
        sr_psnr: finite_mean(values.iter().copied()),
        interval: Interval::of_mean(&values),
        attack: least.attack.to_owned(),
        crafted_for: least.crafted_for.map(str::to_owned),
        image: least.image.to_owned(),
        image_sr_psnr: least.sr_psnr,
    })
}

#[cfg(test)]
mod tests {
    use super::super::example::{row, transfer};
    use super::*;

    #[test]
    fn the_worst_is_taken_image_by_image() {
        let square = |row: Row| Row { attack: "square".into(), ..row };
        let rows = [
            row("ort", "ort", "a.png", 4.0, 30.0),
            row("tract", "ort", "a.png", 4.0, 29.0),
            square(row("ort", "ort", "a.png", 4.0, 31.0)),
            row("ort", "ort", "b.png", 4.0, 28.0),
            square(row("ort", "ort", "b.png", 4.0, 25.0)),
            row("ort", "ort", "a.png", 8.0, f64::INFINITY),
        ];
        let found = worst(&rows, &[]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].sr_psnr, found[0].images), (27.0, 2));
        assert_eq!((&*found[0].attack, &*found[0].image, found[0].image_sr_psnr), ("square", "b.png", 25.0));
        assert_eq!(found[1].sr_psnr, f64::INFINITY);
    }

    #[test]
    fn an_attack_for_another_model_counts_as_any() {
        let rows = [row("ort", "ort", "a.png", 4.0, 30.0), row("ort", "ort", "b.png", 4.0, 29.0)];
        let found = worst(&rows, &[transfer("b.png", 4.0, 24.0), transfer("a.png", 4.0, 33.0)]);
        assert_eq!((found.len(), found[0].sr_psnr), (1, 27.0));
        assert_eq!((found[0].crafted_for.as_deref(), &*found[0].image), (Some("other.onnx"), "b.png"));
    }
}
