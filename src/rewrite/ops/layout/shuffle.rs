//! DepthToSpace and SpaceToDepth: channels to blocks of pixels and back.
//! <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>
//!
//! Each moves every element once, so the adjoint is the inverse. SpaceToDepth has one order of
//! channels, DCR's; a Gather brings them into CRD order, and often disappears into the next Conv
//! (see `rewrite::passes::fuse`). Measured, it takes a third of the time of Reshape, Transpose, Reshape.

use crate::onnx::{Attribute, Tensor};
use crate::rewrite::ops::{Call, Operator, Vjp};
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
            let channels = dy.shape()[1];
            let deep = vjp.emit("SpaceToDepth", &[&dy], [("blocksize", Attribute::Int(size as i64))])?;
            let order = vjp.tensor("order", Tensor::ints(&crd_order(channels, size * size)));
            vjp.emit("Gather", &[&deep, &order], [("axis", Attribute::Int(1))])?
        }
        other => return Err(vjp.fail(format!("has mode `{other}`, which ONNX does not define"))),
    };
    vjp.give(0, dx);
    Ok(())
}

/// Where CRD order finds its channels among those of SpaceToDepth: channel c of pixel p stands at
/// c P + p in CRD order and at p C + c in SpaceToDepth's.
fn crd_order(channels: usize, pixels: usize) -> Vec<i64> {
    let place = |channel: usize| move |pixel: usize| (pixel * channels + channel) as i64;
    (0..channels).flat_map(|channel| (0..pixels).map(place(channel))).collect()
}

fn space_to_depth(vjp: &mut Vjp<'_>) -> Result<(), RewriteError> {
    let size = vjp.read(block)?;
    let dy = vjp.cotangent()?;
    let attributes = [("blocksize", Attribute::Int(size as i64)), ("mode", Attribute::from("DCR"))];
    let dx = vjp.emit("DepthToSpace", &[&dy], attributes)?;
    vjp.give(0, dx);
    Ok(())
}
