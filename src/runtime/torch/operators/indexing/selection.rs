//! What picks and counts: OneHot, TopK, and NonZero, which says where entries are.

use crate::runtime::torch::operators::{
    Attributes, Inputs, Kernel, Operator, Refusal, axis, one, standard, unary,
};
use crate::torch::{Device, Kind, Tensor, to_vec};

pub(super) const OPERATORS: &[Operator] = &[
    standard("OneHot", 3..=3, one_hot),
    standard("TopK", 2..=2, top_k),
    // One column per element that is not zero, one row per axis.
    standard("NonZero", 1..=1, |_| {
        unary(|x| Ok(x.f_nonzero()?.f_transpose(0, 1)?.f_to_device(Device::Cpu)?))
    }),
];

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

/// The K largest or smallest along an axis, in order, and where they were; of equals the first come first.
fn top_k(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.unwrap_or(-1);
    let largest = attributes.flag("largest", true)?;
    // Unsorted results may come in any order, this one included.
    attributes.flag("sorted", true)?;
    Ok(Box::new(move |inputs| {
        let x = inputs.get(0)?;
        let dim = axis(dim, x.dim())?;
        let length = x.size()[dim as usize];
        let count = inputs.ints(1)?.first().copied().filter(|count| (0..=length).contains(count));
        let count = count.ok_or_else(|| Refusal::new(format!("K is not a number from 0 to {length}")))?;
        let (values, places) = x.f_sort_stable(true, dim, largest)?;
        let places = places.f_narrow(dim, 0, count)?.f_to_device(Device::Cpu)?;
        Ok(vec![values.f_narrow(dim, 0, count)?, places])
    }))
}
