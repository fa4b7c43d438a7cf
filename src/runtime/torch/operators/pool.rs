//! MaxPool, AveragePool, GlobalAveragePool and GlobalMaxPool in 1 to 3 dimensions.

use super::super::spatial::{Pads, Sized, Window};
use super::pad::pad_spatial;
use super::{Attributes, Kernel, Operator, Refusal, standard, unary};
use crate::torch::{TchError, Tensor};

pub(super) const OPERATORS: &[Operator] = &[
    standard("MaxPool", 1..=1, max_pool),
    standard("AveragePool", 1..=1, average_pool),
    standard("GlobalAveragePool", 1..=1, |_| {
        unary(|x| Ok(x.f_mean_dim(spatial(x)?.as_slice(), true, None)?))
    }),
    standard("GlobalMaxPool", 1..=1, |_| unary(|x| Ok(x.f_amax(spatial(x)?, true)?))),
];

fn spatial(x: &Tensor) -> Result<Vec<i64>, Refusal> {
    match x.dim() {
        rank if rank > 2 => Ok((2..rank as i64).collect()),
        rank => Err(Refusal::new(format!("an input of {rank} dimensions has no spatial ones"))),
    }
}

fn read(attributes: &Attributes<'_>) -> Result<(Window, Vec<i64>, bool), Refusal> {
    let window = Window::read(attributes)?;
    let kernel = window.kernel().map(<[i64]>::to_vec);
    let kernel = kernel.ok_or_else(|| Refusal::new("attribute `kernel_shape` is missing"))?;
    if !(1..=3).contains(&kernel.len()) {
        return Err(Refusal::new(format!("a window of shape {kernel:?} is not of 1 to 3 dimensions")));
    }
    Ok((window, kernel, attributes.flag("ceil_mode", false)?))
}

/// libtorch pads at both ends alike and by at most half the window; other pads are put around the
/// input first, which must not be combined with a rounded-up size.
fn native(window: &Sized, ceil: bool) -> Result<Option<Vec<i64>>, Refusal> {
    let symmetric = window.pads().symmetric();
    let narrow = symmetric.filter(|pads| pads.iter().zip(&window.kernel).all(|(pad, size)| 2 * pad <= *size));
    if narrow.is_none() && ceil {
        return Err(Refusal::new("`ceil_mode` together with these pads is not supported"));
    }
    Ok(narrow)
}

fn max_pool(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (window, kernel, ceil) = read(attributes)?;
    // The order of the second output's indices, which has no say in the values.
    attributes.int("storage_order")?;
    if attributes.outputs() > 1 {
        return Err(Refusal::new("the indices that MaxPool can give are not supported"));
    }
    unary(move |x| {
        let window = window.sized(&x.size(), &kernel)?;
        let (x, pads) = match native(&window, ceil)? {
            Some(pads) => (x.shallow_clone(), pads),
            None => (pad_spatial(x, &window.pads(), f64::NEG_INFINITY)?, vec![0; kernel.len()]),
        };
        let Sized { kernel, strides, dilations, .. } = &window;
        Ok(match kernel.len() {
            1 => x.f_max_pool1d(kernel, strides, pads, dilations, ceil)?,
            2 => x.f_max_pool2d(kernel, strides, pads, dilations, ceil)?,
            _ => x.f_max_pool3d(kernel, strides, pads, dilations, ceil)?,
        })
    })
}

fn average_pool(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let (window, kernel, ceil) = read(attributes)?;
    let count_pads = attributes.flag("count_include_pad", false)?;
    unary(move |x| {
        let window = window.sized(&x.size(), &kernel)?;
        if window.dilations.iter().any(|&dilation| dilation != 1) {
            return Err(Refusal::new("AveragePool with dilations is not supported"));
        }
        match native(&window, ceil)? {
            Some(pads) => Ok(mean(x, &window, &pads, ceil, count_pads)?),
            None => averaged_after_padding(x, &window, &window.pads(), count_pads),
        }
    })
}

fn mean(x: &Tensor, window: &Sized, pads: &[i64], ceil: bool, count_pads: bool) -> Result<Tensor, TchError> {
    let Sized { kernel, strides, .. } = window;
    match kernel.len() {
        1 => x.f_avg_pool1d(kernel, strides, pads, ceil, count_pads),
        2 => x.f_avg_pool2d(kernel, strides, pads, ceil, count_pads, None),
        _ => x.f_avg_pool3d(kernel, strides, pads, ceil, count_pads, None),
    }
}

/// The mean over the padded input, divided by the share of each window that is not padding.
fn averaged_after_padding(
    x: &Tensor,
    window: &Sized,
    pads: &Pads,
    count_pads: bool,
) -> Result<Tensor, Refusal> {
    let none = vec![0; window.rank()];
    let pool = |x: &Tensor| -> Result<Tensor, Refusal> {
        Ok(mean(&pad_spatial(x, pads, 0.0)?, window, &none, false, true)?)
    };
    if count_pads {
        return pool(x);
    }
    Ok(pool(x)?.f_div(&pool(&x.f_detach()?.f_ones_like()?)?)?)
}
