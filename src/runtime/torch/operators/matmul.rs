//! Products: MatMul, Gemm and Einsum.

use super::{Attributes, Kernel, MANY, Operator, Refusal, binary, one, standard};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] = &[
    standard("MatMul", 2..=2, |_| binary(|a, b| Ok(a.f_matmul(b)?))),
    standard("Gemm", 2..=3, gemm),
    standard("Einsum", 1..=MANY, einsum),
];

fn einsum(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let equation =
        attributes.text("equation")?.ok_or_else(|| Refusal::new("attribute `equation` is missing"))?;
    one(move |inputs| Ok(Tensor::f_einsum(&equation, &inputs.all()?, None::<i64>)?))
}

fn gemm(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let alpha = attributes.float("alpha")?.unwrap_or(1.0);
    let beta = attributes.float("beta")?.unwrap_or(1.0);
    let turn_a = attributes.flag("transA", false)?;
    let turn_b = attributes.flag("transB", false)?;
    one(move |inputs| {
        let turned = |matrix: &Tensor, turn| {
            if turn { matrix.f_transpose(0, 1) } else { Ok(matrix.shallow_clone()) }
        };
        let product = turned(inputs.get(0)?, turn_a)?.f_mm(&turned(inputs.get(1)?, turn_b)?)?;
        let product = if alpha == 1.0 { product } else { product.f_mul_scalar(alpha)? };
        match inputs.optional(2) {
            Some(c) => Ok(product.f_add(&c.f_mul_scalar(beta)?)?),
            None => Ok(product),
        }
    })
}
