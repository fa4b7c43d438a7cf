//! GridSample over images, by a constant grid.
//! <https://onnx.ai/onnx/operators/onnx__GridSample.html>
//!
//! Every pixel of the result is a weighted sum of a few pixels of the data, the same in every
//! channel, so the adjoint is that of a map along the pixels laid out in one row (see `taps`).
//!
//! Refused: a grid that depends on the image (its rule would have to differentiate the weights),
//! and volumes.

use crate::onnx::Attribute;
use crate::rewrite::ops::taps::{Taps, adjoint};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType, Value};

pub const OPERATORS: &[Operator] =
    &[Operator::differentiable("GridSample", &["align_corners", "mode", "padding_mode"], infer, rule)];

/// Keys' coefficient, fixed by the operator's definition.
const CUBIC: f32 = -0.75;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Linear,
    Nearest,
    Cubic,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

#[derive(Clone, Copy)]
struct Sampling {
    mode: Mode,
    padding: Padding,
    corners: bool,
}

fn sampling(call: &Call<'_>) -> Result<Sampling, String> {
    let mode = match call.text("mode", "linear")? {
        "bilinear" | "linear" => Mode::Linear,
        "nearest" => Mode::Nearest,
        "bicubic" | "cubic" => Mode::Cubic,
        other => return Err(format!("has mode `{other}`, which ONNX does not define")),
    };
    let padding = match call.text("padding_mode", "zeros")? {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => return Err(format!("has `padding_mode` {other}, which ONNX does not define")),
    };
    Ok(Sampling { mode, padding, corners: call.int("align_corners", 0)? != 0 })
}

fn infer(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    let (data, grid) = (call.input(0)?, call.input(1)?);
    let ([n, c, _, _], [batch, h, w, 2]) = (&data.shape[..], &grid.shape[..]) else {
        return Err(format!("samples {data} at {grid}; images of rank 4 and grids of pairs are read"));
    };
    if n != batch {
        return Err(format!("has {batch} grids for {n} images"));
    }
    sampling(call)?;
    Ok(vec![TensorType::new(data.dtype, [*n, *c, *h, *w])])
}

fn rule(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    if vjp.wants(1) {
        return Err(vjp.fail("cannot be differentiated: its grid depends on the image"));
    }
    let grid = vjp.constant(1)?;
    let sampling = vjp.read(sampling)?;
    let (dy, shape) = (vjp.cotangent()?, vjp.input(0)?.ty.shape);
    let places = grid.as_f32().ok_or_else(|| vjp.fail("has a grid that is not of float32"))?;
    let [n, c, h, w] = shape[..] else { return Err(vjp.fail("samples no image of rank 4")) };
    let each = places.len() / n.max(1);
    let taps = |index: usize| -> Taps {
        let own = &places[index * each..(index + 1) * each];
        own.chunks(2).map(|at| sampling.pixel([at[1], at[0]], [h, w])).collect()
    };
    let same = (1..n).all(|index| places[..each] == places[index * each..(index + 1) * each]);
    let flat = vjp.reshape(&dy, &[n, c, each / 2])?;
    let dx = if same {
        adjoint(vjp, &flat, 2, &taps(0), h * w)?
    } else {
        let parts = (0..n).map(|index| {
            let part = vjp.slice(&flat, 0, index, index + 1)?;
            adjoint(vjp, &part, 2, &taps(index), h * w)
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<&Value> = parts.iter().collect();
        vjp.emit("Concat", &parts, [("axis", Attribute::Int(0))])?
    };
    let dx = vjp.reshape(&dx, &shape)?;
    vjp.give(0, dx);
    Ok(())
}

impl Sampling {
    /// The pixels that a pixel of the result reads: those of one axis by those of the other.
    fn pixel(&self, at: [f32; 2], [height, width]: [usize; 2]) -> Vec<(usize, f32)> {
        let (rows, columns) = (self.along(at[0], height), self.along(at[1], width));
        let pairs =
            rows.iter().flat_map(|&(row, a)| columns.iter().map(move |&(column, b)| (row, column, a * b)));
        pairs
            .filter(|pair| pair.2 != 0.0)
            .map(|(row, column, weight)| (row * width + column, weight))
            .collect()
    }

    fn along(&self, at: f32, size: usize) -> Vec<(usize, f32)> {
        let span = size as f32;
        let at = if self.corners { (at + 1.0) / 2.0 * (span - 1.0) } else { ((at + 1.0) * span - 1.0) / 2.0 };
        // Cubic reads around where the coordinate lies and moves each entry inside; the others move
        // the coordinate.
        let at = if self.mode == Mode::Cubic { at } else { self.moved(at, span) };
        let first = at.floor();
        let part = at - first;
        let read: Vec<(f32, f32)> = match self.mode {
            Mode::Nearest => vec![(at.round_ties_even(), 1.0)],
            Mode::Linear => vec![(first, 1.0 - part), (first + 1.0, part)],
            Mode::Cubic => (-1..3).map(|step| (first + step as f32, keys(part - step as f32))).collect(),
        };
        let inside = |(entry, weight): (f32, f32)| {
            let entry = if self.mode == Mode::Cubic { self.moved(entry, span) } else { entry };
            (entry >= 0.0 && entry < span).then_some((entry as usize, weight))
        };
        read.into_iter().filter_map(inside).collect()
    }

    /// A coordinate brought inside, where the padding does that.
    fn moved(&self, at: f32, span: f32) -> f32 {
        let (low, high) = if self.corners { (0.0, span - 1.0) } else { (-0.5, span - 0.5) };
        match self.padding {
            Padding::Zeros => at,
            Padding::Border => at.clamp(0.0, span - 1.0),
            Padding::Reflection if high <= low => 0.0,
            Padding::Reflection => {
                let within = (at - low).rem_euclid(2.0 * (high - low));
                (low + within.min(2.0 * (high - low) - within)).clamp(0.0, span - 1.0)
            }
        }
    }
}

/// Keys' cubic filter.
fn keys(distance: f32) -> f32 {
    let (x, a) = (distance.abs(), CUBIC);
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}
