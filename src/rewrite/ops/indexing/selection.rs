//! What picks or counts: OneHot gives steps; TopK and NonZero choose by the image's values.
//!
//! OneHot is differentiable by the two values that it places, and not by the places. The others' gradients would need
//! indices that the image changes, or have a size that it changes.

use crate::onnx::{Attribute, DType, Tensor};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("OneHot", &["axis"], infer_one_hot, one_hot),
    Operator::refused(
        "TopK",
        &["axis", "largest", "sorted"],
        infer_top_k,
        "the image chooses which entries it gives",
    ),
    Operator::refused("NonZero", &[], infer_non_zero, "the image decides the size of what it gives"),
];

fn infer_one_hot(call: &Call<'_>) -> Types {
    let (indices, values) = (call.input(0)?, call.input(2)?);
    let depth = call.constant(1)?;
    let depth = crate::rewrite::Array::of(depth).and_then(|depth| depth.to_float().first().copied());
    let depth = depth.filter(|depth| (0.0..1e9).contains(depth)).ok_or("lacks a depth")?;
    let axis = call.axis(call.int("axis", -1)?, indices.rank() + 1)?;
    let mut shape = indices.shape.clone();
    shape.insert(axis, depth as usize);
    Ok(vec![TensorType::new(values.dtype, shape)])
}

/// values = (off, on): d_on is the sum of dy where an index points, d_off that of all other entries.
fn one_hot(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    vjp.counts_as_constant(0);
    let dy = vjp.cotangent()?;
    let (indices, depth) = (vjp.input(0)?, vjp.input(1)?);
    let axis = vjp.read(|call| call.int("axis", -1))?;
    let mut parts = Vec::new();
    for hot in [[1.0, 0.0], [0.0, 1.0]] {
        let values = Tensor::f32(&[2], hot.to_vec()).map_err(|error| vjp.fail(error.to_string()))?;
        let values = vjp.tensor("values", values);
        let axis = [("axis", Attribute::Int(axis))];
        let there = vjp.emit("OneHot", &[&indices, &depth, &values], axis)?;
        let products = vjp.emit("Mul", &[&dy, &there], [])?;
        let sum = vjp.reduce("ReduceSum", &products, &[], false)?;
        parts.push(vjp.reshape(&sum, &[1])?);
    }
    let dvalues = vjp.emit("Concat", &[&parts[0], &parts[1]], [("axis", Attribute::Int(0))])?;
    vjp.give(2, dvalues);
    Ok(())
}

fn infer_top_k(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let axis = call.axis(call.int("axis", -1)?, data.rank())?;
    let count = call.constant_ints(1)?.and_then(|values| values.first().copied()).ok_or("lacks its K")?;
    let mut shape = data.shape.clone();
    let fits = usize::try_from(count).ok().filter(|&count| count <= shape[axis]);
    shape[axis] = fits.ok_or_else(|| format!("takes {count} of {} entries", shape[axis]))?;
    Ok(vec![TensorType::new(data.dtype, shape.clone()), TensorType::new(DType::I64, shape)])
}

fn infer_non_zero(_: &Call<'_>) -> Types {
    Err("gives a result whose size depends on the input's values, not on its shape".into())
}
