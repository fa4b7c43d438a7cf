//! Quantised values: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
//! <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html>
//!
//! Rounding has a derivative of zero almost everywhere, which says nothing of a network trained
//! without it. These rules are straight-through: rounding counts as the identity, and saturation
//! as the clipping that it is. The gradient with respect to an integer value is that with respect
//! to the real number it stands for before rounding, in float32; so it passes through integer
//! values, which nothing else does. A scale that is computed from the image counts as constant where the
//! quantised values are, too: as rounding is the identity, y = s (x / s) does not depend on it.
//!
//! Refused: blocks of scales, and zero points or scales of QuantizeLinear that are not constant.

use ndarray::{ArrayD, IxDyn};

use crate::onnx::{DType, Node, Tensor};
use crate::rewrite::ops::fold::{Folded, one};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType, Value};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable(
        "QuantizeLinear",
        &["axis", "block_size", "output_dtype", "precision", "saturate"],
        infer_quantize,
        quantize,
    )
    .folds(fold_quantize),
    Operator::differentiable(
        "DequantizeLinear",
        &["axis", "block_size", "output_dtype"],
        infer_dequantize,
        dequantize,
    )
    .folds(fold_dequantize),
    Operator::differentiable("DynamicQuantizeLinear", &[], infer_dynamic, dynamic),
];

/// Whether a node is left in the graph even where its result is known: runtimes make integer
/// kernels of weights that are dequantised in it.
pub fn stays(node: &Node) -> bool {
    node.op == "DequantizeLinear" && node.domain.is_empty()
}

/// The smallest and the largest value of a quantised type.
pub fn range(dtype: DType) -> Result<(f32, f32), String> {
    match dtype {
        DType::U8 => Ok((0.0, 255.0)),
        DType::I8 => Ok((-128.0, 127.0)),
        DType::U16 => Ok((0.0, 65535.0)),
        DType::I16 => Ok((-32768.0, 32767.0)),
        other => Err(format!("quantises to {other}; integers of 8 and 16 bits are read")),
    }
}

/// The constant numbers of input `index`, laid along `axis` of a value of this shape where there
/// are several, as `default` where there are none.
pub fn numbers(
    call: &Call<'_>,
    index: usize,
    axis: usize,
    shape: &[usize],
    default: f64,
) -> Result<ArrayD<f64>, String> {
    if call.is_left_out(index) {
        return Ok(ArrayD::from_elem(IxDyn(&[]), default));
    }
    let array = Array::of(call.constant(index)?).ok_or("has a scale or zero point that is no number")?;
    let array = array.to_float();
    let along = match array.len() {
        1 => vec![],
        count if array.ndim() == 1 => {
            let mut along = vec![1; shape.len()];
            if shape.get(axis) != Some(&count) {
                return Err(format!("has {count} scales or zero points for a value of shape {shape:?}"));
            }
            along[axis] = count;
            along
        }
        _ => return Err("quantises in blocks (scales of more than one axis), which is not read".into()),
    };
    array.into_shape_with_order(IxDyn(&along)).map_err(|error| error.to_string())
}

/// The axis along which there may be a scale each.
fn scale_axis(call: &Call<'_>) -> Result<usize, String> {
    let rank = call.input(0)?.rank();
    if call.int("block_size", 0)? != 0 {
        return Err("quantises in blocks (`block_size`), which is not read".into());
    }
    // The axis means nothing where there is one scale, and may not exist then.
    Ok(call.axis(call.int("axis", 1)?, rank).unwrap_or(rank))
}

/// Scale and zero point of a node whose inputs 1 and 2 they are.
fn parameters(call: &Call<'_>) -> Result<[ArrayD<f64>; 2], String> {
    let (axis, shape) = (scale_axis(call)?, &call.input(0)?.shape);
    Ok([numbers(call, 1, axis, shape, 1.0)?, numbers(call, 2, axis, shape, 0.0)?])
}

fn infer_quantize(call: &Call<'_>) -> Types {
    let stated = i32::try_from(call.int("output_dtype", 0)?).ok().filter(|&code| code != 0);
    let dtype = match (call.optional(2)?, stated) {
        (Some(zero), _) => zero.dtype,
        (None, Some(code)) => {
            DType::from_code(code).ok_or("quantises to a type that ONNX does not define")?
        }
        (None, None) => DType::U8,
    };
    range(dtype)?;
    scale_axis(call)?;
    Ok(vec![TensorType::new(dtype, call.input(0)?.shape.clone())])
}

/// q = saturate(round(x / s) + z): dx = dq / s where x / s + z stays in the type's range, give or
/// take the half that rounding takes.
fn quantize(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let [scale, zero] = vjp.read(parameters)?;
    let dtype = vjp.output(0)?.ty.dtype;
    let (low, high) = vjp.read(|_| range(dtype))?;
    let at = |limit: f64| (limit - &zero) * &scale;
    let (low, high) = (at(f64::from(low) - 0.5), at(f64::from(high) + 0.5));
    let (dy, x) = (vjp.cotangent()?, vjp.input(0)?);
    let inside = within(vjp, &x, &low, &high)?;
    let scale = constant(vjp, &scale)?;
    let dx = vjp.emit("Div", &[&dy, &scale], [])?;
    let none = vjp.scalar(0.0);
    let dx = vjp.emit("Where", &[&inside, &dx, &none], [])?;
    vjp.give(0, dx);
    Ok(())
}

/// Where a value lies between two limits.
pub fn within(
    vjp: &mut Vjp<'_>,
    value: &Value,
    low: &ArrayD<f64>,
    high: &ArrayD<f64>,
) -> Result<Value, RewriteError> {
    let single = low.ndim() == 0 && high.ndim() == 0;
    let (low, high) = (constant(vjp, low)?, constant(vjp, high)?);
    let clipped = if single {
        vjp.emit("Clip", &[value, &low, &high], [])?
    } else {
        let above = vjp.emit("Max", &[value, &low], [])?;
        vjp.emit("Min", &[&above, &high], [])?
    };
    vjp.emit("Equal", &[&clipped, value], [])
}

/// Numbers as a float32 constant.
pub fn constant(vjp: &mut Vjp<'_>, numbers: &ArrayD<f64>) -> Result<Value, RewriteError> {
    if let (0, Some(&number)) = (numbers.ndim(), numbers.first()) {
        return Ok(vjp.scalar(number as f32));
    }
    let values: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    let tensor = Tensor::f32(numbers.shape(), values).map_err(|error| vjp.fail(error.to_string()))?;
    Ok(vjp.tensor("scales", tensor))
}

fn infer_dequantize(call: &Call<'_>) -> Types {
    scale_axis(call)?;
    Ok(vec![TensorType::new(call.input(1)?.dtype, call.input(0)?.shape.clone())])
}

/// y = s (q - z): dq = s dy, and ds = (q - z) dy where q does not depend on the image.
fn dequantize(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    if vjp.wants(0) {
        vjp.counts_as_constant(1);
    } else {
        return by_scale(vjp, &dy);
    }
    let scale = match vjp.read(|call| Ok(call.constant(1).is_ok()))? {
        true => {
            let [scale, _] = vjp.read(parameters)?;
            constant(vjp, &scale)?
        }
        false if vjp.input(1)?.ty.len() == 1 => vjp.input(1)?,
        false => return Err(vjp.fail("cannot be differentiated: its scales depend on the image")),
    };
    let dq = vjp.emit("Mul", &[&dy, &scale], [])?;
    vjp.give(0, dq);
    Ok(())
}

fn by_scale(vjp: &mut Vjp<'_>, dy: &Value) -> Result<(), RewriteError> {
    if vjp.input(1)?.ty.len() != 1 {
        return Err(vjp.fail("cannot be differentiated: its scales depend on the image"));
    }
    // With a scale of one it gives q - z.
    let one = vjp.scalar(1.0);
    let q = vjp.input(0)?;
    let centred = match vjp.read(|call| Ok(call.is_left_out(2)))? {
        true => vjp.emit("DequantizeLinear", &[&q, &one], [])?,
        false => {
            let zero = vjp.input(2)?;
            vjp.emit("DequantizeLinear", &[&q, &one, &zero], [])?
        }
    };
    let products = vjp.emit("Mul", &[dy, &centred], [])?;
    let sum = vjp.reduce("ReduceSum", &products, &[], false)?;
    let shape = vjp.input(1)?.ty.shape;
    let ds = vjp.reshape(&sum, &shape)?;
    vjp.give(1, ds);
    Ok(())
}

/// The quantised values, their scale and their zero point.
fn infer_dynamic(call: &Call<'_>) -> Types {
    let shape = call.input(0)?.shape.clone();
    Ok(vec![
        TensorType::new(DType::U8, shape),
        TensorType::new(DType::F32, []),
        TensorType::new(DType::U8, []),
    ])
}

/// q = round(x / s) + z with s and z such that nothing saturates: dx = dq / s.
fn dynamic(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    if let Some(dq) = vjp.cotangent_of(0)? {
        let scale = vjp.output(1)?;
        // tract gives a tensor of zeros a scale of zero (ONNX Runtime, of one); dq is zero there, too.
        let least = vjp.scalar(1e-30);
        let scale = vjp.emit("Max", &[&scale, &least], [])?;
        let dx = vjp.emit("Div", &[&dq, &scale], [])?;
        vjp.give(0, dx);
    }
    Ok(())
}

fn fold_quantize(call: &Call<'_>) -> Folded {
    let Some(Array::Float(_, x)) = call.constant(0).ok().and_then(Array::of) else { return Ok(None) };
    if call.constant(1).is_err() || (!call.is_left_out(2) && call.constant(2).is_err()) {
        return Ok(None);
    }
    let [scale, zero] = parameters(call)?;
    let dtype = infer_quantize(call)?.remove(0).dtype;
    let (low, high) = range(dtype)?;
    // In float32, as runtimes do it: a tie hangs on the last bit.
    let rounded = (&x / &scale).mapv(|value| f64::from(value as f32).round_ties_even()) + &zero;
    one(&Array::Int(dtype, rounded.mapv(|value| value.clamp(low.into(), high.into()) as i64)))
}

fn fold_dequantize(call: &Call<'_>) -> Folded {
    let Some(Array::Int(_, q)) = call.constant(0).ok().and_then(Array::of) else { return Ok(None) };
    if call.constant(1).is_err() || (!call.is_left_out(2) && call.constant(2).is_err()) {
        return Ok(None);
    }
    let [scale, zero] = parameters(call)?;
    let dtype = call.input(1)?.dtype;
    one(&Array::Float(dtype, (q.mapv(|value| value as f64) - &zero) * &scale))
}
