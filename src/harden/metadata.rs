//! The metadata keys of a written model and of a checkpoint, and the versions that they state.

use std::collections::BTreeMap;

use crate::torch;

/// The recipe, as JSON.
pub const RECIPE: &str = "temper.recipe";
/// The seed.
pub const SEED: &str = "temper.seed";
/// The steps that were done, which an interrupted run has fewer of than its recipe.
pub const STEPS: &str = "temper.steps";
/// What was done to the graph when it was written, in words: see [`crate::harden::ExportOptions`].
pub const EXPORT: &str = "temper.export";
/// SHA-256 of the file that was fine-tuned, or gave the initial weights.
pub const FROM: &str = "temper.from";
/// The unit of Phi that delta is stated in, where that is not 1.
pub const UNIT: &str = "temper.unit";
/// The versions that trained it, as JSON.
pub const VERSIONS: &str = "temper.versions";
/// The weight of the entropy loss.
pub const LAMBDA: &str = "temper.lambda";
/// Delta of eq. (11) and (12).
pub const DELTA: &str = "temper.delta";
/// The name of the value that was regularised: Phi.
pub const PHI: &str = "temper.phi";
/// SHA-256 of the training images, decoded.
pub const DATA: &str = "temper.data";
/// The last validation, as JSON: clean PSNR and SSIM, SR PSNR under attack, and on which images (crops of
/// training images, where no others were given).
pub const VALIDATION: &str = "temper.validation";

/// The versions of this program and of libtorch, as JSON.
pub(super) fn versions() -> String {
    let versions =
        BTreeMap::from([("temper", env!("CARGO_PKG_VERSION").to_owned()), ("libtorch", torch::version())]);
    serde_json::to_string(&versions).expect("its keys are strings")
}
