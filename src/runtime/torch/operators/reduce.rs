//! One number for many: ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2
//! ReduceSumSquare ReduceLogSum ReduceLogSumExp, and the places that ArgMax and ArgMin give.

use super::{Attributes, Kernel, Operator, Refusal, axes, axis, one, standard, unary};
use crate::torch::{Kind, TchError, Tensor};

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
    standard("ReduceLogSum", 1..=2, |node| {
        reduce(node, 18, |x, dims, keep| x.f_sum_dim_intlist(dims, keep, None)?.f_log())
    }),
    standard("ReduceLogSumExp", 1..=2, |node| reduce(node, 18, |x, dims, keep| x.f_logsumexp(dims, keep))),
    standard("ArgMax", 1..=1, |node| place(node, |x, dim, keep| x.f_argmax(dim, keep))),
    standard("ArgMin", 1..=1, |node| place(node, |x, dim, keep| x.f_argmin(dim, keep))),
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
            // Nothing is summed; what else the operator does, such as squaring, it still does.
            None if none_means_none => return Ok(compute(&x.f_unsqueeze(-1)?, &[x.dim() as i64], false)?),
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

/// The first of several places, unless `select_last_index` asks for the last.
fn place(
    attributes: &Attributes<'_>,
    compute: fn(&Tensor, i64, bool) -> Result<Tensor, TchError>,
) -> Result<Kernel, Refusal> {
    let dim = attributes.int("axis")?.unwrap_or(0);
    let keep = attributes.flag("keepdims", true)?;
    let last = attributes.flag("select_last_index", false)?;
    let home = attributes.place;
    unary(move |x| {
        let dim = axis(dim, x.dim())?;
        let found = if last {
            let end = x.size()[dim as usize] - 1;
            compute(&x.f_flip([dim])?, dim, keep)?.f_neg()?.f_add_scalar(end)?
        } else {
            compute(x, dim, keep)?
        };
        home.hold(&found, Kind::Int64)
    })
}
