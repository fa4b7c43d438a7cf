//! L_e and its analytic gradient in tensor operations, for devices other than the CPU: the layout
//! puts the units of a layer in the leading dimension and both sides of eq. (11) in the next, so
//! that a width-3 product is a broadcast multiply-add in place over every element at once, and no
//! graph is recorded. Runs on any device; tests run it on the CPU.

use super::shape::{Layer, Layers};
use super::{FLOOR, Loss};
use crate::torch::Tensor;

/// L_e of `phi` (N, C, H, W) under effective parameters `packed` (C, count), with its derivatives.
/// To be called without autograd.
pub(super) fn evaluate(layers: &Layers, phi: &Tensor, packed: &Tensor, delta: f64) -> Loss {
    let size = phi.size();
    let flat = phi.transpose(0, 1).reshape([1, 1, size[1], -1]);
    let list = layers.list();
    let steps: Vec<Step> = list.iter().map(|layer| Step::new(layer, packed)).collect();

    let mut value = Tensor::cat(&[&flat - delta / 2.0, &flat + delta / 2.0], 1);
    let mut kept = Vec::new();
    for step in &steps {
        let (output, tanh) = step.forward(&value);
        kept.push((value, tanh));
        value = output;
    }
    let (loss, mut flow) = score(&value, flat.numel());

    let mut parts = Vec::new();
    for (step, (input, tanh)) in steps.iter().zip(&kept).rev() {
        let (flow_in, part) = step.backward(flow, input, tanh.as_ref());
        parts.push(part);
        flow = flow_in;
    }
    parts.reverse();
    let d_phi = flow.sum_dim_intlist([0i64, 1].as_slice(), false, flow.kind());
    let by_channel = [size[1], size[0], size[2], size[3]];
    Loss {
        value: loss,
        d_phi: d_phi.view(by_channel).transpose(0, 1),
        d_packed: Tensor::cat(&parts, 0).transpose(0, 1),
    }
}

/// Eq. (11), floor and logarithm, from logits (1, 2, C, S): the loss and its derivative by them.
fn score(logits: &Tensor, elements: usize) -> (Tensor, Tensor) {
    let kind = logits.kind();
    let side = logits.sum_dim_intlist([1i64].as_slice(), true, kind).lt(0.0).to_kind(kind) * 2.0 - 1.0;
    let sigma = (logits * &side).sigmoid_();
    let p = (sigma.narrow(1, 1, 1) - sigma.narrow(1, 0, 1)) * &side;
    let floored = p.clamp_min(FLOOR);
    let seed = floored.reciprocal() * (-1.0 / (std::f64::consts::LN_2 * elements as f64));
    let loss = -floored.log2().mean(kind);
    let flow = (&sigma - &sigma * &sigma) * seed;
    let _ = flow.narrow(1, 0, 1).neg_();
    (loss, flow)
}

/// One layer with its parameters shaped to broadcast over (units, side, channel, element).
struct Step {
    /// (width out, width in, 1, C, 1)
    matrix: Tensor,
    /// (width out, 1, C, 1)
    bias: Tensor,
    gate: Option<Tensor>,
}

impl Step {
    fn new(layer: &Layer, packed: &Tensor) -> Self {
        let columns = |range: &std::ops::Range<usize>| {
            packed.narrow(1, range.start as i64, range.len() as i64).transpose(0, 1).contiguous()
        };
        let channels = packed.size()[0];
        let units = layer.width_out as i64;
        let vector = |range| columns(range).view([units, 1, channels, 1]);
        Self {
            matrix: columns(&layer.matrix).view([units, layer.width_in as i64, 1, channels, 1]),
            bias: vector(&layer.bias),
            gate: (!layer.gate.is_empty()).then(|| vector(&layer.gate)),
        }
    }

    /// Eq. (5) and (6); also tanh of the pre-activation where there is a gate.
    fn forward(&self, input: &Tensor) -> (Tensor, Option<Tensor>) {
        let mut output = self.bias.addcmul(&self.matrix.select(1, 0), &input.narrow(0, 0, 1));
        for unit in 1..input.size()[0] {
            let _ = output.addcmul_(&self.matrix.select(1, unit), &input.narrow(0, unit, 1));
        }
        let tanh = self.gate.as_ref().map(|gate| {
            let tanh = output.tanh();
            let _ = output.addcmul_(gate, &tanh);
            tanh
        });
        (output, tanh)
    }

    /// The transpose of eq. (7) and (8): the derivative by the layer's inputs, and that by its
    /// parameters (count, C) in packed order.
    fn backward(&self, flow: Tensor, input: &Tensor, tanh: Option<&Tensor>) -> (Tensor, Tensor) {
        let over_elements = |value: Tensor| value.sum_dim_intlist([1i64, 3].as_slice(), false, value.kind());
        let mut flow = flow;
        let mut d_gate = None;
        if let (Some(gate), Some(tanh)) = (&self.gate, tanh) {
            d_gate = Some(over_elements(&flow * tanh));
            let slope = (gate + 1.0).addcmul(&-gate, &tanh.square());
            flow *= slope;
        }
        let d_columns: Vec<Tensor> =
            (0..input.size()[0]).map(|column| over_elements(&flow * input.narrow(0, column, 1))).collect();
        let mut parts = vec![Tensor::stack(&d_columns, 1).flatten(0, 1)];
        parts.push(over_elements(flow.shallow_clone()));
        parts.extend(d_gate);

        let mut flow_in = self.matrix.select(0, 0) * flow.narrow(0, 0, 1);
        for unit in 1..flow.size()[0] {
            let _ = flow_in.addcmul_(&self.matrix.select(0, unit), &flow.narrow(0, unit, 1));
        }
        (flow_in, Tensor::cat(&parts, 0))
    }
}
