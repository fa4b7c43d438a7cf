//! The squared distance of every pixel, weighted by the cosine of its colours, after CosPGD
//! (Agnihotri, Jung and Keuper, ICML 2024), which scales a pixel-wise loss by the alignment of
//! prediction and target so that pixels that are lost already weigh less.
//!
//! For a regression network, where there are no class scores to align, we take the colour vectors
//! themselves: sum over pixels of cos(s, t) |s - t|^2, with cos(s, t) = s.t / (|s| |t| + 1e-6).
//! The weight is differentiated with the rest. An output of one channel has no direction to lose:
//! there it is the squared distance, wherever both are positive.

use ndarray::{ArrayView3, Axis};

use super::{Fragment, by_rows, difference, summed};
use crate::rewrite::{Emitter, RewriteError, Value};

/// Keeps the cosine of black a number.
const BLACK: f32 = 1e-6;

pub fn append(emitter: &mut Emitter, output: &Value) -> Result<Fragment, RewriteError> {
    let (target, difference) = difference(emitter, output)?;
    let squared = emitter.emit("Mul", "objective/squared", &[&difference, &difference], [])?;
    let apart = emitter.reduce("ReduceSum", "objective/apart", &squared, &[1], true)?;
    let products = emitter.emit("Mul", "objective/products", &[output, &target], [])?;
    let product = emitter.reduce("ReduceSum", "objective/product", &products, &[1], true)?;
    let ours = emitter.reduce("ReduceL2", "objective/ours", output, &[1], true)?;
    let theirs = emitter.reduce("ReduceL2", "objective/theirs", &target, &[1], true)?;
    let lengths = emitter.emit("Mul", "objective/lengths", &[&ours, &theirs], [])?;
    let black = emitter.scalar(BLACK);
    let lengths = emitter.emit("Add", "objective/lengths", &[&lengths, &black], [])?;
    let cosine = emitter.emit("Div", "objective/cosine", &[&product, &lengths], [])?;
    let weighted = emitter.emit("Mul", "objective/weighted", &[&cosine, &apart], [])?;
    let sums = by_rows(emitter, "ReduceSum", "ReduceSum", &weighted, ["objective/rows", "objective/sum"])?;
    summed(emitter, sums)
}

pub fn measure(output: ArrayView3<'_, f32>, target: ArrayView3<'_, f32>) -> f64 {
    let pixels = output.lanes(Axis(0)).into_iter().zip(target.lanes(Axis(0)));
    let parts = pixels.map(|(s, t)| {
        let sum = |part: fn(f64, f64) -> f64| -> f64 {
            s.iter().zip(t).map(|(&s, &t)| part(s.into(), t.into())).sum()
        };
        let lengths = sum(|s, _| s * s).sqrt() * sum(|_, t| t * t).sqrt() + f64::from(BLACK);
        sum(|s, t| s * t) / lengths * sum(|s, t| (s - t) * (s - t))
    });
    parts.sum()
}
