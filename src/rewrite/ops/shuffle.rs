//! DepthToSpace and SpaceToDepth: channels to blocks of pixels and back.
//! <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>
//!
//! Each moves every element once, so the adjoint is the inverse. SpaceToDepth has one order of
//! channels, DCR's; the inverse of CRD order is written as Reshape, Transpose, Reshape.

use super::{Call, Operator, Vjp};
use crate::onnx::Attribute;
use crate::rewrite::{RewriteError, TensorType};

type Types = Result<Vec<TensorType>, String>;

pub const OPERATORS: &[Operator] = &[
    Operator::differentiable("DepthToSpace", &["blocksize", "mode"], infer_depth_to_space, depth_to_space),
    Operator::differentiable("SpaceToDepth", &["blocksize"], infer_space_to_depth, space_to_depth),
];

fn block(call: &Call<'_>) -> Result<usize, String> {
    let block = call.int("blocksize", 0)?;
    let rank = call.input(0)?.rank();
    if rank != 4 {
        return Err(format!("needs data of rank 4, not {rank}"));
    }
    usize::try_from(block)
        .ok()
        .filter(|size| (1..=1 << 15).contains(size))
        .ok_or_else(|| format!("has block size {block}"))
}

fn infer_depth_to_space(call: &Call<'_>) -> Types {
    let (block, data) = (block(call)?, call.input(0)?);
    let [n, c, h, w] = [data.shape[0], data.shape[1], data.shape[2], data.shape[3]];
    if c % (block * block) != 0 {
        return Err(format!("cannot spread {c} channels over blocks of {block} x {block}"));
    }
    Ok(vec![TensorType::new(data.dtype, [n, c / (block * block), h * block, w * block])])
}

fn infer_space_to_depth(call: &Call<'_>) -> Types {
    let (block, data) = (block(call)?, call.input(0)?);
    let [n, c, h, w] = [data.shape[0], data.shape[1], data.shape[2], data.shape[3]];
    if h % block != 0 || w % block != 0 {
        return Err(format!("cannot cut {h} x {w} pixels into blocks of {block} x {block}"));
    }
    Ok(vec![TensorType::new(data.dtype, [n, c * block * block, h / block, w / block])])
}

fn depth_to_space(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let (size, mode) = vjp.read(|call| Ok((block(call)?, call.text("mode", "DCR")?.to_owned())))?;
    let dy = vjp.cotangent()?;
    let dx = match mode.as_str() {
        "DCR" => vjp.emit("SpaceToDepth", &[&dy], [("blocksize", Attribute::Int(size as i64))])?,
        "CRD" => {
            let [n, c, h, w] = [dy.shape()[0], dy.shape()[1], dy.shape()[2], dy.shape()[3]];
            let split = vjp.reshape(&dy, &[n, c, h / size, size, w / size, size])?;
            let perm = Attribute::Ints(vec![0, 1, 3, 5, 2, 4]);
            let moved = vjp.emit("Transpose", &[&split], [("perm", perm)])?;
            vjp.reshape(&moved, &[n, c * size * size, h / size, w / size])?
        }
        other => return Err(vjp.fail(format!("has mode `{other}`, which ONNX does not define"))),
    };
    vjp.give(0, dx);
    Ok(())
}

fn space_to_depth(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let size = vjp.read(block)?;
    let dy = vjp.cotangent()?;
    let attributes = [("blocksize", Attribute::Int(size as i64)), ("mode", Attribute::from("DCR"))];
    let dx = vjp.emit("DepthToSpace", &[&dy], attributes)?;
    vjp.give(0, dx);
    Ok(())
}
