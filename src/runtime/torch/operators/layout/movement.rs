//! The same elements under another shape: Reshape Flatten Squeeze Unsqueeze Transpose Expand.

use crate::runtime::torch::operators::{
    Attributes, Inputs, Kernel, Operator, Refusal, axes, axis, one, standard, unary,
};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] = &[
    standard("Reshape", 2..=2, reshape),
    standard("Flatten", 1..=1, flatten),
    standard("Squeeze", 1..=2, squeeze),
    standard("Unsqueeze", 1..=2, unsqueeze),
    standard("Transpose", 1..=1, transpose),
    standard("Expand", 2..=2, |_| one(|inputs| expand(inputs.get(0)?, &inputs.ints(1)?))),
];

/// 0 keeps the input's own length, -1 takes what is left.
fn reshape(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let zero_is_zero = attributes.flag("allowzero", false)?;
    one(move |inputs| {
        let x = inputs.get(0)?;
        let (from, mut to) = (x.size(), inputs.ints(1)?);
        for (dim, length) in to.iter_mut().enumerate().filter(|(_, length)| **length == 0 && !zero_is_zero) {
            let own = from.get(dim).ok_or_else(|| {
                Refusal::new(format!("the new shape keeps dimension {dim} of {from:?}, which has none"))
            })?;
            *length = *own;
        }
        Ok(x.f_reshape(to)?)
    })
}

fn flatten(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.unwrap_or(1);
    unary(move |x| {
        let size = x.size();
        let split = if dim == size.len() as i64 { size.len() } else { axis(dim, size.len())? as usize };
        let (rows, columns) = size.split_at(split);
        Ok(x.f_reshape([rows.iter().product::<i64>(), columns.iter().product()])?)
    })
}

/// The axes: an attribute before opset 13, an input since.
fn named_axes(attributes: &Attributes<'_>) -> Result<Axes, Refusal> {
    if attributes.opset >= 13 { Ok(Axes::Input) } else { Ok(Axes::Attribute(attributes.ints("axes")?)) }
}

enum Axes {
    Attribute(Option<Vec<i64>>),
    Input,
}

impl Axes {
    fn of(&self, inputs: &Inputs<'_>) -> Result<Option<Vec<i64>>, Refusal> {
        match self {
            Axes::Attribute(list) => Ok(list.clone()),
            Axes::Input => inputs.optional_ints(1),
        }
    }
}

fn squeeze(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let named = named_axes(attributes)?;
    one(move |inputs| {
        let x = inputs.get(0)?;
        let Some(list) = named.of(inputs)? else { return Ok(x.f_squeeze()?) };
        let list = axes(&list, x.dim())?;
        match list.iter().find(|&&dim| x.size()[dim as usize] != 1) {
            Some(dim) => Err(Refusal::new(format!("dimension {dim} of {:?} is not 1", x.size()))),
            None => Ok(x.f_squeeze_dims(list)?),
        }
    })
}

fn unsqueeze(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let named = named_axes(attributes)?;
    one(move |inputs| {
        let x = inputs.get(0)?;
        let list = named.of(inputs)?.ok_or_else(|| Refusal::new("the axes are missing"))?;
        let mut list = axes(&list, x.dim() + list.len())?;
        list.sort_unstable();
        list.into_iter().try_fold(x.shallow_clone(), |value, dim| Ok(value.f_unsqueeze(dim)?))
    })
}

fn transpose(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let order = attributes.ints("perm")?;
    unary(move |x| {
        let reversed = || (0..x.dim() as i64).rev().collect();
        Ok(x.f_permute(order.clone().unwrap_or_else(reversed))?)
    })
}

/// Both ways: a length of 1 in `shape` keeps the input's.
fn expand(x: &Tensor, shape: &[i64]) -> Result<Tensor, Refusal> {
    let own = x.size();
    let rank = own.len().max(shape.len());
    let aligned = |list: &[i64], dim: usize| (dim + list.len()).checked_sub(rank).map_or(1, |at| list[at]);
    let target: Vec<i64> = (0..rank)
        .map(|dim| if aligned(shape, dim) == 1 { aligned(&own, dim) } else { aligned(shape, dim) })
        .collect();
    Ok(x.f_expand(target, false)?)
}
