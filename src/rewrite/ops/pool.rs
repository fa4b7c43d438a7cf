//! Pooling over windows: AveragePool and MaxPool, in any number of spatial dimensions; and over
//! everything: GlobalAveragePool and GlobalMaxPool.
//! <https://onnx.ai/onnx/operators/onnx__MaxPool.html>
//!
//! An average is a Conv with equal weights, and its adjoint is that Conv's. A maximum takes one
//! entry of its window: a Conv with one weight of 1 per channel lays the entries of a window side
//! by side, ArgMax finds the one taken, the first of several (as ONNX Runtime and libtorch do),
//! and the adjoint of the Conv brings dy back to it. A maximum over everything shares dy among ties
//! instead, as a ReduceMax does.

use super::geometry::{Axis, ints, pads_attribute, windows};
use super::reduce::shared_among_ties;
use super::{Call, Operator, Vjp};
use crate::onnx::{Attribute, DType, Tensor};
use crate::rewrite::{RewriteError, TensorType, Value};

type Result<T = ()> = std::result::Result<T, RewriteError>;
type Types = std::result::Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable(
        "AveragePool",
        &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
        infer,
        average,
    ),
    Operator::differentiable(
        "MaxPool",
        &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"],
        infer_max,
        max,
    ),
    Operator::differentiable("GlobalAveragePool", &[], infer_global, global_average),
    Operator::differentiable("GlobalMaxPool", &[], infer_global, global_max),
];

/// The most entries of a window whose maximum is differentiated: each becomes a channel.
const MAX_WINDOW: usize = 4096;

/// One spatial axis of a pool.
struct Pooled {
    window: Axis,
    /// The input's size.
    size: usize,
    /// The number of windows.
    count: usize,
}

impl Pooled {
    /// From the first entry that a window covers, padding included, to the last.
    fn covered(&self) -> usize {
        (self.count - 1) * self.window.stride + self.window.extent()
    }

    /// Entries that windows cover behind the end of the input.
    fn overhang(&self) -> usize {
        self.covered().saturating_sub(self.window.pads.0 + self.size)
    }

    /// Entries at the end of the input that no window reaches.
    fn unreached(&self) -> usize {
        (self.window.pads.0 + self.size).saturating_sub(self.covered())
    }

    /// How many entries of each window lie before the position `end` of the padded axis and not
    /// before `start`.
    fn counts(&self, start: usize, end: usize) -> Vec<usize> {
        let entries = |index: usize| {
            (0..self.window.kernel).map(move |k| index * self.window.stride + k * self.window.dilation)
        };
        let inside = |at: &usize| (start..end).contains(at);
        (0..self.count).map(|index| entries(index).filter(inside).count()).collect()
    }
}

fn pooled(call: &Call<'_>) -> std::result::Result<Vec<Pooled>, String> {
    let data = call.input(0)?;
    let sizes = data.shape.get(2..).filter(|sizes| !sizes.is_empty()).ok_or("needs spatial axes")?;
    call.ints("kernel_shape")?.ok_or("lacks its `kernel_shape`")?;
    let kernel = super::geometry::per_axis(call, "kernel_shape", sizes.len())?;
    let round_up = call.int("ceil_mode", 0)? != 0;
    let axes = windows(call, &kernel, sizes)?.into_iter().zip(sizes);
    let pooled = axes.map(|(window, &size)| {
        if window.pads.0.max(window.pads.1) >= window.extent() {
            return Err(format!("has padding {:?} as wide as its windows", window.pads));
        }
        let count = if round_up { window.windows_rounded_up(size)? } else { window.windows(size)? };
        Ok(Pooled { window, size, count })
    });
    pooled.collect()
}

/// Whether there is one window, of the whole input.
fn is_global(axes: &[Pooled]) -> bool {
    let whole = |axis: &Pooled| {
        let Axis { kernel, dilation, pads, .. } = axis.window;
        axis.count == 1 && kernel == axis.size && dilation == 1 && pads == (0, 0)
    };
    axes.iter().all(whole)
}

fn infer(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let counts = pooled(call)?.into_iter().map(|axis| axis.count);
    let sizes: Vec<usize> = data.shape[..2].iter().copied().chain(counts).collect();
    Ok(vec![TensorType::new(data.dtype, sizes)])
}

/// The maxima, and where they lie.
fn infer_max(call: &Call<'_>) -> Types {
    let mut types = infer(call)?;
    types.push(TensorType::new(DType::I64, types[0].shape.clone()));
    Ok(types)
}

/// y = sum of a window / n: dx = the sum of dy / n over the windows that an entry lies in.
fn average(vjp: &mut Vjp<'_>) -> Result {
    let axes = vjp.read(pooled)?;
    if is_global(&axes) {
        return global_average(vjp);
    }
    let with_padding = vjp.read(|call| call.int("count_include_pad", 0))? != 0;
    let counts: Vec<Vec<usize>> = axes
        .iter()
        .map(|axis| {
            let Axis { pads: (begin, end), .. } = axis.window;
            let inside = begin + axis.size;
            if with_padding { axis.counts(0, inside + end) } else { axis.counts(begin, inside) }
        })
        .collect();
    let mut dy = vjp.cotangent()?;
    let full = entries(&axes);
    let uniform = counts.iter().all(|counts| counts.iter().all(|&count| Some(&count) == counts.first()));
    let weight = if uniform {
        1.0 / counts.iter().map(|counts| counts[0].max(1)).product::<usize>() as f32
    } else {
        let shares = shares(&counts).map_err(|reason| vjp.fail(reason))?;
        let shares = vjp.tensor("shares", shares);
        dy = vjp.emit("Mul", &[&dy, &shares], [])?;
        1.0
    };
    let channels = dy.shape()[1];
    let kernel = axes.iter().map(|axis| axis.window.kernel);
    let shape: Vec<usize> = [channels, 1].into_iter().chain(kernel).collect();
    let weight = Tensor::f32(&shape, vec![weight; channels * full]);
    let weight = weight.map_err(|error| vjp.fail(error.to_string()))?;
    let weight = vjp.tensor("weight", weight);
    let dx = if axes.iter().all(|axis| axis.window.stride == 1) {
        summed_at_stride_one(vjp, &dy, &weight, &axes)?
    } else {
        summed_back(vjp, &dy, &weight, &axes, channels)?
    };
    vjp.give(0, dx);
    Ok(())
}

/// The entries of a window.
fn entries(axes: &[Pooled]) -> usize {
    axes.iter().map(|axis| axis.window.kernel).product()
}

/// 1 / n for every window, from the numbers of entries along each axis.
fn shares(counts: &[Vec<usize>]) -> std::result::Result<Tensor, String> {
    let mut numbers = vec![1];
    for along in counts {
        numbers = numbers.iter().flat_map(|number| along.iter().map(move |count| number * count)).collect();
    }
    let shape: Vec<usize> = counts.iter().map(Vec::len).collect();
    let shares: Vec<f32> = numbers.into_iter().map(|number: usize| 1.0 / number.max(1) as f32).collect();
    Tensor::f32(&shape, shares).map_err(|error| error.to_string())
}

fn stepping(axes: &[Pooled]) -> [(&'static str, Attribute); 2] {
    [
        ("dilations", Attribute::Ints(ints(axes.iter().map(|axis| axis.window.dilation)))),
        ("kernel_shape", Attribute::Ints(ints(axes.iter().map(|axis| axis.window.kernel)))),
    ]
}

/// The sum over windows with equal weights per channel, brought back at stride 1: a Conv too.
fn summed_at_stride_one(vjp: &mut Vjp<'_>, dy: &Value, weight: &Value, axes: &[Pooled]) -> Result<Value> {
    let reach = |axis: &Pooled, pad: usize| axis.window.extent() - 1 - pad;
    let pads: Vec<_> =
        axes.iter().map(|axis| (reach(axis, axis.window.pads.0), reach(axis, axis.overhang()))).collect();
    let [dilations, kernel] = stepping(axes);
    let group = ("group", Attribute::Int(dy.shape()[1] as i64));
    let pads = ("pads", Attribute::Ints(pads_attribute(&pads)));
    vjp.emit("Conv", &[dy, weight], [dilations, group, kernel, pads])
}

/// The adjoint of laying out windows: every entry of a window goes back to where it came from.
fn summed_back(
    vjp: &mut Vjp<'_>,
    windows: &Value,
    weight: &Value,
    axes: &[Pooled],
    group: usize,
) -> Result<Value> {
    let pads: Vec<_> = axes.iter().map(|axis| (axis.window.pads.0, axis.overhang())).collect();
    let [dilations, kernel] = stepping(axes);
    let attributes = [
        dilations,
        ("group", Attribute::Int(group as i64)),
        kernel,
        ("output_padding", Attribute::Ints(ints(axes.iter().map(Pooled::unreached)))),
        ("pads", Attribute::Ints(pads_attribute(&pads))),
        ("strides", Attribute::Ints(ints(axes.iter().map(|axis| axis.window.stride)))),
    ];
    vjp.emit("ConvTranspose", &[windows, weight], attributes)
}

/// y = max of a window: dx = the sum of dy over the windows whose maximum an entry is.
fn max(vjp: &mut Vjp<'_>) -> Result {
    let axes = vjp.read(pooled)?;
    if is_global(&axes) {
        return global_max(vjp);
    }
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let full = entries(&axes);
    if full > MAX_WINDOW {
        let what = "cannot be differentiated: its window of";
        return Err(vjp.fail(format!("{what} {full} entries is larger than {MAX_WINDOW}")));
    }
    let planes = x.shape()[0] * x.shape()[1];
    let apart = |spatial: &[usize]| [&[planes, 1], spatial].concat();
    let kernel: Vec<usize> = axes.iter().map(|axis| axis.window.kernel).collect();
    let chosen = one_hot(full, &kernel).map_err(|error| vjp.fail(error))?;
    let chosen = vjp.tensor("entries", chosen);
    let laid = vjp.reshape(&x, &apart(&x.shape()[2..]))?;
    let laid = padded(vjp, &laid, &axes)?;
    let [dilations, kernel] = stepping(&axes);
    let strides = ("strides", Attribute::Ints(ints(axes.iter().map(|axis| axis.window.stride))));
    let laid = vjp.emit("Conv", &[&laid, &chosen], [dilations, kernel, strides])?;
    let winner = vjp.emit("ArgMax", &[&laid], [("axis", Attribute::Int(1))])?;
    let numbers = numbers(full, axes.len()).map_err(|error| vjp.fail(error))?;
    let numbers = vjp.tensor("numbers", numbers);
    let wins = vjp.emit("Equal", &[&winner, &numbers], [])?;
    let dy = vjp.reshape(&dy, &apart(&dy.shape()[2..]))?;
    let zero = vjp.scalar(0.0);
    let won = vjp.emit("Where", &[&wins, &dy, &zero], [])?;
    let dx = summed_back(vjp, &won, &chosen, &axes, 1)?;
    let dx = vjp.reshape(&dx, x.shape())?;
    vjp.give(0, dx);
    Ok(())
}

/// Puts the least number around, where windows reach beyond the input: it never wins, and times a
/// weight of 0 it is 0.
fn padded(vjp: &mut Vjp<'_>, x: &Value, axes: &[Pooled]) -> Result<Value> {
    let around = axes.iter().map(|axis| (axis.window.pads.0, axis.overhang()));
    let pads: Vec<_> = [(0, 0), (0, 0)].into_iter().chain(around).collect();
    if pads.iter().all(|&pad| pad == (0, 0)) {
        return Ok(x.clone());
    }
    let (pads, least) = (vjp.ints(&pads_attribute(&pads)), vjp.scalar(f32::MIN));
    vjp.emit("Pad", &[x, &pads, &least], [])
}

/// Weights (K, 1, kernel): channel k takes the k-th entry.
fn one_hot(full: usize, kernel: &[usize]) -> std::result::Result<Tensor, String> {
    let mut values = vec![0.0; full * full];
    values.iter_mut().step_by(full + 1).for_each(|value| *value = 1.0);
    Tensor::f32(&[&[full, 1], kernel].concat(), values).map_err(|error| error.to_string())
}

/// 0, 1, 2, ... along the channels.
fn numbers(full: usize, axes: usize) -> std::result::Result<Tensor, String> {
    let mut shape = vec![1; axes + 2];
    shape[1] = full;
    Tensor::i64(&shape, (0..full as i64).collect::<Vec<_>>()).map_err(|error| error.to_string())
}

fn infer_global(call: &Call<'_>) -> Types {
    let mut ty = call.input(0)?.clone();
    let spatial = ty.shape.get_mut(2..).filter(|sizes| !sizes.is_empty()).ok_or("needs spatial axes")?;
    spatial.fill(1);
    Ok(vec![ty])
}

/// y = sum x / n: dx = dy / n everywhere.
fn global_average(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let share = vjp.scalar(1.0 / x.shape()[2..].iter().product::<usize>() as f32);
    let each = vjp.emit("Mul", &[&dy, &share], [])?;
    let sizes = vjp.ints(&ints(x.shape().iter().copied()));
    let dx = vjp.emit("Expand", &[&each, &sizes], [])?;
    vjp.give(0, dx);
    Ok(())
}

fn global_max(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let over: Vec<i64> = (2..x.ty.rank() as i64).collect();
    let dx = shared_among_ties(vjp, [&x, &y, &dy], &over)?;
    vjp.give(0, dx);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Axis = Axis { kernel: 3, stride: 2, dilation: 1, pads: (1, 0) };

    #[test]
    fn what_windows_cover_is_counted() {
        // Padded to six entries; three windows rounded up cover seven.
        let axis = Pooled { window: WINDOW, size: 5, count: WINDOW.windows_rounded_up(5).unwrap() };
        assert_eq!((axis.count, axis.overhang(), axis.unreached()), (3, 1, 0));
        assert_eq!(axis.counts(1, 6), [2, 3, 2]);
        assert_eq!(axis.counts(0, 6), [3, 3, 2]);
        // Rounded down, the last entry is not reached.
        let axis = Pooled { window: WINDOW, size: 5, count: WINDOW.windows(5).unwrap() };
        assert_eq!((axis.count, axis.overhang(), axis.unreached()), (2, 0, 1));
    }

    #[test]
    fn shares_multiply_over_axes() {
        let shares = shares(&[vec![1, 2], vec![2, 4]]).unwrap();
        assert_eq!((shares.shape(), shares.as_f32().unwrap()), (&[2, 2][..], &[0.5, 0.25, 0.25, 0.125][..]));
    }
}
