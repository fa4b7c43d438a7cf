//! What training needs of memory, estimated before anything is allocated.
//!
//! An estimate for networks of the zoo, whose sizes anybody may state; a foreign file is bounded where
//! it is read. Deliberately absent: the memory of a GPU, which libtorch says itself when it runs out.

use super::Recipe;
use crate::audit::free_bytes;
use crate::harden::HardenError;
use crate::zoo::{Network, Preset, parameter_count};

/// Float32 copies of every weight: the graph as built and as trained, the gradient, Adam's two moments, and
/// five flat vectors of a step of Adam.
const COPIES: u64 = 10;
/// Feature maps that autograd keeps of a block for the backward pass: of two convolutions, an activation and
/// a sum.
const KEPT_PER_BLOCK: u64 = 4;

/// Of CARN, whose design fixes them.
const CARN_BLOCKS: usize = 9;

/// The bytes that training by a recipe needs, by estimate.
///
/// # Errors
/// [`HardenError::Network`] where the network is none of the zoo's even when it is small.
pub(super) fn needed(recipe: &Recipe) -> Result<u64, HardenError> {
    let Recipe { arch, size, scale, batch, patch, .. } = *recipe;
    let features = recipe.features.unwrap_or(arch.features(size));
    let blocks = recipe.blocks.or(arch.blocks(size)).unwrap_or(CARN_BLOCKS);
    let (narrow, shallow) = (arch.features(Preset::Small), arch.blocks(Preset::Small));
    let small = Network { arch, preset: size, features: Some(narrow), blocks: shallow, scale };
    let parameters = parameter_count(&small.build(0)?) as u64;
    // Weights of convolutions grow as the square of the features, and linearly with the blocks.
    let wider = (features.div_ceil(narrow) as u64).saturating_pow(2);
    let deeper = blocks.div_ceil(shallow.unwrap_or(CARN_BLOCKS)) as u64;
    let weights = parameters.saturating_mul(wider).saturating_mul(deeper).saturating_mul(4 * COPIES);
    let images = if recipe.adversarial > 0.0 { 2 * batch } else { batch } as u64;
    let map = (4 * features as u64).saturating_mul(images).saturating_mul((patch as u64).saturating_pow(2));
    // Behind the upsampler a map has scale^2 times as many pixels.
    let maps = (blocks as u64).saturating_mul(KEPT_PER_BLOCK).saturating_add(2 * (scale * scale) as u64);
    Ok(weights.saturating_add(map.saturating_mul(maps)))
}

/// Refuses a recipe that needs more than `limit` bytes, or than the machine has free.
///
/// # Errors
/// [`HardenError::TooMuchMemory`] with both numbers.
pub(super) fn check(recipe: &Recipe, limit: Option<u64>) -> Result<(), HardenError> {
    let needed = needed(recipe)?;
    match limit.or_else(free_bytes) {
        Some(available) if needed > available => {
            Err(HardenError::TooMuchMemory { needed: gib(needed), available: gib(available) })
        }
        _ => Ok(()),
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::Arch;

    #[test]
    fn estimates_are_above_what_there_is_and_not_far() {
        for arch in Arch::ALL {
            for size in [Preset::Small, Preset::Full] {
                let recipe = Recipe { size, batch: 1, patch: 1, ..Recipe::of(arch) };
                let weights = 4 * parameter_count(&recipe.network().unwrap()) as u64;
                let needed = needed(&recipe).unwrap();
                assert!(needed >= COPIES * weights, "{arch} {size:?}: {needed} for {weights}");
                assert!(needed < 100 * weights, "{arch} {size:?}: {needed} for {weights}");
            }
        }
    }

    #[test]
    fn what_no_machine_holds_is_refused_with_both_numbers() {
        let large = Recipe { features: Some(4096), blocks: Some(4096), ..Recipe::default() };
        let error = check(&large, None).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("GiB"), "{error}");
        let error = check(&Recipe::default(), Some(1 << 20)).unwrap_err().to_string();
        assert!(error.contains("there are 0.0 GiB") && error.contains("--memory"), "{error}");
        check(&Recipe { size: Preset::Small, batch: 2, patch: 8, ..Recipe::default() }, Some(1 << 30))
            .unwrap();
    }
}
