//! Normalisation by statistics of the image: InstanceNormalization, LayerNormalization,
//! GroupNormalization, RMSNormalization, LpNormalization.
//!
//! With c = x - mean x, v = mean c^2 + epsilon and y = c / sqrt v over a group of entries,
//! dx = g - mean g - c mean(g c) / v for g = dy / sqrt v. RMSNormalization leaves the mean in, and
//! mean g with it. A scale that is the same for a whole group is put into g for free.
//!
//! Refused: scales and biases that depend on the image, and gradients through the statistics that a
//! LayerNormalization can give.

use crate::rewrite::ops::call::same_as_input;
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{RewriteError, TensorType, Value};

type Result<T = ()> = std::result::Result<T, RewriteError>;
type Types = std::result::Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("InstanceNormalization", &["epsilon"], infer_instance, instance),
    Operator::differentiable("LayerNormalization", &["axis", "epsilon", "stash_type"], infer_layer, layer),
    Operator::differentiable(
        "GroupNormalization",
        &["epsilon", "num_groups", "stash_type"],
        infer_group,
        group,
    ),
    Operator::differentiable("RMSNormalization", &["axis", "epsilon", "stash_type"], infer_rms, rms),
    Operator::differentiable("LpNormalization", &["axis", "p"], infer_lp, lp),
];

/// Norms below this count as zero: there the gradient is zero.
const SMALLEST_NORM: f32 = 1e-30;

/// The default of every normalisation.
pub const EPSILON: f32 = 1e-5;

/// Fails unless input `index`, where given, has one number for each of `count`.
pub fn one_each(call: &Call<'_>, index: usize, count: usize) -> std::result::Result<(), String> {
    match call.optional(index)? {
        Some(ty) if ty.shape != [count] => {
            Err(format!("has an input {index} of shape {:?}; it should have {count} numbers", ty.shape))
        }
        _ => Ok(()),
    }
}

/// Fails if one of `parameters` depends on the image.
pub fn fixed_parameters(vjp: &Vjp<'_>, parameters: std::ops::RangeInclusive<usize>) -> Result {
    if parameters.into_iter().any(|index| vjp.wants(index)) {
        return Err(vjp.fail("cannot be differentiated: its scale or bias depends on the image"));
    }
    Ok(())
}

/// The parameter at `index` under another shape; at once where it is constant.
fn shaped(vjp: &mut Vjp<'_>, index: usize, shape: &[usize]) -> Result<Value> {
    if let Some(tensor) = vjp.constant(index).ok().and_then(|tensor| tensor.reshaped(shape).ok()) {
        return Ok(vjp.tensor("scale", tensor));
    }
    let value = vjp.input(index)?;
    vjp.reshape(&value, shape)
}

/// (C, 1, 1, ...): along the channels of a tensor of rank `rank`.
pub fn along_channels(channels: usize, rank: usize) -> Vec<usize> {
    let mut shape = vec![1; rank - 1];
    shape[0] = channels;
    shape
}

/// What a normalisation does to each group of entries.
struct Statistics {
    /// The axes of a group.
    over: Vec<i64>,
    epsilon: f32,
    /// Whether the mean is taken off.
    centred: bool,
}

/// The gradient with respect to `x`, of which `dy` is that with respect to its normalised values
/// before they are multiplied by `scale`, which is the same for a whole group.
fn through(
    vjp: &mut Vjp<'_>,
    x: &Value,
    dy: &Value,
    how: &Statistics,
    scale: Option<&Value>,
) -> Result<Value> {
    let over = how.over.as_slice();
    let epsilon = vjp.scalar(how.epsilon);
    let mut apart = x.clone();
    if how.centred {
        let mean = vjp.reduce("ReduceMean", x, over, true)?;
        apart = vjp.emit("Sub", &[x, &mean], [])?;
    }
    let square = vjp.emit("Mul", &[&apart, &apart], [])?;
    let variance = vjp.reduce("ReduceMean", &square, over, true)?;
    let variance = vjp.emit("Add", &[&variance, &epsilon], [])?;
    let deviation = vjp.emit("Sqrt", &[&variance], [])?;
    let g = match scale {
        None => vjp.emit("Div", &[dy, &deviation], [])?,
        Some(scale) => {
            let factor = vjp.emit("Div", &[scale, &deviation], [])?;
            vjp.emit("Mul", &[dy, &factor], [])?
        }
    };
    let along = vjp.emit("Mul", &[&g, &apart], [])?;
    let along = vjp.reduce("ReduceMean", &along, over, true)?;
    let rate = vjp.emit("Div", &[&along, &variance], [])?;
    let along = vjp.emit("Mul", &[&apart, &rate], [])?;
    let dx = vjp.emit("Sub", &[&g, &along], [])?;
    if !how.centred {
        return Ok(dx);
    }
    let mean = vjp.reduce("ReduceMean", &g, over, true)?;
    vjp.emit("Sub", &[&dx, &mean], [])
}

fn infer_instance(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    if data.rank() < 3 {
        return Err("needs an input of channels and at least one axis more".into());
    }
    (1..3).try_for_each(|index| one_each(call, index, data.shape[1]))?;
    same_as_input(call)
}

fn instance(vjp: &mut Vjp<'_>) -> Result {
    fixed_parameters(vjp, 1..=2)?;
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let rank = x.ty.rank();
    let epsilon = vjp.read(|call| call.float("epsilon", EPSILON))?;
    let scale = shaped(vjp, 1, &along_channels(x.shape()[1], rank))?;
    let how = Statistics { over: (2..rank as i64).collect(), epsilon, centred: true };
    let dx = through(vjp, &x, &dy, &how, Some(&scale))?;
    vjp.give(0, dx);
    Ok(())
}

/// The axes from `axis` on, over which a layer is normalised.
fn layer_axis(call: &Call<'_>) -> std::result::Result<usize, String> {
    call.axis(call.int("axis", -1)?, call.input(0)?.rank())
}

fn infer_rms(call: &Call<'_>) -> Types {
    let data = call.input(0)?;
    let axis = layer_axis(call)?;
    for index in 1..call.input_count() {
        if let Some(ty) = call.optional(index)?
            && crate::rewrite::ops::call::broadcast(&data.shape[axis..], &ty.shape)? != data.shape[axis..]
        {
            return Err(format!("has an input {index} of shape {:?}, larger than its layer", ty.shape));
        }
    }
    Ok(vec![data.clone()])
}

/// The result, the mean and the inverse of the deviation.
fn infer_layer(call: &Call<'_>) -> Types {
    let (mut types, data, axis) = (infer_rms(call)?, call.input(0)?, layer_axis(call)?);
    let mut statistics = data.clone();
    statistics.shape[axis..].fill(1);
    types.extend([statistics.clone(), statistics]);
    Ok(types)
}

fn layer(vjp: &mut Vjp<'_>) -> Result {
    if vjp.cotangent_of(1)?.is_some() || vjp.cotangent_of(2)?.is_some() {
        return Err(vjp.fail("cannot be differentiated: the result depends on its mean or deviation output"));
    }
    normalised_layer(vjp, true)
}

fn rms(vjp: &mut Vjp<'_>) -> Result {
    normalised_layer(vjp, false)
}

fn normalised_layer(vjp: &mut Vjp<'_>, centred: bool) -> Result {
    fixed_parameters(vjp, 1..=2)?;
    let (dy, x, scale) = (vjp.cotangent()?, vjp.input(0)?, vjp.input(1)?);
    let epsilon = vjp.read(|call| call.float("epsilon", EPSILON))?;
    let axis = vjp.read(layer_axis)?;
    let how = Statistics { over: (axis as i64..x.ty.rank() as i64).collect(), epsilon, centred };
    let dx = if scale.ty.len() == 1 {
        through(vjp, &x, &dy, &how, Some(&scale))?
    } else {
        let scaled = vjp.emit("Mul", &[&dy, &scale], [])?;
        through(vjp, &x, &scaled, &how, None)?
    };
    vjp.give(0, dx);
    Ok(())
}

/// The number of groups, and whether the parameters are per channel (since opset 21) or per group.
fn groups(call: &Call<'_>) -> std::result::Result<(usize, bool), String> {
    let data = call.input(0)?;
    let groups = usize::try_from(call.int("num_groups", 0)?).unwrap_or(0);
    let channels = data.shape.get(1).copied().unwrap_or(0);
    if data.rank() < 3 || groups == 0 || channels % groups != 0 {
        return Err(format!("has {groups} groups for an input of shape {:?}", data.shape));
    }
    Ok((groups, call.opset() >= 21))
}

fn infer_group(call: &Call<'_>) -> Types {
    let (groups, per_channel) = groups(call)?;
    let count = if per_channel { call.input(0)?.shape[1] } else { groups };
    (1..3).try_for_each(|index| one_each(call, index, count))?;
    same_as_input(call)
}

fn group(vjp: &mut Vjp<'_>) -> Result {
    fixed_parameters(vjp, 1..=2)?;
    let (groups, per_channel) = vjp.read(groups)?;
    let epsilon = vjp.read(|call| call.float("epsilon", EPSILON))?;
    let (mut dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let (batch, channels) = (x.shape()[0], x.shape()[1]);
    let mut scale = None;
    if per_channel {
        let each = shaped(vjp, 1, &along_channels(channels, x.ty.rank()))?;
        dy = vjp.emit("Mul", &[&dy, &each], [])?;
    } else {
        scale = Some(shaped(vjp, 1, &[groups, 1])?);
    }
    let grouped = [batch, groups, x.ty.len() / (batch * groups).max(1)];
    let (flat, dy) = (vjp.reshape(&x, &grouped)?, vjp.reshape(&dy, &grouped)?);
    let how = Statistics { over: vec![2], epsilon, centred: true };
    let dx = through(vjp, &flat, &dy, &how, scale.as_ref())?;
    let dx = vjp.reshape(&dx, x.shape())?;
    vjp.give(0, dx);
    Ok(())
}

/// The axis, and p.
fn norm(call: &Call<'_>) -> std::result::Result<(i64, i64), String> {
    let axis = call.axis(call.int("axis", -1)?, call.input(0)?.rank())?;
    match call.int("p", 2)? {
        p @ (1 | 2) => Ok((axis as i64, p)),
        p => Err(format!("has `p` {p}; ONNX defines 1 and 2")),
    }
}

fn infer_lp(call: &Call<'_>) -> Types {
    norm(call)?;
    same_as_input(call)
}

/// y = x / n: dx = (dy - n' sum dy y) / n, where n' = y for the Euclidean norm n and sign x for
/// the sum of sizes.
fn lp(vjp: &mut Vjp<'_>) -> Result {
    let (axis, p) = vjp.read(norm)?;
    let (dy, y, x) = (vjp.cotangent()?, vjp.output(0)?, vjp.input(0)?);
    let (op, slope) = match p {
        1 => ("ReduceL1", vjp.emit("Sign", &[&x], [])?),
        _ => ("ReduceL2", y.clone()),
    };
    let norm = vjp.reduce(op, &x, &[axis], true)?;
    let (smallest, infinite) = (vjp.scalar(SMALLEST_NORM), vjp.scalar(f32::INFINITY));
    let is_there = vjp.emit("Greater", &[&norm, &smallest], [])?;
    let norm = vjp.emit("Where", &[&is_there, &norm, &infinite], [])?;
    let along = vjp.emit("Mul", &[&dy, &y], [])?;
    let along = vjp.reduce("ReduceSum", &along, &[axis], true)?;
    let along = vjp.emit("Mul", &[&slope, &along], [])?;
    let apart = vjp.emit("Sub", &[&dy, &along], [])?;
    let dx = vjp.emit("Div", &[&apart, &norm], [])?;
    vjp.give(0, dx);
    Ok(())
}
