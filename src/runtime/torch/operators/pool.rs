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
/// input first.
fn native(window: &Sized) -> Option<Vec<i64>> {
    let symmetric = window.pads().symmetric();
    symmetric.filter(|pads| pads.iter().zip(&window.kernel).all(|(pad, size)| 2 * pad <= *size))
}

/// The pads, and behind them what a rounded-up number of windows needs.
fn widened(window: &Sized, ceil: bool) -> Pads {
    let mut pads = window.pads();
    if ceil {
        pads.end.iter_mut().zip(window.overhang()).for_each(|(pad, over)| *pad += over);
    }
    pads
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
        let (x, pads, ceil) = match native(&window) {
            Some(pads) => (x.shallow_clone(), pads, ceil),
            None => {
                let padded = pad_spatial(x, &widened(&window, ceil), f64::NEG_INFINITY)?;
                (padded, vec![0; kernel.len()], false)
            }
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
        let dilated = window.dilations.iter().any(|&dilation| dilation != 1);
        match native(&window).filter(|_| !dilated) {
            Some(pads) => Ok(mean(x, &window, &pads, ceil, count_pads)?),
            None => mean_of_windows(x, &window, ceil, count_pads),
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

/// The sum over every window, divided by the number of its entries that count: a sum of ones.
fn mean_of_windows(x: &Tensor, window: &Sized, ceil: bool, count_pads: bool) -> Result<Tensor, Refusal> {
    let size = x.size();
    let planes = [&[size[0] * size[1], 1], &size[2..]].concat();
    let plane = [&[1, 1], &size[2..]].concat();
    let (pads, wide) = (window.pads(), widened(window, ceil));
    let sums = windows_summed(&pad_spatial(&x.f_reshape(planes)?, &wide, 0.0)?, window)?;
    let ones = x.f_detach()?.f_new_ones(plane, (x.f_kind()?, x.device()))?;
    let beyond = Pads {
        begin: vec![0; window.rank()],
        end: wide.end.iter().zip(&pads.end).map(|(wide, pad)| wide - pad).collect(),
    };
    let counted = if count_pads {
        pad_spatial(&pad_spatial(&ones, &pads, 1.0)?, &beyond, 0.0)?
    } else {
        pad_spatial(&ones, &wide, 0.0)?
    };
    let means = sums.f_div(&windows_summed(&counted, window)?)?;
    let shape = [&size[..2], &means.size()[2..]].concat();
    Ok(means.f_reshape(shape)?)
}

/// Of (P, 1, ...), already padded.
fn windows_summed(x: &Tensor, window: &Sized) -> Result<Tensor, Refusal> {
    let Sized { kernel, strides, dilations, .. } = window;
    let weight =
        x.f_detach()?.f_new_ones([&[1, 1], kernel.as_slice()].concat(), (x.f_kind()?, x.device()))?;
    let none = vec![0; kernel.len()];
    Ok(x.f_convolution(&weight, None::<Tensor>, strides, &none, dilations, false, &none, 1)?)
}
