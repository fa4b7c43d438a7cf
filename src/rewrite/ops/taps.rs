//! Linear maps along one axis, and their adjoints in the cheapest form.
//!
//! Padding by reflection, resampling and reading by constant indices all give, at each entry, a
//! weighted sum of a few entries ("taps") of one axis. The adjoint adds up, for every entry read,
//! what its readers weighed it by. Which operators say that best depends on the taps: a Slice or a
//! Pad, a Gather per reader, or a product with a constant matrix.

use std::ops::Range;

use super::Vjp;
use crate::onnx::{Attribute, Tensor};
use crate::rewrite::ops::indexing::gather::scatter;
use crate::rewrite::{RewriteError, Value};

/// What each entry of a result reads of an axis: entries and their weights.
pub type Taps = Vec<Vec<(usize, f32)>>;

/// A product with a matrix is one node and runs near a machine's peak: up to this many
/// multiplications it is preferred to several passes over memory.
const CHEAP_PRODUCT: usize = 1 << 27;
/// The largest matrix that is written into a graph: 256 MiB of float32.
const LARGEST_MATRIX: usize = 1 << 26;
/// More gathers than this are worse than any matrix.
const MOST_GATHERS: usize = 32;

type Result<T> = std::result::Result<T, RewriteError>;

/// The adjoint, applied to `dy` along `axis`, of reading an axis of `size` entries by `taps`.
pub fn adjoint(vjp: &mut Vjp<'_>, dy: &Value, axis: usize, taps: &Taps, size: usize) -> Result<Value> {
    if let Some(start) = window(taps) {
        return if taps.len() == size { Ok(dy.clone()) } else { embed(vjp, dy, axis, start, size) };
    }
    let most = most_readers(taps, size);
    let plain = taps.iter().all(|row| matches!(row[..], [(_, 1.0)]));
    let product = dy.ty.len().saturating_mul(size);
    if plain && most <= 1 {
        let indices: Vec<usize> = taps.iter().map(|row| row[0].0).collect();
        return scatter(vjp, dy, axis, &indices, size);
    }
    if product <= CHEAP_PRODUCT {
        return multiplied(vjp, dy, axis, taps, size);
    }
    if let Some(start) = whole(taps, size) {
        return bordered(vjp, dy, axis, taps, start..start + size);
    }
    let matrix = taps.len().saturating_mul(size);
    if most <= MOST_GATHERS && (most <= 4 || matrix > LARGEST_MATRIX) {
        return gathered(vjp, dy, axis, taps, size, most);
    }
    if matrix <= LARGEST_MATRIX {
        return multiplied(vjp, dy, axis, taps, size);
    }
    Err(vjp.fail(format!(
        "cannot be differentiated: {} entries that read {size} others would take a matrix of {matrix} \
         numbers; use a smaller image",
        taps.len()
    )))
}

/// The start of the unbroken run of entries that the taps read as they are.
fn window(taps: &Taps) -> Option<usize> {
    let start = taps.first()?.first()?.0;
    let runs = taps.iter().enumerate().all(|(index, row)| row[..] == [(start + index, 1.0)]);
    runs.then_some(start)
}

/// Where in the result all `size` entries stand in a row, as they are.
fn whole(taps: &Taps, size: usize) -> Option<usize> {
    let start = (0..taps.len()).find(|&at| taps[at][..] == [(0, 1.0)])?;
    // Reflection and wrapping may show entry 0 alone before the run begins; the next one is tried.
    let runs = |start: usize| {
        start + size <= taps.len() && (0..size).all(|index| taps[start + index][..] == [(index, 1.0)])
    };
    (start..taps.len()).find(|&start| runs(start))
}

fn most_readers(taps: &Taps, size: usize) -> usize {
    let mut readers = vec![0_usize; size];
    for (entry, _) in taps.iter().flatten() {
        readers[*entry] += 1;
    }
    readers.into_iter().max().unwrap_or(0)
}

/// `dy` from `start` on in an axis of `size` zeros.
fn embed(vjp: &mut Vjp<'_>, dy: &Value, axis: usize, start: usize, size: usize) -> Result<Value> {
    let rank = dy.shape().len();
    let mut pads = vec![0; 2 * rank];
    pads[axis] = start as i64;
    pads[rank + axis] = (size - start - dy.shape()[axis]) as i64;
    let pads = vjp.ints(&pads);
    vjp.emit("Pad", &[dy, &pads], [])
}

/// By a product with the matrix of the weights.
fn multiplied(vjp: &mut Vjp<'_>, dy: &Value, axis: usize, taps: &Taps, size: usize) -> Result<Value> {
    let last = axis + 1 == dy.shape().len();
    let count = taps.len();
    // (taps, size) on the right of the last axis, (size, taps) on the left of another.
    let place = |row: usize, entry: usize| if last { row * size + entry } else { entry * count + row };
    let mut data = vec![0.0; count * size];
    for (row, taps) in taps.iter().enumerate() {
        for &(entry, weight) in taps {
            data[place(row, entry)] += weight;
        }
    }
    let shape = if last { [count, size] } else { [size, count] };
    let matrix = Tensor::f32(&shape, data).map_err(|error| vjp.fail(error.to_string()))?;
    let matrix = vjp.tensor("weights", matrix);
    let mut shape = dy.shape().to_vec();
    if last && shape.len() > 1 {
        return vjp.emit("MatMul", &[dy, &matrix], []);
    }
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let (before, after) = (product(&shape[..axis]), product(&shape[axis + 1..]));
    shape[axis] = size;
    let result = if last {
        let row = vjp.reshape(dy, &[1, count])?;
        vjp.emit("MatMul", &[&row, &matrix], [])?
    } else if axis + 2 == shape.len() {
        vjp.emit("MatMul", &[&matrix, dy], [])?
    } else {
        let flat = vjp.reshape(dy, &[before, count, after])?;
        vjp.emit("MatMul", &[&matrix, &flat], [])?
    };
    vjp.reshape(&result, &shape)
}

/// What stands there as it is, and, by a product with a narrow matrix, what surrounds it.
fn bordered(vjp: &mut Vjp<'_>, dy: &Value, axis: usize, taps: &Taps, middle: Range<usize>) -> Result<Value> {
    let around: Vec<usize> = (0..middle.start).chain(middle.end..taps.len()).collect();
    let border: Taps = around.iter().map(|&row| taps[row].clone()).collect();
    let places: Vec<i64> = around.iter().map(|&row| row as i64).collect();
    let same = vjp.slice(dy, axis, middle.start, middle.end)?;
    let places = vjp.tensor("border", Tensor::ints(&places));
    let around = vjp.emit("Gather", &[dy, &places], [("axis", Attribute::Int(axis as i64))])?;
    let around = multiplied(vjp, &around, axis, &border, middle.len())?;
    vjp.emit("Add", &[&same, &around], [])
}

/// By one Gather per reader of the most-read entry, weighed where weights are not all 1.
fn gathered(
    vjp: &mut Vjp<'_>,
    dy: &Value,
    axis: usize,
    taps: &Taps,
    size: usize,
    most: usize,
) -> Result<Value> {
    let mut readers = vec![Vec::new(); size];
    for (row, &(entry, weight)) in
        taps.iter().enumerate().flat_map(|(row, t)| t.iter().map(move |t| (row, t)))
    {
        readers[entry].push((row as i64, weight));
    }
    let mut along = vec![1; dy.shape().len()];
    along[axis] = size;
    let mut sum: Option<Value> = None;
    for round in 0..most {
        // An entry with fewer readers reads anything, weighed by 0.
        let reader = |readers: &Vec<(i64, f32)>| readers.get(round).copied().unwrap_or((0, 0.0));
        let (places, weights): (Vec<i64>, Vec<f32>) = readers.iter().map(reader).unzip();
        let places = vjp.tensor("readers", Tensor::ints(&places));
        let mut part = vjp.emit("Gather", &[dy, &places], [("axis", Attribute::Int(axis as i64))])?;
        if weights.iter().any(|&weight| weight != 1.0) {
            let weights = Tensor::f32(&along, weights).map_err(|error| vjp.fail(error.to_string()))?;
            let weights = vjp.tensor("weights", weights);
            part = vjp.emit("Mul", &[&part, &weights], [])?;
        }
        sum = Some(match sum {
            Some(sum) => vjp.emit("Add", &[&sum, &part], [])?,
            None => part,
        });
    }
    sum.ok_or_else(|| vjp.fail("reads nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(entries: &[usize]) -> Taps {
        entries.iter().map(|&entry| vec![(entry, 1.0)]).collect()
    }

    #[test]
    fn windows_and_wholes_are_found() {
        assert_eq!(window(&reading(&[2, 3, 4])), Some(2));
        assert_eq!(window(&reading(&[2, 4])), None);
        assert_eq!(window(&vec![vec![(0, 0.5)]]), None);
        assert_eq!(whole(&reading(&[0, 0, 0, 1, 2, 2]), 3), Some(2));
        assert_eq!(whole(&reading(&[2, 1, 0, 1, 2, 1]), 3), Some(2));
        assert_eq!(whole(&reading(&[2, 1, 0]), 3), None);
        assert_eq!(most_readers(&reading(&[0, 0, 0, 1]), 4), 3);
    }
}
