//! Values that come from no input: Constant. And Identity, which passes its input on.

use super::{Attributes, Kernel, Operator, Refusal, one, standard, unary};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] = &[
    standard("Constant", 0..=0, constant),
    standard("Identity", 1..=1, |_| unary(|x| Ok(x.shallow_clone()))),
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
