//! Parts of tensors, taken and put together: Slice, Concat and Split.

use crate::runtime::torch::operators::{
    Attributes, Inputs, Kernel, MANY, Operator, Refusal, axes, axis, one, standard,
};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] =
    &[standard("Slice", 1..=5, slice), standard("Concat", 1..=MANY, concat), standard("Split", 1..=2, split)];

/// Starts and ends are attributes before opset 10 and inputs, with steps, since.
fn slice(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    if attributes.opset < 10 {
        let list = |name: &str| {
            attributes.ints(name)?.ok_or_else(|| Refusal::new(format!("attribute `{name}` is missing")))
        };
        let (starts, ends, named) = (list("starts")?, list("ends")?, attributes.ints("axes")?);
        return one(move |inputs| cut(inputs.get(0)?, &starts, &ends, named.as_deref(), None));
    }
    one(|inputs: &Inputs<'_>| {
        let (named, steps) = (inputs.optional_ints(3)?, inputs.optional_ints(4)?);
        cut(inputs.get(0)?, &inputs.ints(1)?, &inputs.ints(2)?, named.as_deref(), steps.as_deref())
    })
}

fn cut(
    x: &Tensor,
    starts: &[i64],
    ends: &[i64],
    named: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Tensor, Refusal> {
    let dims = match named {
        Some(list) => axes(list, x.dim())?,
        None => (0..starts.len() as i64).collect(),
    };
    let lengths = [ends.len(), dims.len(), steps.map_or(starts.len(), <[i64]>::len)];
    if lengths.iter().any(|&length| length != starts.len()) || starts.len() > x.dim() {
        return Err(Refusal::new("starts, ends, axes and steps differ in number"));
    }
    let mut result = x.shallow_clone();
    for (index, &dim) in dims.iter().enumerate() {
        let step = steps.map_or(1, |steps| steps[index]);
        result = cut_one(&result, dim, starts[index], ends[index], step)?;
    }
    Ok(result)
}

/// libtorch steps forwards only: a backward cut is the same elements forwards, flipped.
fn cut_one(x: &Tensor, dim: i64, start: i64, end: i64, step: i64) -> Result<Tensor, Refusal> {
    let length = x.size()[dim as usize];
    let from_front = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let (start, end) = (from_front(start), from_front(end));
    if step > 0 {
        let start = start.clamp(0, length);
        return Ok(x.f_slice(dim, start, end.clamp(start, length), step)?);
    }
    if step == 0 {
        return Err(Refusal::new("a step of 0"));
    }
    let (start, end) = (start.clamp(-1, length - 1), end.clamp(-1, length - 1));
    let stride = step.checked_neg().unwrap_or(i64::MAX);
    let count = if start > end { (start - end - 1) / stride + 1 } else { 0 };
    if count == 0 {
        return Ok(x.f_narrow(dim, 0, 0)?);
    }
    let lowest = start - (count - 1) * stride;
    Ok(x.f_slice(dim, lowest, start + 1, stride)?.f_flip([dim])?)
}

fn concat(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.ok_or_else(|| Refusal::new("attribute `axis` is missing"))?;
    one(move |inputs| {
        let all = inputs.all()?;
        Ok(Tensor::f_cat(&all, axis(dim, all[0].dim())?)?)
    })
}

/// Lengths are an attribute before opset 13 and an input since; without them the parts are equal,
/// the last one shorter where they cannot be.
fn split(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.unwrap_or(0);
    let stated = if attributes.opset < 13 { attributes.ints("split")? } else { None };
    let parts = match attributes.int("num_outputs")? {
        Some(parts) if attributes.opset >= 18 => parts,
        _ => attributes.outputs() as i64,
    };
    Ok(Box::new(move |inputs| {
        let x = inputs.get(0)?;
        let dim = axis(dim, x.dim())?;
        let lengths = match inputs.optional_ints(1)?.or_else(|| stated.clone()) {
            Some(lengths) => lengths,
            None => equal_parts(x.size()[dim as usize], parts)?,
        };
        Ok(x.f_split_with_sizes(lengths, dim)?)
    }))
}

fn equal_parts(length: i64, parts: i64) -> Result<Vec<i64>, Refusal> {
    if parts < 1 {
        return Err(Refusal::new(format!("cannot split into {parts} parts")));
    }
    let each = (length + parts - 1) / parts;
    let last = length - each * (parts - 1);
    if last < 0 {
        return Err(Refusal::new(format!("{length} elements cannot be split into {parts} parts")));
    }
    let mut lengths = vec![each; parts as usize - 1];
    lengths.push(last);
    Ok(lengths)
}
