//! The arithmetic of a model: what no implementation can do without.

use crate::onnx::Model;
use crate::rewrite::error::RewriteError;
use crate::rewrite::ops;
use crate::rewrite::types::infer;

/// The multiplications and additions of one run of a model of fixed size. Only operators whose
/// cost grows with a kernel or a shared dimension are counted (convolutions, matrix products);
/// what works element by element is bound by memory and left out.
pub fn flops(model: &Model) -> Result<u64, RewriteError> {
    let types = infer(model)?;
    let mut total = 0;
    for node in &model.graph.nodes {
        let call = types.call(node);
        let fail = |reason: String| RewriteError::at(node, call.inputs(), reason);
        let output = node.outputs.first().and_then(|name| types.get(name));
        if let (Ok(operator), Some(output)) = (ops::find(node, types.opset()), output) {
            total += operator.cost.map_or(Ok(0), |cost| cost(&call, output)).map_err(fail)?;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::specialise;
    use crate::zoo::Edsr;

    #[test]
    fn the_baseline_costs_what_its_weights_say() {
        let model = Edsr::baseline(2).build(0).unwrap();
        let fixed = specialise(&model, &[&[1, 3, 10, 12]]).unwrap();
        // Per LR pixel: head, 32 + 1 body convolutions and one upsampling convolution; the last
        // one works on 4 pixels per LR pixel.
        let per_pixel = 3 * 64 * 9 + 33 * 64 * 64 * 9 + 64 * 256 * 9 + 4 * 64 * 3 * 9;
        assert_eq!(flops(&fixed).unwrap(), 2 * 120 * per_pixel);
    }
}
