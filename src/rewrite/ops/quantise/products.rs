//! Products of quantised values: ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul.
//! <https://onnx.ai/onnx/operators/onnx__QLinearConv.html>
//!
//! Their gradients are those of Conv and MatMul over the numbers that the integers stand for (see
//! `quantise` for what the gradient of an integer value is). The QLinear forms round and saturate
//! their result as well. Whether a result saturated is read from the result, which has only the
//! integers: those at either end of the type's range count as saturated, one level in 256 that may
//! not have been.

use ndarray::ArrayD;

use crate::onnx::{Attribute, DType, Tensor};
use crate::rewrite::ops::conv::convolution::{data_gradient, shape_of, sizes};
use crate::rewrite::ops::matmul::{product_shape, transposed};
use crate::rewrite::ops::quantise::scales::{constant, numbers, range, within};
use crate::rewrite::ops::{Call, Operator, Vjp};
use crate::rewrite::{Array, RewriteError, TensorType, Value};

type Types = Result<Vec<TensorType>, String>;

const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("ConvInteger", CONV, infer_conv_integer, conv_integer).costs(conv_cost),
    Operator::differentiable("QLinearConv", CONV, infer_qlinear_conv, qlinear_conv).costs(conv_cost),
    Operator::differentiable("MatMulInteger", &[], infer_matmul_integer, matmul_integer).costs(matmul_cost),
    Operator::differentiable("QLinearMatMul", &[], infer_qlinear_matmul, qlinear_matmul).costs(matmul_cost),
];

fn conv_cost(call: &Call<'_>, output: &TensorType) -> Result<u64, String> {
    let weight = call.input(if call.op() == "QLinearConv" { 3 } else { 1 })?;
    Ok(2 * (output.len() * weight.shape[1..].iter().product::<usize>()) as u64)
}

fn matmul_cost(call: &Call<'_>, output: &TensorType) -> Result<u64, String> {
    let shared = call.input(0)?.shape.last().copied().unwrap_or(1);
    Ok(2 * (output.len() * shared) as u64)
}

fn infer_conv_integer(call: &Call<'_>) -> Types {
    Ok(vec![TensorType::new(DType::I32, sizes(call, call.input(0)?, call.input(1)?)?)])
}

fn infer_qlinear_conv(call: &Call<'_>) -> Types {
    let dtype = call.input(7)?.dtype;
    range(dtype)?;
    Ok(vec![TensorType::new(dtype, sizes(call, call.input(0)?, call.input(3)?)?)])
}

fn infer_matmul_integer(call: &Call<'_>) -> Types {
    Ok(vec![TensorType::new(DType::I32, product_shape(&call.input(0)?.shape, &call.input(1)?.shape)?)])
}

fn infer_qlinear_matmul(call: &Call<'_>) -> Types {
    let dtype = call.input(7)?.dtype;
    range(dtype)?;
    Ok(vec![TensorType::new(dtype, product_shape(&call.input(0)?.shape, &call.input(3)?.shape)?)])
}

/// Where one factor stands: its integers, its scale (where the node has one) and its zero point,
/// and the axis along which there may be one each.
#[derive(Clone, Copy)]
struct Factor {
    integers: usize,
    scale: Option<usize>,
    zero: usize,
    axis: usize,
}

/// The numbers that a constant factor's integers stand for.
fn dequantised(call: &Call<'_>, factor: Factor) -> Result<ArrayD<f64>, String> {
    let array =
        Array::of(call.constant(factor.integers)?).ok_or("has weights that are no numbers")?.to_float();
    let shape = array.shape();
    let zero = numbers(call, factor.zero, factor.axis, shape, 0.0)?;
    let scale = match factor.scale {
        Some(index) => numbers(call, index, factor.axis, shape, 1.0)?,
        None => ArrayD::from_elem(ndarray::IxDyn(&[]), 1.0),
    };
    Ok((array - zero) * scale)
}

/// The same as a value: a constant, or for integers that the image changes, nodes.
fn as_value(vjp: &mut Vjp<'_>, factor: Factor, times: f64) -> Result<Value, RewriteError> {
    if vjp.read(|call| Ok(call.constant(factor.integers).is_ok()))? {
        let array = vjp.read(|call| dequantised(call, factor))? * times;
        let values: Vec<f32> = array.iter().map(|&value| value as f32).collect();
        let tensor = Tensor::f32(array.shape(), values).map_err(|error| vjp.fail(error.to_string()))?;
        return Ok(vjp.tensor("dequantised", tensor));
    }
    let float = ("to", Attribute::Int(DType::F32 as i64));
    let integers = vjp.input(factor.integers)?;
    let mut value = vjp.emit("Cast", &[&integers], [float.clone()])?;
    if !vjp.read(|call| Ok(call.is_left_out(factor.zero)))? {
        let zero = vjp.input(factor.zero)?;
        let zero = vjp.emit("Cast", &[&zero], [float])?;
        value = vjp.emit("Sub", &[&value, &zero], [])?;
    }
    let scale = match factor.scale {
        Some(index) => vjp.read(|call| numbers(call, index, factor.axis, value.shape(), 1.0))? * times,
        None => ArrayD::from_elem(ndarray::IxDyn(&[]), times),
    };
    if scale.iter().all(|&scale| scale == 1.0) {
        return Ok(value);
    }
    let scale = constant(vjp, &scale)?;
    vjp.emit("Mul", &[&value, &scale], [])
}

/// acc = conv(q_x - z_x, q_w - z_w): the Conv's adjoint with q_w - z_w as weights.
fn conv_integer(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    conv(vjp, &dy, Factor { integers: 1, scale: None, zero: 3, axis: 0 }, 1.0)
}

/// q_y = saturate(round(s_x s_w / s_y acc) + z_y): those weights times s_x s_w / s_y.
fn qlinear_conv(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = unsaturated(vjp)?;
    let times = vjp.read(|call| Ok(single(call, 1)? / single(call, 6)?))?;
    conv(vjp, &dy, Factor { integers: 3, scale: Some(4), zero: 5, axis: 0 }, times)
}

fn conv(vjp: &mut Vjp<'_>, dy: &Value, weight: Factor, times: f64) -> Result<(), RewriteError> {
    if vjp.wants(weight.integers) {
        return Err(vjp.fail("cannot be differentiated: its weights depend on the image"));
    }
    let conv = vjp.read(|call| shape_of(call, call.input(0)?, call.input(weight.integers)?))?;
    let shape = vjp.input(0)?.ty.shape;
    let weight = as_value(vjp, weight, times)?;
    let dx = data_gradient(vjp, &conv, &weight, &shape, dy)?;
    vjp.give(0, dx);
    Ok(())
}

fn matmul_integer(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = vjp.cotangent()?;
    let (a, b) = (
        Factor { integers: 0, scale: None, zero: 2, axis: 0 },
        Factor { integers: 1, scale: None, zero: 3, axis: 1 },
    );
    matmul(vjp, &dy, [a, b], [1.0, 1.0])
}

fn qlinear_matmul(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let dy = unsaturated(vjp)?;
    // A factor's numbers have its own scale; the other's, and the result's, are left.
    let scale = |index: usize| vjp.read(|call| single(call, index));
    let (of_a, of_b, of_y) = (scale(1)?, scale(4), scale(6)?);
    let of_b = if vjp.wants(3) { of_b? } else { 1.0 };
    let times = [of_b / of_y, of_a / of_y];
    let (a, b) = (
        Factor { integers: 0, scale: Some(1), zero: 2, axis: 0 },
        Factor { integers: 3, scale: Some(4), zero: 5, axis: 1 },
    );
    matmul(vjp, &dy, [a, b], times)
}

/// dA = dY B^T and dB = A^T dY over matrices; `times` multiplies the A and the B that are read.
fn matmul(vjp: &mut Vjp<'_>, dy: &Value, [a, b]: [Factor; 2], times: [f64; 2]) -> Result<(), RewriteError> {
    if vjp.input(a.integers)?.shape().len() < 2 || vjp.input(b.integers)?.shape().len() < 2 {
        return Err(vjp.fail("cannot be differentiated yet where it multiplies a vector"));
    }
    if vjp.wants(a.integers) {
        let other = as_value(vjp, b, times[1])?;
        let other = transposed(vjp, &other)?;
        let da = vjp.emit("MatMul", &[dy, &other], [])?;
        vjp.give(a.integers, da);
    }
    if vjp.wants(b.integers) {
        let other = as_value(vjp, a, times[0])?;
        let other = transposed(vjp, &other)?;
        let db = vjp.emit("MatMul", &[&other, dy], [])?;
        vjp.give(b.integers, db);
    }
    Ok(())
}

/// The one number of a constant input.
fn single(call: &Call<'_>, index: usize) -> Result<f64, String> {
    match numbers(call, index, 0, &[], 1.0)? {
        one if one.ndim() == 0 => Ok(one.first().copied().unwrap_or(1.0)),
        _ => Err("has several scales where one is read".into()),
    }
}

/// dy where the result lies strictly inside the range of its type.
fn unsaturated(vjp: &mut Vjp<'_>) -> Result<Value, RewriteError> {
    let (dy, y) = (vjp.cotangent()?, vjp.output(0)?);
    let (low, high) = vjp.read(|_| range(y.ty.dtype))?;
    let limit = |value: f32| ArrayD::from_elem(ndarray::IxDyn(&[]), f64::from(value));
    let y = vjp.emit("Cast", &[&y], [("to", Attribute::Int(DType::F32 as i64))])?;
    let inside = within(vjp, &y, &limit(low + 1.0), &limit(high - 1.0))?;
    let none = vjp.scalar(0.0);
    vjp.emit("Where", &[&inside, &dy, &none], [])
}
