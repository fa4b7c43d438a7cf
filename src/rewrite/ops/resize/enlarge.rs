//! The adjoint of enlarging by whole numbers: a depth-wise Conv at that stride.
//!
//! Entry s q + r of the result reads entry q + t of the data, weighed by w_r[t]: the same for every
//! q. So dx[i] = sum over u of K[u] dy[s i + u] with K[r - s t] = w_r[t], for the data and for the
//! few entries beyond its edges that were read; those are then added to the edges.

use super::super::taps::adjoint;
use super::super::vjp::Vjp;
use super::taps::{Resample, Row, clamped};
use crate::onnx::{Attribute, Tensor};
use crate::rewrite::{RewriteError, Value};

/// Coordinates in f32 differ by about this much from one period to the next.
const SAME: f32 = 1e-4;

/// One enlarged axis.
#[derive(Debug, PartialEq)]
pub struct Period {
    /// How many entries of the result there are for one of the data.
    stride: usize,
    /// K, from its first entry that is not zero.
    kernel: Vec<f32>,
    /// The first and the last entry read, which may lie beyond the edges.
    read: (i64, i64),
    /// Entries added to dy so that the Conv gives exactly the entries read.
    pads: (i64, i64),
}

/// The spatial axes (those after the first two) that are enlarged by whole numbers.
pub fn periods(plan: &[Resample]) -> Vec<(usize, Period)> {
    if !(3..=5).contains(&plan.len()) {
        return Vec::new();
    }
    let axes = plan.iter().enumerate().skip(2).filter(|(_, axis)| !axis.is_identity());
    axes.filter_map(|(index, axis)| Some((index, period(axis)?))).collect()
}

fn period(axis: &Resample) -> Option<Period> {
    let stride = axis.count / axis.size;
    if stride < 2 || axis.count != stride * axis.size || axis.excludes() {
        return None;
    }
    let rows = axis.rows();
    let middle = axis.size / 2;
    let pattern: Vec<Row> = rows[middle * stride..(middle + 1) * stride]
        .iter()
        .map(|row| row.iter().map(|&(entry, weight)| (entry - middle as i64, weight)).collect())
        .collect();
    let repeats = |(index, row): (usize, &Row)| same(row, &pattern[index % stride], (index / stride) as i64);
    if !rows.iter().enumerate().all(repeats) {
        return None;
    }
    let s = stride as i64;
    let taps =
        pattern.iter().enumerate().flat_map(|(r, row)| row.iter().map(move |&(t, w)| (r as i64 - s * t, w)));
    let taps: Vec<(i64, f32)> = taps.collect();
    let first = taps.iter().map(|tap| tap.0).min()?;
    let last = taps.iter().map(|tap| tap.0).max()?;
    let mut kernel = vec![0.0; usize::try_from(last - first + 1).ok()?];
    taps.iter().for_each(|&(u, weight)| kernel[(u - first) as usize] += weight);
    let entries = || rows.iter().flatten().map(|(entry, _)| *entry);
    let read = (entries().min()?.min(0), entries().max()?.max(axis.size as i64 - 1));
    let pads = (-(s * read.0 + first), s * read.1 + last - (axis.count as i64 - 1));
    (pads.0 >= 0 && pads.1 >= 0).then_some(Period { stride, kernel, read, pads })
}

/// Whether a row is the pattern's, `shift` entries on.
fn same(row: &Row, pattern: &Row, shift: i64) -> bool {
    let close = |(a, b): (&(i64, f32), &(i64, f32))| a.0 == b.0 + shift && (a.1 - b.1).abs() < SAME;
    row.len() == pattern.len() && row.iter().zip(pattern).all(close)
}

/// Undoes the enlargement of these axes.
pub fn undo(
    vjp: &mut Vjp<'_>,
    dy: &Value,
    plan: &[Resample],
    enlarged: &[(usize, Period)],
) -> Result<Value, RewriteError> {
    let mut dx = convolved(vjp, dy, enlarged)?;
    for (axis, Period { read, .. }) in enlarged {
        let size = plan[*axis].size;
        let edges = (read.0..=read.1).map(|entry| vec![(entry, 1.0)]).collect();
        dx = adjoint(vjp, &dx, *axis, &clamped(edges, size), size)?;
    }
    Ok(dx)
}

fn convolved(vjp: &mut Vjp<'_>, dy: &Value, enlarged: &[(usize, Period)]) -> Result<Value, RewriteError> {
    let (channels, spatial) = (dy.shape()[1], dy.shape().len() - 2);
    let of = |index: usize| enlarged.iter().find(|(axis, _)| *axis == index + 2).map(|(_, period)| period);
    let mut kernel = vec![1.0_f32];
    let mut shape = vec![channels, 1];
    let (mut strides, mut begins, mut ends) = (vec![], vec![], vec![]);
    for period in (0..spatial).map(of) {
        let along = period.map_or(&[1.0][..], |period| &period.kernel);
        kernel = kernel.iter().flat_map(|a| along.iter().map(move |b| a * b)).collect();
        shape.push(along.len());
        strides.push(period.map_or(1, |period| period.stride as i64));
        begins.push(period.map_or(0, |period| period.pads.0));
        ends.push(period.map_or(0, |period| period.pads.1));
    }
    let weights = kernel.repeat(channels);
    let weights = Tensor::f32(&shape, weights).map_err(|error| vjp.fail(error.to_string()))?;
    let weights = vjp.tensor("kernel", weights);
    let kernel_shape = shape[2..].iter().map(|&size| size as i64).collect();
    let attributes = [
        ("group", Attribute::Int(channels as i64)),
        ("kernel_shape", Attribute::Ints(kernel_shape)),
        ("pads", Attribute::Ints([begins, ends].concat())),
        ("strides", Attribute::Ints(strides)),
    ];
    vjp.emit("Conv", &[dy, &weights], attributes)
}

#[cfg(test)]
mod tests {
    use super::super::taps::Filter;
    use super::*;
    use crate::onnx::Node;
    use crate::rewrite::ops::Call;

    fn resample(size: usize, count: usize, words: &[(&str, &str)]) -> Resample {
        let attributes = words.iter().map(|(name, word)| ((*name).to_owned(), Attribute::from(*word)));
        let node = Node { op: "Resize".into(), attributes: attributes.collect(), ..Default::default() };
        let filter = Filter::read(&Call::new(&node, vec![], vec![], 17)).unwrap();
        Resample { size, count, scale: count as f32 / size as f32, filter }
    }

    #[test]
    fn doubling_is_a_strided_kernel() {
        let doubled = period(&resample(4, 8, &[("mode", "linear")])).unwrap();
        let kernel = vec![0.25, 0.75, 0.75, 0.25];
        assert_eq!(doubled, Period { stride: 2, kernel, read: (-1, 4), pads: (3, 3) });
        let repeated = period(&resample(4, 12, &[("mode", "nearest")])).unwrap();
        assert_eq!(repeated, Period { stride: 3, kernel: vec![1.0; 3], read: (0, 3), pads: (0, 0) });
    }

    #[test]
    fn other_factors_and_aligned_corners_have_no_period() {
        assert_eq!(period(&resample(4, 10, &[("mode", "linear")])), None);
        assert_eq!(period(&resample(8, 4, &[("mode", "linear")])), None);
        let corners = [("mode", "linear"), ("coordinate_transformation_mode", "align_corners")];
        assert_eq!(period(&resample(4, 8, &corners)), None);
    }
}
