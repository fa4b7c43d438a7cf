//! Between channels and space: DepthToSpace and SpaceToDepth.

use crate::runtime::torch::operators::{Attributes, Kernel, Operator, Refusal, standard, unary};
use crate::torch::Tensor;

pub(super) const OPERATORS: &[Operator] =
    &[standard("DepthToSpace", 1..=1, depth_to_space), standard("SpaceToDepth", 1..=1, space_to_depth)];

fn block(attributes: &Attributes<'_>) -> Result<i64, Refusal> {
    match attributes.int("blocksize")? {
        Some(block) if block > 0 => Ok(block),
        other => Err(Refusal::new(format!("attribute `blocksize` is {other:?}, expected 1 or more"))),
    }
}

fn sizes(x: &Tensor) -> Result<[i64; 4], Refusal> {
    let size = x.size();
    size.as_slice()
        .try_into()
        .map_err(|_| Refusal::new(format!("an input of shape {size:?} is not (N, C, H, W)")))
}

/// CRD is libtorch's pixel shuffle; DCR has the block's offset before the channel.
fn depth_to_space(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let block = block(attributes)?;
    if attributes.choice("mode", &["DCR", "CRD"])? == "CRD" {
        return unary(move |x| Ok(x.f_pixel_shuffle(block)?));
    }
    unary(move |x| {
        let [n, c, h, w] = sizes(x)?;
        let split = x.f_reshape([n, block, block, c / (block * block), h, w])?;
        Ok(split.f_permute([0i64, 3, 4, 1, 5, 2])?.f_reshape([n, -1, h * block, w * block])?)
    })
}

fn space_to_depth(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let block = block(attributes)?;
    unary(move |x| {
        let [n, c, h, w] = sizes(x)?;
        let split = x.f_reshape([n, c, h / block, block, w / block, block])?;
        Ok(split.f_permute([0i64, 3, 5, 1, 2, 4])?.f_reshape([n, -1, h / block, w / block])?)
    })
}
