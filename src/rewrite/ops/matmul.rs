//! Products: MatMul, Gemm, and Einsum of one or two operands.
//! <https://onnx.ai/onnx/operators/onnx__Einsum.html>
//!
//! A product is linear in each factor, so each one's gradient is the product of dy with the other.
//!
//! Refused: Einsum with an ellipsis, with a letter repeated within one operand, or of more than two
//! operands.

use ndarray::{Axis, Ix2};

use super::call::{broadcast, same_dtype};
use super::fold::{Folded, from_all};
use super::{Call, Operator, Vjp};
use crate::onnx::Attribute;
use crate::rewrite::{Array, RewriteError, TensorType, Value};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("MatMul", &[], infer_matmul, matmul).folds(fold_matmul).costs(matmul_cost),
    Operator::differentiable("Gemm", &["alpha", "beta", "transA", "transB"], infer_gemm, gemm)
        .costs(gemm_cost),
    Operator::differentiable("Einsum", &["equation"], infer_einsum, einsum),
];

/// Two per entry of the shared dimension, for every output element.
fn matmul_cost(call: &Call<'_>, output: &TensorType) -> Result<u64, String> {
    let shared = call.input(0)?.shape.last().copied().unwrap_or(1);
    Ok(2 * (output.len() * shared) as u64)
}

fn gemm_cost(call: &Call<'_>, output: &TensorType) -> Result<u64, String> {
    let shared = call.input(0)?.shape[usize::from(call.int("transA", 0)? == 0)];
    Ok(2 * (output.len() * shared) as u64)
}

pub fn infer_matmul(call: &Call<'_>) -> Types {
    let (a, b) = (call.input(0)?, call.input(1)?);
    same_dtype(a.dtype, b.dtype)?;
    Ok(vec![TensorType::new(a.dtype, product_shape(&a.shape, &b.shape)?)])
}

/// The shape of a matrix product; a vector stands for a row on the left and a column on the right.
pub fn product_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let misfit = || format!("cannot multiply matrices of shapes {a:?} and {b:?}");
    let (left, right) = (as_row(a), as_column(b));
    let ([.., rows, shared], [.., other, columns]) = (&left[..], &right[..]) else { return Err(misfit()) };
    if shared != other {
        return Err(misfit());
    }
    let mut shape = broadcast(&left[..left.len() - 2], &right[..right.len() - 2]).map_err(|_| misfit())?;
    shape.extend((a.len() > 1).then_some(*rows));
    shape.extend((b.len() > 1).then_some(*columns));
    Ok(shape)
}

fn as_row(shape: &[usize]) -> Vec<usize> {
    if let [size] = *shape { vec![1, size] } else { shape.to_vec() }
}

fn as_column(shape: &[usize]) -> Vec<usize> {
    if let [size] = *shape { vec![size, 1] } else { shape.to_vec() }
}

/// Y = A B: dA = dY B^T, dB = A^T dY.
fn matmul(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (a, b, dy) = (vjp.input(0)?, vjp.input(1)?, vjp.cotangent()?);
    let (row, column) = (as_row(a.shape()), as_column(b.shape()));
    let mut shape = broadcast(&row[..row.len() - 2], &column[..column.len() - 2]).unwrap_or_default();
    shape.extend([row[row.len() - 2], column[column.len() - 1]]);
    let dy = vjp.reshape(&dy, &shape)?;
    // The reverse pass sums over batches that were stretched; a vector's extra axis goes first.
    if vjp.wants(0) {
        let b = vjp.reshape(&b, &column)?;
        let b = transposed(vjp, &b)?;
        let da = vjp.emit("MatMul", &[&dy, &b], [])?;
        let da = without_axis(vjp, da, a.shape().len() == 1, 2)?;
        vjp.give(0, da);
    }
    if vjp.wants(1) {
        let a = vjp.reshape(&a, &row)?;
        let a = transposed(vjp, &a)?;
        let db = vjp.emit("MatMul", &[&a, &dy], [])?;
        let db = without_axis(vjp, db, b.shape().len() == 1, 1)?;
        vjp.give(1, db);
    }
    Ok(())
}

/// Takes out the axis of size 1 that stands `from_end`, where a vector was read as a matrix.
fn without_axis(
    vjp: &mut Vjp<'_>,
    value: Value,
    vector: bool,
    from_end: usize,
) -> Result<Value, RewriteError> {
    if !vector {
        return Ok(value);
    }
    let mut shape = value.shape().to_vec();
    shape.remove(shape.len() - from_end);
    vjp.reshape(&value, &shape)
}

/// The last two axes exchanged; a constant's are exchanged here and now.
pub fn transposed(vjp: &mut Vjp<'_>, value: &Value) -> Result<Value, RewriteError> {
    let rank = value.shape().len();
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    let known = vjp.known(value).as_ref().and_then(Array::of);
    if let Some(Array::Float(dtype, array)) = known
        && let Some(tensor) = Array::Float(dtype, array.permuted_axes(order.clone())).tensor()
    {
        return Ok(vjp.tensor("transposed", tensor));
    }
    let order = order.into_iter().map(|axis| axis as i64).collect();
    vjp.emit("Transpose", &[value], [("perm", Attribute::Ints(order))])
}

fn fold_matmul(call: &Call<'_>) -> Folded {
    from_all(call, |inputs| {
        let [Array::Float(dtype, a), Array::Float(_, b)] = inputs else { return Ok(None) };
        let (Ok(a), Ok(b)) = (a.clone().into_dimensionality::<Ix2>(), b.clone().into_dimensionality::<Ix2>())
        else {
            return Ok(None);
        };
        // Weights multiplied once; anything larger is left to the runtime.
        let small = a.len().saturating_mul(b.len_of(Axis(1))) < 1 << 26;
        Ok(small.then(|| Array::Float(*dtype, a.dot(&b).into_dyn())))
    })
}

/// What Gemm multiplies: alpha A' B' + beta C, with A' and B' transposed or not.
struct Gemm {
    alpha: f32,
    beta: f32,
    turn: [bool; 2],
}

fn read_gemm(call: &Call<'_>) -> Result<Gemm, String> {
    Ok(Gemm {
        alpha: call.float("alpha", 1.0)?,
        beta: call.float("beta", 1.0)?,
        turn: [call.int("transA", 0)? != 0, call.int("transB", 0)? != 0],
    })
}

fn infer_gemm(call: &Call<'_>) -> Types {
    let (a, b, gemm) = (call.input(0)?, call.input(1)?, read_gemm(call)?);
    if a.rank() != 2 || b.rank() != 2 {
        return Err(format!("needs matrices, not {a} and {b}"));
    }
    let turned = |shape: &[usize], turn: bool| if turn { [shape[1], shape[0]] } else { [shape[0], shape[1]] };
    let (left, right) = (turned(&a.shape, gemm.turn[0]), turned(&b.shape, gemm.turn[1]));
    let shape = product_shape(&left, &right)?;
    if let Some(c) = call.optional(2)?
        && broadcast(&shape, &c.shape).as_ref() != Ok(&shape)
    {
        return Err(format!("adds {c} to a product of shape {shape:?}"));
    }
    Ok(vec![TensorType::new(a.dtype, shape)])
}

/// dA' = alpha dY B'^T and dB' = alpha A'^T dY, each transposed back; dC = beta dY.
fn gemm(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let Gemm { alpha, beta, turn } = vjp.read(read_gemm)?;
    let dy = vjp.cotangent()?;
    for index in [0, 1] {
        if !vjp.wants(index) {
            continue;
        }
        let other = vjp.input(1 - index)?;
        // dy stands on the side of the factor that it replaces, or on the other where that one is
        // transposed: (dY B'^T)^T = B' dY^T.
        let first = (index == 0) != turn[index];
        let (turn_dy, turn_other) = (turn[index], turn[1 - index] == turn[index]);
        let (left, right) = if first { (&dy, &other) } else { (&other, &dy) };
        let (turn_left, turn_right) = if first { (turn_dy, turn_other) } else { (turn_other, turn_dy) };
        let attributes = [
            ("alpha", Attribute::Float(alpha)),
            ("transA", Attribute::Int(i64::from(turn_left))),
            ("transB", Attribute::Int(i64::from(turn_right))),
        ];
        let gradient = vjp.emit("Gemm", &[left, right], attributes)?;
        vjp.give(index, gradient);
    }
    if vjp.wants(2) {
        let beta = vjp.scalar(beta);
        let dc = vjp.emit("Mul", &[&dy, &beta], [])?;
        vjp.give(2, dc);
    }
    Ok(())
}

/// The letters of the operands and of the result.
struct Equation {
    operands: Vec<Vec<char>>,
    result: Vec<char>,
}

fn equation(call: &Call<'_>) -> Result<Equation, String> {
    let text: String = call.text("equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    if text.contains('.') {
        return Err("has an ellipsis in its equation, which is not read".into());
    }
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (text.as_str(), None),
    };
    let operands: Vec<Vec<char>> = left.split(',').map(|letters| letters.chars().collect()).collect();
    let repeats = |letters: &Vec<char>| (1..letters.len()).any(|at| letters[..at].contains(&letters[at]));
    if operands.len() > 2 || operands.iter().any(repeats) {
        return Err(format!(
            "has the equation `{text}`; one or two operands without repeated letters are read"
        ));
    }
    let once = |letter: &char| operands.iter().flatten().filter(|other| *other == letter).count() == 1;
    let result = match right {
        Some(right) => right.chars().collect(),
        None => {
            let mut letters: Vec<char> = operands.iter().flatten().copied().filter(once).collect();
            letters.sort_unstable();
            letters
        }
    };
    Ok(Equation { operands, result })
}

fn infer_einsum(call: &Call<'_>) -> Types {
    let Equation { operands, result } = equation(call)?;
    if operands.len() != call.input_count() {
        return Err(format!("has {} operands for an equation of {}", call.input_count(), operands.len()));
    }
    let mut sizes = std::collections::HashMap::new();
    for (index, letters) in operands.iter().enumerate() {
        let operand = call.input(index)?;
        if operand.rank() != letters.len() {
            return Err(format!("names {} axes of {operand}", letters.len()));
        }
        for (letter, &size) in letters.iter().zip(&operand.shape) {
            if *sizes.entry(*letter).or_insert(size) != size {
                return Err(format!("gives `{letter}` two sizes"));
            }
        }
    }
    let shape: Option<Vec<usize>> = result.iter().map(|letter| sizes.get(letter).copied()).collect();
    let shape = shape.ok_or("has a letter in its result that no operand has")?;
    Ok(vec![TensorType::new(call.input(0)?.dtype, shape)])
}

/// The gradient of an operand is the product of dy with the other operand over the letters that
/// this operand lacks, spread over those that it alone has.
fn einsum(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let Equation { operands, result } = vjp.read(equation)?;
    let dy = vjp.cotangent()?;
    for (index, own) in operands.iter().enumerate().filter(|(index, _)| vjp.wants(*index)).collect::<Vec<_>>()
    {
        let other = operands.get(1 - index.min(1)).filter(|_| operands.len() == 2);
        let there = |letter: &&char| result.contains(letter) || other.is_some_and(|o| o.contains(letter));
        let reached: String = own.iter().filter(there).collect();
        let mut given: Vec<String> = vec![result.iter().collect()];
        let mut values = vec![dy.clone()];
        if let Some(other) = other {
            given.push(other.iter().collect());
            values.push(vjp.input(1 - index)?);
        }
        let text = format!("{}->{reached}", given.join(","));
        let values: Vec<&Value> = values.iter().collect();
        let gradient = vjp.emit("Einsum", &values, [("equation", Attribute::from(text.as_str()))])?;
        let gradient = spread(vjp, gradient, index, own, &reached)?;
        vjp.give(index, gradient);
    }
    Ok(())
}

/// Puts back the axes over which the operand was summed on its own.
fn spread(
    vjp: &mut Vjp<'_>,
    gradient: Value,
    index: usize,
    own: &[char],
    reached: &str,
) -> Result<Value, RewriteError> {
    let shape = vjp.input(index)?.ty.shape;
    let kept = |(letter, &size): (&char, &usize)| if reached.contains(*letter) { size } else { 1 };
    let narrow: Vec<usize> = own.iter().zip(&shape).map(kept).collect();
    if narrow == shape {
        return Ok(gradient);
    }
    let gradient = vjp.reshape(&gradient, &narrow)?;
    let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    let sizes = vjp.ints(&sizes);
    vjp.emit("Expand", &[&gradient, &sizes], [])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_the_shapes_of_numpy() {
        assert_eq!(product_shape(&[2, 1, 3, 4], &[5, 4, 6]), Ok(vec![2, 5, 3, 6]));
        assert_eq!(product_shape(&[4], &[5, 4, 6]), Ok(vec![5, 6]));
        assert_eq!(product_shape(&[3, 4], &[4]), Ok(vec![3]));
        assert_eq!(product_shape(&[4], &[4]), Ok(vec![]));
        assert!(product_shape(&[3, 4], &[3, 4]).is_err());
        assert!(product_shape(&[], &[3]).is_err());
    }
}
