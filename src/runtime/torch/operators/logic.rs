//! Comparisons, boolean operators, Where, Cast and OneHot.

use super::{Attributes, Inputs, Kernel, Operator, Refusal, axis, binary, one, standard, unary};
use crate::onnx::DType;
use crate::torch::{Device, Kind, Tensor, to_vec};

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
    standard("OneHot", 3..=3, one_hot),
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

/// The longest axis that OneHot makes.
const DEEPEST: f64 = 1e8;

/// `values[1]` where the new axis has an index, counted from the end where negative; `values[0]` elsewhere,
/// and everywhere for an index out of range.
fn one_hot(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let at = attributes.int("axis")?.unwrap_or(-1);
    let place = attributes.place;
    one(move |inputs: &Inputs<'_>| {
        let (indices, values) = (inputs.get(0)?, inputs.get(2)?);
        let depth =
            to_vec::<f64>(inputs.get(1)?)?.first().copied().filter(|depth| (1.0..DEEPEST).contains(depth));
        let depth = depth.ok_or_else(|| Refusal::new("the depth is no length"))? as i64;
        let at = axis(at, indices.dim() + 1)?;
        let indices = indices.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?.f_unsqueeze(at)?;
        let from_front = indices.f_where_self(&indices.f_ge(0)?, &indices.f_add_scalar(depth)?)?;
        let mut along = vec![1; indices.dim()];
        along[at as usize] = depth;
        let steps = Tensor::f_arange(depth, (Kind::Int64, Device::Cpu))?.f_view(along.as_slice())?;
        let hit = from_front.f_eq_tensor(&steps)?.f_to_device(values.device())?;
        let [off, on] = [values.f_select(0, 0)?, values.f_select(0, 1)?];
        place.hold(&on.f_where_self(&hit, &off)?, values.f_kind()?)
    })
}
