//! The hardened model as a file: the trained tensors written back into the graph that was trained,
//! with the recipe as metadata, and the file read back and compared.

use std::collections::BTreeMap;
use std::path::Path;

use super::HardenError;
use super::recipe::Recipe;
use crate::onnx::{self, Model};
use crate::runtime::torch::Program;
use crate::torch::{self, Kind, Tensor, no_grad};

/// The metadata key of the recipe, as JSON.
pub const RECIPE: &str = "temper.recipe";
/// The metadata key of the seed.
pub const SEED: &str = "temper.seed";
/// The metadata key of the steps that were done, which an interrupted run has fewer of than its
/// recipe.
pub const STEPS: &str = "temper.steps";
/// The metadata key of the versions that trained it, as JSON.
pub const VERSIONS: &str = "temper.versions";

/// The largest difference of two outputs on [0, 1] that passes.
const TOLERANCE: f64 = 1e-5;

/// The versions of this program and of libtorch, as JSON.
pub(super) fn versions() -> String {
    let versions =
        BTreeMap::from([("temper", env!("CARGO_PKG_VERSION").to_owned()), ("libtorch", torch::version())]);
    serde_json::to_string(&versions).expect("its keys are strings")
}

/// Writes the model file.
pub(super) fn write(
    mut model: Model,
    program: &Program,
    recipe: &Recipe,
    step: u64,
    path: &Path,
) -> Result<(), HardenError> {
    program.write_back(&mut model)?;
    let recipe_json = serde_json::to_string(&recipe.spelled_out()).expect("a recipe has string keys only");
    let entries = [
        (RECIPE, recipe_json),
        (SEED, recipe.seed.to_string()),
        (STEPS, step.to_string()),
        (VERSIONS, versions()),
    ];
    model.metadata.extend(entries.map(|(key, value)| (key.to_owned(), value)));
    Ok(onnx::write(&model, path)?)
}

/// Reads the file and compares what it computes from `image` (N, 3, H, W) with the trained network;
/// gives the largest difference.
pub(super) fn verify(path: &Path, trained: &Program, image: &Tensor) -> Result<f64, HardenError> {
    let model = onnx::read(path)?;
    let written = Program::compile(&model, trained.device(), Kind::Float)?;
    let run = |program: &Program| no_grad(|| program.run(&[image.shallow_clone()]));
    let (expected, found) = (run(trained)?.swap_remove(0), run(&written)?.swap_remove(0));
    let difference = found.f_sub(&expected)?.f_abs()?.f_max()?.f_double_value(&[])?;
    if difference <= TOLERANCE {
        Ok(difference)
    } else {
        Err(HardenError::Unfaithful { path: path.to_owned(), difference })
    }
}
