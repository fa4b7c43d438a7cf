//! Reductions: ReduceSum, ReduceL2.
//!
//! A reduction's gradient is spread back over what was reduced: dy keeps, or gets back, the
//! reduced axes as axes of size 1, and broadcasting does the rest.

use super::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType, Value};

/// Below this a norm counts as zero, where it has no gradient: the rule gives zero there, as
/// libtorch does.
const SMALLEST_NORM: f32 = 1e-30;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("ReduceSum", &["axes", "keepdims", "noop_with_empty_axes"], infer, sum),
    Operator::differentiable("ReduceL2", &["axes", "keepdims", "noop_with_empty_axes"], infer, l2),
];

/// The reduced axes, ascending. They are an attribute first (ReduceSum until opset 12, the others
/// until 17) and an input later.
fn axes(call: &Call<'_>) -> Result<Vec<usize>, String> {
    let rank = call.input(0)?.rank();
    let stated = match call.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => call.constant_ints(1)?,
    };
    let stated = stated.unwrap_or_default();
    if stated.is_empty() {
        let none = call.int("noop_with_empty_axes", 0)? != 0;
        return Ok(if none { Vec::new() } else { (0..rank).collect() });
    }
    let mut axes = stated.iter().map(|&axis| call.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (data, axes) = (call.input(0)?, axes(call)?);
    let keep = call.int("keepdims", 1)? != 0;
    let size = |(axis, &size): (usize, &usize)| match (axes.contains(&axis), keep) {
        (false, _) => Some(size),
        (true, true) => Some(1),
        (true, false) => None,
    };
    let sizes: Vec<usize> = data.shape.iter().enumerate().filter_map(size).collect();
    Ok(vec![TensorType::new(data.dtype, sizes)])
}

/// A value of the output's shape with the reduced axes put back as axes of size 1.
fn kept(vjp: &mut Vjp<'_>, value: &Value) -> Result<Value, RewriteError> {
    let axes = vjp.read(axes)?;
    let mut sizes = vjp.input(0)?.ty.shape;
    axes.into_iter().for_each(|axis| sizes[axis] = 1);
    vjp.reshape(value, &sizes)
}

/// y = sum x: dx = dy everywhere.
fn sum(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    let dy = kept(vjp, &dy)?;
    let sizes: Vec<i64> = vjp.input(0)?.shape().iter().map(|&size| size as i64).collect();
    let sizes = vjp.ints(&sizes);
    let dx = vjp.emit("Expand", &[&dy, &sizes], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = sqrt(sum x^2): dx = x dy / y.
fn l2(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let smallest = vjp.scalar(SMALLEST_NORM);
    let norm = vjp.emit("Max", &[&y, &smallest], [])?;
    let scale = vjp.emit("Div", &[&dy, &norm], [])?;
    let scale = kept(vjp, &scale)?;
    let dx = vjp.emit("Mul", &[&x, &scale], [])?;
    vjp.give(0, dx);
    Ok(())
}
