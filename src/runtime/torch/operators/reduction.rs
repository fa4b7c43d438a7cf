//! One number for many: ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2
//! ReduceSumSquare.

use super::{Attributes, Kernel, Operator, Refusal, axes, one, standard};
use crate::torch::{TchError, Tensor};

pub(super) const OPERATORS: &[Operator] = &[
    // ReduceSum takes its axes as an input since opset 13, the others since 18.
    standard("ReduceSum", 1..=2, |node| {
        reduce(node, 13, |x, dims, keep| x.f_sum_dim_intlist(dims, keep, None))
    }),
    standard("ReduceMean", 1..=2, |node| reduce(node, 18, |x, dims, keep| x.f_mean_dim(dims, keep, None))),
    standard("ReduceMax", 1..=2, |node| reduce(node, 18, |x, dims, keep| x.f_amax(dims, keep))),
    standard("ReduceMin", 1..=2, |node| reduce(node, 18, |x, dims, keep| x.f_amin(dims, keep))),
    standard("ReduceProd", 1..=2, |node| reduce(node, 18, product)),
    standard("ReduceL1", 1..=2, |node| {
        reduce(node, 18, |x, dims, keep| x.f_abs()?.f_sum_dim_intlist(dims, keep, None))
    }),
    standard("ReduceL2", 1..=2, |node| {
        reduce(node, 18, |x, dims, keep| x.f_norm_scalaropt_dim(2.0, dims, keep))
    }),
    standard("ReduceSumSquare", 1..=2, |node| {
        reduce(node, 18, |x, dims, keep| x.f_square()?.f_sum_dim_intlist(dims, keep, None))
    }),
];

fn reduce(
    attributes: &Attributes<'_>,
    axes_are_an_input_since: i64,
    compute: fn(&Tensor, &[i64], bool) -> Result<Tensor, TchError>,
) -> Result<Kernel, Refusal> {
    let keep = attributes.flag("keepdims", true)?;
    let as_input = attributes.opset >= axes_are_an_input_since;
    let stated = if as_input { None } else { attributes.ints("axes")? };
    let none_means_none = as_input && attributes.flag("noop_with_empty_axes", false)?;
    if !as_input && attributes.has_input(1) {
        return Err(Refusal::new("has its axes as an input, which this operator set does not know"));
    }
    one(move |inputs| {
        let x = inputs.get(0)?;
        let given = if as_input { inputs.optional_ints(1)? } else { stated.clone() };
        let dims = match given.filter(|list| !list.is_empty()) {
            Some(list) => axes(&list, x.dim())?,
            None if none_means_none => return Ok(x.shallow_clone()),
            None => (0..x.dim() as i64).collect(),
        };
        Ok(compute(x, &dims, keep)?)
    })
}

/// libtorch multiplies along one dimension at a time.
fn product(x: &Tensor, dims: &[i64], keep: bool) -> Result<Tensor, TchError> {
    let mut dims = dims.to_vec();
    dims.sort_unstable();
    dims.iter().rev().try_fold(x.shallow_clone(), |value, &dim| value.f_prod_dim_int(dim, keep, None))
}
