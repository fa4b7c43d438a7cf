//! What is certified of a model under noise, and how it is told.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notes::Told;
use super::summary::finite_mean;
use super::{Report, Word, decibels};

/// What no attack within a radius can do to one image, under noise on the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The runtime that upscaled.
    pub runtime: String,
    /// What is bounded: sr_psnr, the PSNR of S(x + noise) against S(x0) without noise.
    pub quantity: Word,
    /// The noise's standard deviation in 1/255.
    pub sigma: f64,
    /// Draws of the noise.
    pub samples: usize,
    /// How sure all its bounds are, together.
    pub confidence: f64,
    /// One for each radius that the draws are enough for.
    pub bounds: Vec<CertifiedBound>,
    /// The median without attack, as the draws have it.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub median: f64,
}

/// What at least half of all outputs keep within one radius.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertifiedBound {
    /// The L2 norm of the perturbation over the whole image, on [0, 1].
    pub radius: f64,
    /// Its root mean square in 1/255.
    pub rms: f64,
    /// In dB; null for an output that does not change at all.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub at_least: f64,
}

/// The certificates in words, the least over images.
pub(super) fn certified(report: &Report) -> Vec<Told> {
    let mut cells: BTreeMap<(&str, &str), Vec<&Certificate>> = BTreeMap::new();
    for certificate in &report.measured.certificates {
        cells.entry((&certificate.model, &certificate.runtime)).or_default().push(certificate);
    }
    let told = cells.into_iter().map(|((model, runtime), found)| {
        let first = found[0];
        let most = found.iter().map(|certificate| certificate.bounds.len()).min().unwrap_or(0);
        let bound = |index: usize| {
            let each = found.iter().map(|certificate| certificate.bounds[index]);
            // Radii follow from the draws alone and are the same for all images.
            let CertifiedBound { radius, rms, .. } = first.bounds[index];
            let least = each.map(|bound| bound.at_least).fold(f64::INFINITY, f64::min);
            format!("{least:.2} dB within {radius:.4} (RMS {rms:.3}/255)")
        };
        let bounds: Vec<String> = (0..most).map(bound).collect();
        let bounds = if bounds.is_empty() { "nothing: too few draws".to_owned() } else { bounds.join(", ") };
        let what = format!(
            ", certified by median smoothing with noise of {}/255 ({} draws an image, {}% sure of each image): \
             whatever an attack within an L2 radius does, half of all outputs keep at least {bounds}, the least over \
             {}; without attack {:.2} dB on average.",
            first.sigma,
            first.samples,
            100.0 * first.confidence,
            match found.len() {
                1 => "one image".to_owned(),
                count => format!("{count} images"),
            },
            finite_mean(found.iter().map(|certificate| certificate.median)),
        );
        Told::of(model, runtime, what)
    });
    told.collect()
}
