//! The hardened model as a file: the trained tensors written back into the graph that was trained,
//! with the recipe as metadata.

use std::path::Path;

use super::transform::transform;
use crate::harden::HardenError;
use crate::harden::config::{ExportOptions, Recipe};
use crate::harden::metadata::{
    DATA, DELTA, EXPORT, FROM, LAMBDA, PHI, RECIPE, SEED, STEPS, UNIT, VALIDATION, VERSIONS, versions,
};
use crate::harden::train::{Trainer, Validated};
use crate::onnx;
use crate::zoo::TAP;

/// What is written beside the weights.
pub(in crate::harden) struct Written<'a> {
    /// The recipe, as metadata.
    pub recipe: &'a Recipe,
    /// What is done to the graph first.
    pub options: ExportOptions,
    /// The SHA-256 of the training images.
    pub data: &'a str,
    /// The last validation, if there was one.
    pub clean: Option<&'a Validated>,
}

/// Writes the model file, with the recipe as metadata; gives in words what was done to the graph for it.
pub(in crate::harden) fn write(
    trainer: &Trainer,
    &Written { recipe, options, data, clean }: &Written<'_>,
    path: &Path,
) -> Result<Vec<String>, HardenError> {
    let network = trainer.network();
    let (mut model, done) = transform(options, network, network.export(trainer.program())?)?;
    let recipe_json = serde_json::to_string(&recipe.spelled_out()).expect("a recipe has string keys only");
    let entries = [
        (RECIPE, recipe_json),
        (SEED, recipe.seed.to_string()),
        (STEPS, trainer.step().to_string()),
        (VERSIONS, versions()),
        (LAMBDA, recipe.lambda.to_string()),
        (DELTA, recipe.delta.to_string()),
        (PHI, network.tap.clone()),
        (DATA, data.to_owned()),
    ];
    if let Some(clean) = clean {
        // The histogram is for the log: a model's file says how it does, not how its features lie.
        let clean = Validated { histogram: vec![], ..clean.clone() };
        let json = serde_json::to_string(&clean).expect("a validation has string keys only");
        model.metadata.insert(VALIDATION.into(), json);
    }
    if let Some(sha256) = network.origin() {
        model.metadata.insert(FROM.into(), sha256.to_owned());
    }
    if !done.is_empty() {
        model.metadata.insert(EXPORT.into(), done.join("; "));
    }
    if network.is_foreign() {
        model.metadata.insert(UNIT.into(), trainer.unit().to_string());
        model.metadata.insert(TAP.into(), network.tap.clone());
    }
    model.metadata.extend(entries.map(|(key, value)| (key.to_owned(), value)));
    onnx::write(&model, path)?;
    Ok(done)
}
