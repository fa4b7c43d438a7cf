//! Entries read and written by indices or coordinates: Gather GatherElements GatherND ScatterElements
//! ScatterND GridSample.

use crate::runtime::torch::operators::{Attributes, Kernel, Operator, Refusal, axis, binary, one, standard};
use crate::torch::{Device, Kind, Tensor};

pub(super) const OPERATORS: &[Operator] = &[
    standard("Gather", 2..=2, gather),
    standard("GatherElements", 2..=2, gather_elements),
    standard("GatherND", 2..=2, gather_nd),
    standard("ScatterElements", 3..=3, scatter_elements),
    standard("ScatterND", 3..=3, scatter_nd),
    standard("GridSample", 2..=2, grid_sample),
];

/// Indices counted from the front of an axis of `length`, where `x` lives.
fn from_front(indices: &Tensor, length: i64, device: Device) -> Result<Tensor, Refusal> {
    let indices = indices.f_to_kind(Kind::Int64)?.f_to_device(device)?;
    Ok(indices.f_where_self(&indices.f_ge(0)?, &indices.f_add_scalar(length)?)?)
}

fn gather(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.unwrap_or(0);
    binary(move |x, indices| {
        let dim = axis(dim, x.dim())?;
        let size = x.size();
        let length = size[dim as usize];
        let from_front = from_front(indices, length, x.device())?.f_reshape([-1i64])?;
        let (before, after) = (&size[..dim as usize], &size[dim as usize + 1..]);
        let shape = [before, &indices.size(), after].concat();
        Ok(x.f_index_select(dim, &from_front)?.f_reshape(shape)?)
    })
}

fn gather_elements(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.unwrap_or(0);
    binary(move |x, indices| {
        let dim = axis(dim, x.dim())?;
        let indices = from_front(indices, x.size()[dim as usize], x.device())?;
        Ok(x.f_gather(dim, &indices, false)?)
    })
}

fn adds(attributes: &Attributes<'_>) -> Result<bool, Refusal> {
    Ok(attributes.choice("reduction", &["none", "add"])? == "add")
}

fn scatter_elements(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.unwrap_or(0);
    let adds = adds(attributes)?;
    one(move |inputs| {
        let (x, updates) = (inputs.get(0)?, inputs.get(2)?);
        let dim = axis(dim, x.dim())?;
        let indices = from_front(inputs.get(1)?, x.size()[dim as usize], x.device())?;
        Ok(if adds { x.f_scatter_add(dim, &indices, updates)? } else { x.f_scatter(dim, &indices, updates)? })
    })
}

/// One tensor of indices per coordinate of the tuples.
fn coordinates(x: &Tensor, indices: &Tensor, batch: usize) -> Result<Vec<Option<Tensor>>, Refusal> {
    let (size, shape) = (x.size(), indices.size());
    let misfit = || Refusal::new(format!("indices of shape {shape:?} do not fit data of shape {size:?}"));
    let (&width, outer) = shape.split_last().ok_or_else(misfit)?;
    let named = usize::try_from(width).ok().and_then(|width| width.checked_add(batch));
    if batch > outer.len() || named.is_none_or(|named| named > size.len()) {
        return Err(misfit());
    }
    let mut all = Vec::new();
    for dim in 0..batch {
        let mut along = vec![1; outer.len()];
        along[dim] = outer[dim];
        let own = Tensor::f_arange(outer[dim], (Kind::Int64, x.device()))?;
        all.push(Some(own.f_view(along.as_slice())?.f_expand(outer, false)?));
    }
    for coordinate in 0..width {
        let own = indices.f_select(-1, coordinate)?;
        all.push(Some(from_front(&own, size[batch + coordinate as usize], x.device())?));
    }
    Ok(all)
}

fn gather_nd(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let batch = usize::try_from(attributes.int("batch_dims")?.unwrap_or(0)).unwrap_or(usize::MAX);
    binary(move |x, indices| Ok(x.f_index(&coordinates(x, indices, batch)?)?))
}

fn scatter_nd(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let adds = adds(attributes)?;
    one(move |inputs| {
        let (x, updates) = (inputs.get(0)?, inputs.get(2)?);
        Ok(x.f_index_put(&coordinates(x, inputs.get(1)?, 0)?, updates, adds)?)
    })
}

fn grid_sample(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let mode = match attributes.choice("mode", &["bilinear", "linear", "nearest", "bicubic", "cubic"])? {
        "nearest" => 1,
        "bicubic" | "cubic" => 2,
        _ => 0,
    };
    let padding = match attributes.choice("padding_mode", &["zeros", "border", "reflection"])? {
        "border" => 1,
        "reflection" => 2,
        _ => 0,
    };
    let corners = attributes.flag("align_corners", false)?;
    binary(move |x, grid| Ok(x.f_grid_sampler(grid, mode, padding, corners)?))
}
