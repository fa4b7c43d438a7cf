//! Reductions: ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2,
//! ReduceSumSquare, ReduceLogSum, ReduceLogSumExp; ArgMax and ArgMin, which give places.
//!
//! A reduction's gradient is spread back over what was reduced: dy keeps, or gets back, the
//! reduced axes as axes of size 1, and broadcasting does the rest.

use super::fold::{Folded, from_all};
use super::{Call, Operator, Vjp};
use crate::onnx::DType;
use crate::rewrite::{Array, RewriteError, TensorType, Value};

/// Below this a norm counts as zero, where it has no gradient: the rule gives zero there, as
/// libtorch does.
const SMALLEST_NORM: f32 = 1e-30;

type Result<T = ()> = std::result::Result<T, RewriteError>;

const ATTRIBUTES: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const PLACES: &[&str] = &["axis", "keepdims", "select_last_index"];
const INDICES: &str = "it gives the place of a value, which moves in steps";

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("ReduceSum", ATTRIBUTES, infer, sum)
        .folds(|call| fold(call, |group| group.iter().sum())),
    Operator::differentiable("ReduceMean", ATTRIBUTES, infer, mean)
        .folds(|call| fold(call, |group| group.iter().sum::<f64>() / group.len() as f64)),
    Operator::differentiable("ReduceMax", ATTRIBUTES, infer, extremum)
        .folds(|call| fold(call, |group| group.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
    Operator::differentiable("ReduceMin", ATTRIBUTES, infer, extremum)
        .folds(|call| fold(call, |group| group.iter().copied().fold(f64::INFINITY, f64::min))),
    Operator::differentiable("ReduceProd", ATTRIBUTES, infer, product)
        .folds(|call| fold(call, |group| group.iter().product())),
    Operator::differentiable("ReduceL1", ATTRIBUTES, infer, l1)
        .folds(|call| fold(call, |group| group.iter().map(|x| x.abs()).sum())),
    Operator::differentiable("ReduceL2", ATTRIBUTES, infer, l2)
        .folds(|call| fold(call, |group| group.iter().map(|x| x * x).sum::<f64>().sqrt())),
    Operator::differentiable("ReduceSumSquare", ATTRIBUTES, infer, sum_square)
        .folds(|call| fold(call, |group| group.iter().map(|x| x * x).sum())),
    Operator::differentiable("ReduceLogSum", ATTRIBUTES, infer, log_sum),
    Operator::differentiable("ReduceLogSumExp", ATTRIBUTES, infer, log_sum_exp),
    Operator::zero("ArgMax", PLACES, infer_place, INDICES),
    Operator::zero("ArgMin", PLACES, infer_place, INDICES),
];

/// The reduced axes, ascending. They are an attribute first (ReduceSum until opset 12, the others
/// until 17) and an input later.
fn axes(call: &Call<'_>) -> std::result::Result<Vec<usize>, String> {
    let rank = call.input(0)?.rank();
    let stated = match call.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => call.constant_ints(1)?,
    };
    let stated = stated.unwrap_or_default();
    if stated.is_empty() {
        let none = call.int("noop_with_empty_axes", 0)? != 0;
        return Ok(if none { Vec::new() } else { (0..rank).collect() });
    }
    let mut axes =
        stated.iter().map(|&axis| call.axis(axis, rank)).collect::<std::result::Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn infer(call: &Call<'_>) -> std::result::Result<Vec<TensorType>, String> {
    let dtype = call.input(0)?.dtype;
    Ok(vec![TensorType::new(dtype, reduced(call, &axes(call)?)?)])
}

/// The input's shape with `axes` reduced: to size 1, or dropped.
fn reduced(call: &Call<'_>, axes: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let keep = call.int("keepdims", 1)? != 0;
    let size = |(axis, &size): (usize, &usize)| match (axes.contains(&axis), keep) {
        (false, _) => Some(size),
        (true, true) => Some(1),
        (true, false) => None,
    };
    Ok(call.input(0)?.shape.iter().enumerate().filter_map(size).collect())
}

fn infer_place(call: &Call<'_>) -> std::result::Result<Vec<TensorType>, String> {
    let axis = call.axis(call.int("axis", 0)?, call.input(0)?.rank())?;
    Ok(vec![TensorType::new(DType::I64, reduced(call, &[axis])?)])
}

/// A value of the output's shape with the reduced axes put back as axes of size 1.
fn kept(vjp: &mut Vjp<'_>, value: &Value) -> Result<Value> {
    let axes = vjp.read(axes)?;
    let mut sizes = vjp.input(0)?.ty.shape;
    axes.into_iter().for_each(|axis| sizes[axis] = 1);
    vjp.reshape(value, &sizes)
}

/// Gives the input the same gradient, of the output's shape, wherever it was reduced.
fn spread(vjp: &mut Vjp<'_>, gradient: &Value) -> Result {
    let gradient = kept(vjp, gradient)?;
    let sizes: Vec<i64> = vjp.input(0)?.shape().iter().map(|&size| size as i64).collect();
    let sizes = vjp.ints(&sizes);
    let dx = vjp.emit("Expand", &[&gradient, &sizes], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// How many elements make one.
fn group(vjp: &Vjp<'_>) -> Result<usize> {
    let (axes, shape) = (vjp.read(axes)?, vjp.input(0)?.ty.shape);
    Ok(axes.into_iter().map(|axis| shape[axis]).product())
}

/// y = sum x: dx = dy everywhere.
fn sum(vjp: &mut Vjp<'_>) -> Result {
    let dy = vjp.cotangent()?;
    spread(vjp, &dy)
}

/// y = sum x / n: dx = dy / n everywhere.
fn mean(vjp: &mut Vjp<'_>) -> Result {
    let (dy, count) = (vjp.cotangent()?, group(vjp)?);
    let share = vjp.scalar(1.0 / count as f32);
    let each = vjp.emit("Mul", &[&dy, &share], [])?;
    spread(vjp, &each)
}

/// y = max x or min x: dy in equal parts to those entries that are y, as libtorch's `amax` does.
fn extremum(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let over: Vec<i64> = vjp.read(axes)?.into_iter().map(|axis| axis as i64).collect();
    let dx = shared_among_ties(vjp, [&x, &y, &dy], &over)?;
    vjp.give(0, dx);
    Ok(())
}

/// Of `x`, its extremum `y` over the axes `over` and the gradient `dy` of that: dy in equal parts
/// at the entries of x that are y.
pub fn shared_among_ties(vjp: &mut Vjp<'_>, [x, y, dy]: [&Value; 3], over: &[i64]) -> Result<Value> {
    let mut sizes = x.shape().to_vec();
    for &axis in over {
        sizes[axis as usize] = 1;
    }
    let (y, dy) = (vjp.reshape(y, &sizes)?, vjp.reshape(dy, &sizes)?);
    let chosen = vjp.emit("Equal", &[x, &y], [])?;
    let chosen = vjp.emit("Cast", &[&chosen], [("to", (x.ty.dtype as i64).into())])?;
    let share = if over.is_empty() {
        dy
    } else {
        let count = vjp.reduce("ReduceSum", &chosen, over, true)?;
        vjp.emit("Div", &[&dy, &count], [])?
    };
    vjp.emit("Mul", &[&chosen, &share], [])
}

/// y = product of x: dx = dy times the product of the others, which is the product of the entries
/// that are not 0, divided by x where that is one of them, unless another entry is 0.
fn product(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let over: Vec<i64> = vjp.read(axes)?.into_iter().map(|axis| axis as i64).collect();
    if over.is_empty() {
        vjp.give(0, dy);
        return Ok(());
    }
    let dy = kept(vjp, &dy)?;
    let (zero, one, half) = (vjp.scalar(0.0), vjp.scalar(1.0), vjp.scalar(0.5));
    let is_zero = vjp.emit("Equal", &[&x, &zero], [])?;
    let factors = vjp.emit("Where", &[&is_zero, &one, &x], [])?;
    let all = vjp.reduce("ReduceProd", &factors, &over, true)?;
    let zeros = vjp.emit("Cast", &[&is_zero], [("to", (x.ty.dtype as i64).into())])?;
    let count = vjp.reduce("ReduceSum", &zeros, &over, true)?;
    let others = vjp.emit("Sub", &[&count, &zeros], [])?;
    let alone = vjp.emit("Less", &[&others, &half], [])?;
    let scaled = vjp.emit("Mul", &[&dy, &all], [])?;
    let rest = vjp.emit("Div", &[&scaled, &factors], [])?;
    let dx = vjp.emit("Where", &[&alone, &rest, &zero], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = sum |x|: dx = dy sign x.
fn l1(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let dy = kept(vjp, &dy)?;
    let sign = vjp.emit("Sign", &[&x], [])?;
    let dx = vjp.emit("Mul", &[&sign, &dy], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = sqrt(sum x^2): dx = x dy / y.
fn l2(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let smallest = vjp.scalar(SMALLEST_NORM);
    let norm = vjp.emit("Max", &[&y, &smallest], [])?;
    let scale = vjp.emit("Div", &[&dy, &norm], [])?;
    let scale = kept(vjp, &scale)?;
    let dx = vjp.emit("Mul", &[&x, &scale], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = sum x^2: dx = 2 x dy.
fn sum_square(vjp: &mut Vjp<'_>) -> Result {
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let two = vjp.scalar(2.0);
    let twice = vjp.emit("Mul", &[&dy, &two], [])?;
    let twice = kept(vjp, &twice)?;
    let dx = vjp.emit("Mul", &[&x, &twice], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// y = ln sum x: dx = dy e^-y everywhere.
fn log_sum(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let minus = vjp.emit("Neg", &[&y], [])?;
    let slope = vjp.emit("Exp", &[&minus], [])?;
    let each = vjp.emit("Mul", &[&dy, &slope], [])?;
    spread(vjp, &each)
}

/// y = ln sum e^x: dx = dy e^(x - y).
fn log_sum_exp(vjp: &mut Vjp<'_>) -> Result {
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let (dy, y) = (kept(vjp, &dy)?, kept(vjp, &y)?);
    let below = vjp.emit("Sub", &[&x, &y], [])?;
    let share = vjp.emit("Exp", &[&below], [])?;
    let dx = vjp.emit("Mul", &[&share, &dy], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// Integers up to here are exact in f64.
const EXACT: i64 = 1 << 53;

/// Reduces every group of constant elements to one.
fn fold(call: &Call<'_>, combine: fn(&[f64]) -> f64) -> Folded {
    from_all(call, |inputs| {
        let Some(data) = inputs.first() else { return Ok(None) };
        if matches!(data, Array::Bool(_))
            || matches!(data, Array::Int(_, values) if values.iter().any(|value| value.abs() > EXACT))
        {
            return Ok(None);
        }
        let over = axes(call)?;
        let shape = reduced(call, &over)?;
        let rank = data.shape().len();
        let order: Vec<usize> =
            (0..rank).filter(|axis| !over.contains(axis)).chain(over.iter().copied()).collect();
        let size: usize = over.iter().map(|&axis| data.shape()[axis]).product();
        let sorted: Vec<f64> = data.to_float().permuted_axes(order).iter().copied().collect();
        if size == 0 {
            return Ok(None);
        }
        let results = sorted.chunks(size).map(combine).collect();
        let array = ndarray::ArrayD::from_shape_vec(shape, results).map_err(|error| error.to_string())?;
        Ok(Array::Float(DType::F64, array).cast(data.dtype()))
    })
}
