//! Values that come from no input or from a shape alone: Constant ConstantOfShape Range Shape Size.

use super::{Attributes, Kernel, Operator, Refusal, one, standard, unary};
use crate::torch::{Device, Kind, Tensor, to_vec};

pub(super) const OPERATORS: &[Operator] = &[
    standard("Constant", 0..=0, constant),
    standard("ConstantOfShape", 1..=1, constant_of_shape),
    standard("Range", 3..=3, |attributes| {
        let place = attributes.place;
        one(move |inputs| {
            let made = range(inputs.get(0)?, inputs.get(1)?, inputs.get(2)?)?;
            place.hold(&made, inputs.get(0)?.f_kind()?)
        })
    }),
    standard("Shape", 1..=1, shape),
    standard("Size", 1..=1, |_| unary(|x| Ok(Tensor::from(x.numel() as i64)))),
];

fn constant(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let place = attributes.place;
    let float = |value: Tensor| place.hold(&value, place.kind);
    let value = if let Some(tensor) = attributes.tensor("value")? {
        tensor
    } else if let Some(value) = attributes.float("value_float")? {
        float(Tensor::from(value))?
    } else if let Some(values) = attributes.floats("value_floats")? {
        float(Tensor::from_slice(&values))?
    } else if let Some(value) = attributes.int("value_int")? {
        Tensor::from(value)
    } else if let Some(values) = attributes.ints("value_ints")? {
        Tensor::from_slice(&values)
    } else {
        return Err(Refusal::new("holds no tensor, float or integer"));
    };
    one(move |_| Ok(value.shallow_clone()))
}

/// The most elements that a shape or a range may ask for.
const MOST: f64 = 1e9;

fn constant_of_shape(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let place = attributes.place;
    let value = match attributes.tensor("value")? {
        Some(value) if value.numel() == 1 => value.f_reshape([-1i64; 0])?,
        Some(_) => return Err(Refusal::new("attribute `value` is not a single number")),
        None => place.hold(&Tensor::from(0.0f32), place.kind)?,
    };
    one(move |inputs| {
        let shape = inputs.ints(0)?;
        let count: f64 = shape.iter().map(|&length| length as f64).product();
        if shape.iter().any(|&length| length < 0) || count > MOST {
            return Err(Refusal::new(format!("cannot make the shape {shape:?}")));
        }
        Ok(value.f_expand(shape, false)?.f_contiguous()?)
    })
}

/// start, start + delta, ... up to but not including limit; the elements have the kind of start.
fn range(start: &Tensor, limit: &Tensor, delta: &Tensor) -> Result<Tensor, Refusal> {
    let number = |bound: &Tensor| -> Result<f64, Refusal> {
        to_vec::<f64>(bound)?.first().copied().ok_or_else(|| Refusal::new("a bound is empty"))
    };
    let (start, limit, delta) = (number(start)?, number(limit)?, number(delta)?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if count.is_nan() || count > MOST {
        return Err(Refusal::new(format!("cannot count from {start} to {limit} in steps of {delta}")));
    }
    let steps = Tensor::f_arange(count as i64, (Kind::Double, Device::Cpu))?;
    Ok(steps.f_mul_scalar(delta)?.f_add_scalar(start)?)
}

fn shape(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let start = attributes.int("start")?.unwrap_or(0);
    let end = attributes.int("end")?.unwrap_or(i64::MAX);
    unary(move |x| {
        let size = x.size();
        let rank = size.len() as i64;
        let clamped = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
        let (start, end) = (clamped(start), clamped(end));
        Ok(Tensor::from_slice(&size[start.min(end)..end]))
    })
}
