//! Comparisons, boolean operators, Where and Cast.

use super::{Attributes, Kernel, Operator, Refusal, binary, one, standard, unary};
use crate::onnx::DType;
use crate::torch::{Kind, Tensor};

pub(super) const OPERATORS: &[Operator] = &[
    standard("Greater", 2..=2, |_| binary(|a, b| Ok(a.f_gt_tensor(b)?))),
    standard("GreaterOrEqual", 2..=2, |_| binary(|a, b| Ok(a.f_ge_tensor(b)?))),
    standard("Less", 2..=2, |_| binary(|a, b| Ok(a.f_lt_tensor(b)?))),
    standard("LessOrEqual", 2..=2, |_| binary(|a, b| Ok(a.f_le_tensor(b)?))),
    standard("Equal", 2..=2, |_| binary(|a, b| Ok(a.f_eq_tensor(b)?))),
    standard("And", 2..=2, |_| binary(|a, b| Ok(a.f_logical_and(b)?))),
    standard("Or", 2..=2, |_| binary(|a, b| Ok(a.f_logical_or(b)?))),
    standard("Not", 1..=1, |_| unary(|x| Ok(x.f_logical_not()?))),
    standard("Where", 3..=3, |_| one(|inputs| choose(inputs.get(0)?, inputs.get(1)?, inputs.get(2)?))),
    standard("Cast", 1..=1, cast),
];

fn choose(condition: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor, Refusal> {
    let device = yes.device();
    Ok(yes.f_where_self(&condition.f_to_device(device)?, &no.f_to_device(device)?)?)
}

/// Floating-point types are all the program's own kind; only a cast from or to integers rounds.
fn cast(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let code = attributes.int("to")?.ok_or_else(|| Refusal::new("attribute `to` is missing"))?;
    let dtype = i32::try_from(code).ok().and_then(DType::from_code);
    let dtype = dtype.ok_or_else(|| Refusal::new(format!("there is no element type {code}")))?;
    // Concerns 8-bit floats alone, which `kind_of` refuses.
    attributes.int("saturate")?;
    let place = attributes.place;
    let kind: Kind = place.kind_of(dtype)?;
    unary(move |x| place.hold(x, kind))
}
