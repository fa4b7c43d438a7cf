//! The hardened model as a file: the trained tensors written back into the graph that was trained,
//! with the recipe as metadata, and the file read back and compared.

use std::collections::BTreeMap;
use std::path::Path;

use super::HardenError;
use super::packing::Packing;
use super::recipe::Recipe;
use super::trainer::Trainer;
use super::validate::Validated;
use crate::onnx;
use crate::rewrite::specialise;
use crate::runtime;
use crate::runtime::torch::Program;
use crate::torch::{self, Kind, Tensor, no_grad};
use crate::zoo::TAP;

/// The metadata key of the recipe, as JSON.
pub const RECIPE: &str = "temper.recipe";
/// The metadata key of the seed.
pub const SEED: &str = "temper.seed";
/// The metadata key of the steps that were done, which an interrupted run has fewer of than its
/// recipe.
pub const STEPS: &str = "temper.steps";
/// The metadata key of what was done to the graph when it was written, in words.
pub const PACKING: &str = "temper.packing";
/// The metadata key of the SHA-256 of the file that was fine-tuned, or gave the initial weights.
pub const FROM: &str = "temper.from";
/// The metadata key of what delta counts in, where that is not 1.
pub const UNIT: &str = "temper.unit";
/// The metadata key of the versions that trained it, as JSON.
pub const VERSIONS: &str = "temper.versions";

/// The metadata key of the weight of the entropy loss.
pub const LAMBDA: &str = "temper.lambda";
/// The metadata key of delta.
pub const DELTA: &str = "temper.delta";
/// The metadata key of the value that was regularised.
pub const TAPPED: &str = "temper.phi";
/// The metadata key of the SHA-256 of the training images, decoded.
pub const DATA: &str = "temper.data";
/// The metadata key of the last validation, as JSON: clean PSNR and SSIM, what an attack left, and on which
/// images (crops of training images, where no others were given).
pub const VALIDATION: &str = "temper.validation";

/// What another runtime makes of a written model.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// The runtime.
    pub runtime: runtime::Kind,
    /// The largest difference of its output on [0, 1] from libtorch's, or why it cannot run the model.
    pub difference: Result<f64, String>,
}

/// The versions of this program and of libtorch, as JSON.
pub(super) fn versions() -> String {
    let versions =
        BTreeMap::from([("temper", env!("CARGO_PKG_VERSION").to_owned()), ("libtorch", torch::version())]);
    serde_json::to_string(&versions).expect("its keys are strings")
}

/// Writes the model file; gives in words what was done to the graph for it.
pub(super) fn write(
    trainer: &Trainer,
    (recipe, packing): (&Recipe, Packing),
    (data, clean): (&str, Option<&Validated>),
    path: &Path,
) -> Result<Vec<String>, HardenError> {
    let network = trainer.network();
    let (mut model, packed) = packing.pack(network, network.export(trainer.program())?)?;
    let recipe_json = serde_json::to_string(&recipe.spelled_out()).expect("a recipe has string keys only");
    let entries = [
        (RECIPE, recipe_json),
        (SEED, recipe.seed.to_string()),
        (STEPS, trainer.step().to_string()),
        (VERSIONS, versions()),
        (LAMBDA, recipe.lambda.to_string()),
        (DELTA, recipe.delta.to_string()),
        (TAPPED, network.tap.clone()),
        (DATA, data.to_owned()),
    ];
    if let Some(clean) = clean {
        let json = serde_json::to_string(clean).expect("a validation has string keys only");
        model.metadata.insert(VALIDATION.into(), json);
    }
    if let Some(sha256) = network.origin() {
        model.metadata.insert(FROM.into(), sha256.to_owned());
    }
    if !packed.is_empty() {
        model.metadata.insert(PACKING.into(), packed.join("; "));
    }
    if network.is_stranger() {
        model.metadata.insert(UNIT.into(), trainer.unit().to_string());
        model.metadata.insert(TAP.into(), network.tap.clone());
    }
    model.metadata.extend(entries.map(|(key, value)| (key.to_owned(), value)));
    onnx::write(&model, path)?;
    Ok(packed)
}

/// Reads the file and compares what it computes from `image` (N, 3, H, W) with the trained network;
/// gives the largest difference.
pub(super) fn verify(
    path: &Path,
    trainer: &Trainer,
    (image, tolerance): (&Tensor, f64),
) -> Result<f64, HardenError> {
    let (network, trained) = (trainer.network(), trainer.program());
    let model = network.canonical(&onnx::read(path)?);
    let written = Program::compile(&model, trained.device(), Kind::Float)?;
    let image = network.colours(image.shallow_clone())?;
    let run = |program: &Program| no_grad(|| program.run(&[image.shallow_clone()]));
    let (expected, found) = (run(trained)?.swap_remove(0), run(&written)?.swap_remove(0));
    let difference = found.f_sub(&expected)?.f_abs()?.f_max()?.f_double_value(&[])?;
    if difference <= tolerance {
        Ok(difference)
    } else {
        Err(HardenError::Unfaithful { path: path.to_owned(), difference, tolerance })
    }
}

/// Runs the file on the other runtimes that are there, and holds them to the trained network.
///
/// # Errors
/// [`HardenError::Unfaithful`] where one gives another output. One that cannot run the model is told of.
pub(super) fn agree(
    path: &Path,
    trainer: &Trainer,
    (image, tolerance): (&Tensor, f64),
) -> Result<Vec<Agreement>, HardenError> {
    let network = trainer.network();
    let image = network.colours(image.shallow_clone())?;
    let expected = torch::to_ndarray(&no_grad(|| trainer.run(&image))?)?;
    let image = torch::to_ndarray(&image)?;
    let fixed = specialise(&network.canonical(&onnx::read(path)?), &[image.shape()]);
    let run = |kind: runtime::Kind| {
        let fixed = fixed.as_ref().map_err(ToString::to_string)?;
        let mut session =
            runtime::open(kind).and_then(|runtime| runtime.load(fixed)).map_err(|e| e.to_string())?;
        let found = session.run(&[image.view()]).map_err(|error| error.to_string())?.swap_remove(0);
        let apart = found.iter().zip(&expected).map(|(found, expected)| f64::from((found - expected).abs()));
        Ok(apart.fold(0.0, |worst: f64, apart| if apart.is_nan() { f64::INFINITY } else { worst.max(apart) }))
    };
    let mut found = Vec::new();
    for kind in runtime::audited_by_default() {
        if runtime::open(kind).is_err() {
            continue;
        }
        let difference = run(kind);
        if let Ok(difference) = difference
            && difference > tolerance
        {
            return Err(HardenError::Unfaithful { path: path.to_owned(), difference, tolerance });
        }
        found.push(Agreement { runtime: kind, difference });
    }
    Ok(found)
}
