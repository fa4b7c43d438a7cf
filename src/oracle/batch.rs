//! Batches taken apart and put together again.

use ndarray::{Array4, ArrayView3, ArrayView4, Axis, s};

/// Outputs of one image that differ by less, relatively to their largest value, are the same:
/// kernels add up in another order for another batch.
const SAME: f32 = 1e-4;

/// What `run` gives for every image of a batch, as a batch.
pub fn one_by_one<E>(
    x: ArrayView4<'_, f32>,
    run: impl FnMut(ArrayView4<'_, f32>) -> Result<Array4<f32>, E>,
) -> Result<Array4<f32>, E> {
    Ok(stacked(&each(x, run)?))
}

/// What `run` gives for every image of a batch.
pub fn each<T, E>(
    x: ArrayView4<'_, f32>,
    mut run: impl FnMut(ArrayView4<'_, f32>) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    (0..x.len_of(Axis(0))).map(|index| run(x.slice(s![index..=index, .., .., ..]))).collect()
}

/// Batches of one shape behind one another.
fn stacked(parts: &[Array4<f32>]) -> Array4<f32> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    ndarray::concatenate(Axis(0), &views).unwrap_or_default()
}

/// Whether two outputs are the same but for rounding.
pub fn same(a: ArrayView3<'_, f32>, b: ArrayView3<'_, f32>) -> bool {
    let largest = b.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME * largest)
}
