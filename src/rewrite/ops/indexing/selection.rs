//! What picks or counts: OneHot gives steps; TopK and NonZero choose by the image's values.
//!
//! Their results' gradients would need indices that the image changes, or have a size that it
//! changes.

use crate::onnx::DType;
use crate::rewrite::TensorType;
use crate::rewrite::ops::{Call, Operator, STEPS};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::zero("OneHot", &["axis"], infer_one_hot, STEPS),
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
