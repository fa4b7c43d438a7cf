//! Batches taken apart and put together again.

use ndarray::{Array4, ArrayView3, ArrayView4, Axis, s};

/// Outputs of one image that differ by less, relatively to their largest value, are the same:
/// kernels add up in another order for another batch.
const SAME: f32 = 1e-4;

/// Outputs of images of one size that differ in shape: a size that depends on the pixels.
#[derive(Debug, thiserror::Error)]
#[error(
    "the model gives images of one size outputs of different sizes; export it with an output size that depends \
     on the input size alone"
)]
pub struct UnevenOutputs;

/// What `run` gives for every image of a batch, as a batch.
pub fn one_by_one<E: From<UnevenOutputs>>(
    x: ArrayView4<'_, f32>,
    run: impl FnMut(ArrayView4<'_, f32>) -> Result<Array4<f32>, E>,
) -> Result<Array4<f32>, E> {
    Ok(stacked(&each(x, run)?)?)
}

/// What `run` gives for every image of a batch.
pub fn each<T, E>(
    x: ArrayView4<'_, f32>,
    mut run: impl FnMut(ArrayView4<'_, f32>) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    (0..x.len_of(Axis(0))).map(|index| run(x.slice(s![index..=index, .., .., ..]))).collect()
}

/// Batches behind one another, of which there is at least one.
///
/// # Errors
/// [`UnevenOutputs`].
pub fn stacked(parts: &[Array4<f32>]) -> Result<Array4<f32>, UnevenOutputs> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    ndarray::concatenate(Axis(0), &views).map_err(|_| UnevenOutputs)
}

/// Whether two outputs are the same but for rounding.
pub fn same(a: ArrayView3<'_, f32>, b: ArrayView3<'_, f32>) -> bool {
    let largest = b.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME * largest)
}
