//! How far the output is from a target: ||S(x) - target||_2 and ||S(x) - target||_1 of every image.

use ndarray::{ArrayView3, Zip};

use super::{Fragment, by_rows, difference, norms, summed};
use crate::rewrite::{Emitter, RewriteError, Value};

/// ||S(x) - target||_2.
pub fn l2(emitter: &mut Emitter, output: &Value) -> Result<Fragment, RewriteError> {
    let (_, difference) = difference(emitter, output)?;
    let norms = norms(emitter, &difference)?;
    summed(emitter, norms)
}

/// -||S(x) - target||_2.
pub fn negated_l2(emitter: &mut Emitter, output: &Value) -> Result<Fragment, RewriteError> {
    let (_, difference) = difference(emitter, output)?;
    let norms = norms(emitter, &difference)?;
    let negated = emitter.emit("Neg", "objective/negated", &[&norms], [])?;
    summed(emitter, negated)
}

/// ||S(x) - target||_1.
pub fn l1(emitter: &mut Emitter, output: &Value) -> Result<Fragment, RewriteError> {
    let (_, difference) = difference(emitter, output)?;
    let sums = by_rows(emitter, "ReduceL1", "ReduceSum", &difference, ["objective/rows", "objective/sum"])?;
    summed(emitter, sums)
}

/// ||output - target||_2 in f64.
pub fn measure_l2(output: ArrayView3<'_, f32>, target: ArrayView3<'_, f32>) -> f64 {
    folded(output, target, |difference| difference * difference).sqrt()
}

/// ||output - target||_1 in f64.
pub fn measure_l1(output: ArrayView3<'_, f32>, target: ArrayView3<'_, f32>) -> f64 {
    folded(output, target, f64::abs)
}

fn folded(output: ArrayView3<'_, f32>, target: ArrayView3<'_, f32>, part: fn(f64) -> f64) -> f64 {
    Zip::from(output).and(target).fold(0.0, |sum, &a, &b| sum + part(f64::from(a) - f64::from(b)))
}
