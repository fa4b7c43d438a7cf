//! The lists of a report, declared here and nowhere else: an audit fills them, shards are joined list by list.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::checks::{GradientCheck, NetworkCheck};
use super::measures::{Clean, Clever, MinimalBudget, Noise, Row, Transfer, Universal};

/// All that an audit measured, a list per kind of number.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Whether the gradients can be trusted.
    pub gradient_checks: Vec<GradientCheck>,
    /// Whether every image is upscaled at all, and twice to the same.
    #[serde(default)]
    pub network_checks: Vec<NetworkCheck>,
    /// Quality without attack, where ground truth was given.
    pub clean: Vec<Clean>,
    /// One row per image and cell.
    pub rows: Vec<Row>,
    /// What signed noise of the whole budget does, for comparison.
    pub noise: Vec<Noise>,
    /// CLEVER, where it was asked for.
    pub clever: Vec<Clever>,
    /// What attacks crafted for one of several models do to the others that take the same images.
    pub transfers: Vec<Transfer>,
    /// The smallest budgets that cost as much quality as was asked about.
    pub minimal_budgets: Vec<MinimalBudget>,
    /// What one perturbation does to many images, where it was asked for.
    pub universal: Vec<Universal>,
    /// What no attack within a radius can do under noise, where it was asked for.
    pub certificates: Vec<Certificate>,
}

impl Measured {
    /// Adds what was measured of another model or of other images.
    pub fn append(&mut self, other: Self) {
        let Self {
            gradient_checks,
            network_checks,
            clean,
            rows,
            noise,
            clever,
            transfers,
            minimal_budgets,
            universal,
            certificates,
        } = other;
        self.gradient_checks.extend(gradient_checks);
        self.network_checks.extend(network_checks);
        self.clean.extend(clean);
        self.rows.extend(rows);
        self.noise.extend(noise);
        self.clever.extend(clever);
        self.transfers.extend(transfers);
        self.minimal_budgets.extend(minimal_budgets);
        self.universal.extend(universal);
        self.certificates.extend(certificates);
    }

    /// Adds what was measured of another part of the images by the same audit. Every part has checked the same
    /// gradients; where machines disagree, the check that failed is kept.
    pub fn join(&mut self, part: Self) {
        let ours = self.gradient_checks.clone();
        let theirs = part.gradient_checks.clone();
        self.append(part);
        let worse = |(ours, theirs): (GradientCheck, GradientCheck)| {
            if ours.trusted && !theirs.trusted { theirs } else { ours }
        };
        self.gradient_checks = ours.into_iter().zip(theirs).map(worse).collect();
    }

    /// Puts every list in the order of the models, and of the images within a model, however the work was
    /// shared out.
    pub fn sort(&mut self, models: &[&str], images: &[&str]) {
        let place = |list: &[&str]| -> HashMap<String, usize> {
            list.iter().enumerate().rev().map(|(place, name)| ((*name).to_owned(), place)).collect()
        };
        let (models, images) = (place(models), place(images));
        let key = |model: &str, image: &str| (models.get(model).copied(), images.get(image).copied());
        self.network_checks.sort_by_key(|it| key(&it.model, &it.image));
        self.clean.sort_by_key(|it| key(&it.model, &it.image));
        self.rows.sort_by_key(|it| key(&it.model, &it.image));
        self.noise.sort_by_key(|it| key(&it.model, &it.image));
        self.clever.sort_by_key(|it| key(&it.model, &it.image));
        self.transfers.sort_by_key(|it| key(&it.model, &it.image));
        self.minimal_budgets.sort_by_key(|it| key(&it.model, &it.image));
        self.certificates.sort_by_key(|it| key(&it.model, &it.image));
    }
}
