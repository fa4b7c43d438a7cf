//! Whether a crop gets the network that the whole image gets: attacks on crops say nothing of a file that serves
//! another network at other sizes.
//!
//! Compared is what noise does to the output, in the middle of the crop: where a clean output tells a network from
//! plain interpolation only on detail, noise is detail everywhere. A network sees beyond a crop's border, and some weigh
//! features by means over the whole image, so that honest ones differ too, the more the smaller the crop. Deliberately
//! absent: gradients of the whole image, which cost as much memory as crops are there to save.

use ndarray::{Array4, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{ImageIndex, Judge};
use crate::audit::inputs::memory::free_bytes;
use crate::audit::inputs::whole::Whole;

/// The noise: every value moves so far, up or down, on [0, 1].
const NOISE: f32 = 4.0 / 255.0;

/// The relative difference; `None` where nothing was cut, where the whole image takes more memory than there is, and
/// where the model or the runtime does not take it.
///
/// # Errors
/// A runtime that fails on the crop, or dies.
pub fn size_difference(
    context: &mut Context<'_>,
    index: ImageIndex,
    judge: Judge,
) -> Result<Option<f64>, AuditError> {
    let image = context.image(index);
    let Some(Whole { x, at }) = &image.whole else { return Ok(None) };
    let memory = context.settings.memory.or_else(free_bytes);
    if context.model.forward_bytes(x.shape()).zip(memory).is_none_or(|(needed, memory)| needed > memory) {
        return Ok(None);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(context.settings.seed);
    let noisy = image.x.mapv(|x| (x + if rng.random() { NOISE } else { -NOISE }).clamp(0.0, 1.0));
    let mut whole_noisy = x.clone();
    let [rows, columns] = [0, 1].map(|axis| at[axis]..at[axis] + image.x.shape()[2 + axis]);
    whole_noisy.slice_mut(s![.., .., rows, columns]).assign(&noisy);
    let [clean, changed] = [&image.x, &noisy].map(|x| context.output(judge, image, x));
    let of_crop = changed? - clean?;
    let [clean, changed] = [x, &whole_noisy].map(|x| context.output(judge, image, x));
    context.oracle(judge).release_sessions();
    let of_whole = match (clean, changed) {
        (Ok(clean), Ok(changed)) => changed - clean,
        (Err(error), _) | (_, Err(error)) if error.is_not_finite() => return Ok(Some(f64::MAX)),
        (Err(error), _) | (_, Err(error)) if error.died().is_some() => return Err(error),
        _ => return Ok(None),
    };
    Ok(Some(apart(&of_crop, &of_whole, at.map(|place| place * context.model.requirements.scale))))
}

/// The relative distance of a change to its part of another that begins at `at`, in the middle half of its sides.
fn apart(of_crop: &Array4<f32>, of_whole: &Array4<f32>, at: [usize; 2]) -> f64 {
    let sides = [of_crop.shape()[2], of_crop.shape()[3]];
    let [rows, columns] = sides.map(|side| side / 4..side - side / 4);
    let middle = of_crop.slice(s![.., .., rows.clone(), columns.clone()]);
    let shifted = |range: std::ops::Range<usize>, by: usize| range.start + by..range.end + by;
    let there = of_whole.slice(s![.., .., shifted(rows, at[0]), shifted(columns, at[1])]);
    let length =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = length(&mut middle.iter().zip(&there).map(|(a, b)| f64::from(a - b)));
    let larger = [&middle, &there].map(|part| length(&mut part.iter().map(|value| f64::from(*value))));
    difference / larger[0].max(larger[1]).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_crop_is_compared_with_its_place_in_the_whole() {
        let whole = Array4::from_shape_fn((1, 1, 40, 40), |(_, _, y, x)| ((7 * y + 3 * x) % 11) as f32);
        let mut crop = whole.slice(s![.., .., 12..28, 8..24]).to_owned();
        crop[[0, 0, 0, 0]] = 100.0;
        assert_eq!(apart(&crop, &whole, [12, 8]), 0.0, "borders do not count");
        assert!(apart(&crop, &whole, [12, 9]) > 0.3);
        assert_eq!(apart(&(2.0 * &crop), &whole, [12, 8]), 0.5);
    }
}
