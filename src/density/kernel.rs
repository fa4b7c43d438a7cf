//! L_e and its analytic gradient on the CPU, in plain Rust: one pass over Phi, a block of elements
//! at a time, everything between the read and the write in the first-level cache.
//!
//! The work is cut by plane (one channel of one image). A plane is one thread's, and partial sums
//! are added in the order of the planes, so that the result does not depend on the thread count.
//! No autograd is here and no libtorch operation but the copies at the border.

use super::real::Real;
use super::shape::{Layer, Layers};
use super::{FLOOR, Loss};
use crate::torch::{self, Tensor, TorchError};

/// Elements handled together: the rows of both passes then fit the first-level cache.
const BLOCK: usize = 128;
const HALF: usize = BLOCK / 2;

/// One number for each element of a block.
type Row<T> = [T; BLOCK];

/// L_e of `phi` (N, C, H, W) on the CPU under effective parameters `packed` (C, count), of kind `T`
/// both.
pub(super) fn evaluate<T: Real>(
    layers: &Layers,
    phi: &Tensor,
    packed: &Tensor,
    delta: f64,
) -> Result<Loss, TorchError> {
    let size = phi.size();
    let (channels, area) = (size[1] as usize, (size[2] * size[3]) as usize);
    let values = torch::to_vec::<T>(phi)?;
    let weights = torch::to_vec::<T>(packed)?;
    let mut d_phi = vec![T::ZERO; values.len()];
    let count = layers.count();
    // Per plane: the sum of log2 p, then the derivative by each of its channel's parameters.
    let mut sums = vec![0.0f64; values.len() / area * (count + 1)];
    let job = Job {
        layers: layers.list(),
        weights: &weights,
        channels,
        area,
        half: T::from_f64(delta / 2.0),
        seed: T::from_f64(-1.0 / (std::f64::consts::LN_2 * values.len() as f64)),
    };
    share_out(&job, &values, &mut d_phi, &mut sums, count + 1);

    let mut d_packed = vec![0.0f64; channels * count];
    let mut total = 0.0;
    for (plane, sums) in sums.chunks_exact(count + 1).enumerate() {
        total += sums[0];
        let row = (plane % channels) * count;
        d_packed[row..row + count].iter_mut().zip(&sums[1..]).for_each(|(sum, part)| *sum += part);
    }
    Ok(Loss {
        value: Tensor::from(-total / values.len() as f64).to_kind(T::KIND),
        d_phi: Tensor::from_slice(&d_phi).view(size.as_slice()),
        d_packed: Tensor::from_slice(&d_packed).view([channels as i64, -1]).to_kind(T::KIND),
    })
}

/// What every plane needs to know.
struct Job<'a, T> {
    layers: Vec<Layer>,
    weights: &'a [T],
    channels: usize,
    area: usize,
    half: T,
    /// d L_e / d (ln p) of one element.
    seed: T,
}

/// Cuts the planes into one contiguous run per thread.
fn share_out<T: Real>(
    job: &Job<'_, T>,
    values: &[T],
    d_phi: &mut [T],
    sums: &mut [f64],
    sums_per_plane: usize,
) {
    let planes = values.len() / job.area;
    let run = planes.div_ceil(torch::threads());
    let elements = run * job.area;
    let inputs = values.chunks(elements);
    let outputs = d_phi.chunks_mut(elements).zip(sums.chunks_mut(run * sums_per_plane));
    std::thread::scope(|scope| {
        for (index, (values, (d_phi, sums))) in inputs.zip(outputs).enumerate() {
            scope.spawn(move || run_planes(job, index * run, values, d_phi, sums));
        }
    });
}

/// Compiles the kernel for the vector unit at hand.
fn run_planes<T: Real>(job: &Job<'_, T>, first: usize, values: &[T], d_phi: &mut [T], sums: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the two features it is compiled for were just detected.
        return unsafe { planes_avx2(job, first, values, d_phi, sums) };
    }
    planes::<T, { cfg!(target_arch = "aarch64") }>(job, first, values, d_phi, sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn planes_avx2<T: Real>(job: &Job<'_, T>, first: usize, values: &[T], d_phi: &mut [T], sums: &mut [f64]) {
    planes::<T, true>(job, first, values, d_phi, sums);
}

/// Handles whole planes, `first` being the number of the first.
#[inline(always)]
fn planes<T: Real, const FUSED: bool>(
    job: &Job<'_, T>,
    first: usize,
    values: &[T],
    d_phi: &mut [T],
    sums: &mut [f64],
) {
    let count = job.weights.len() / job.channels;
    let mut tape = Tape::new(&job.layers);
    let outputs = d_phi.chunks_mut(job.area).zip(sums.chunks_mut(count + 1));
    for (index, (plane, (d_plane, sums))) in values.chunks(job.area).zip(outputs).enumerate() {
        let row = (first + index) % job.channels * count;
        let weights = &job.weights[row..row + count];
        let (log2_sum, d_weights) = sums.split_at_mut(1);
        for (block, d_block) in plane.chunks(BLOCK).zip(d_plane.chunks_mut(BLOCK)) {
            tape.load(block);
            log2_sum[0] += tape.forward::<FUSED>(job, weights, block.len());
            tape.backward::<FUSED>(job, weights, d_weights);
            d_block.copy_from_slice(&tape.d_phi[..block.len()]);
        }
    }
}

/// What the forward pass keeps of a block for the backward pass, and the latter's scratch.
struct Tape<T> {
    phi: Row<T>,
    /// At Phi - delta/2 and at Phi + delta/2.
    sides: [Side<T>; 2],
    d_phi: Row<T>,
    /// The derivative of L_e by the rows of the layer in hand, and by those of the layer before.
    flow: Vec<Row<T>>,
    flow_in: Vec<Row<T>>,
}

/// One evaluation of the network on a block.
struct Side<T> {
    /// The input rows of every layer; at the end the one row of logits.
    inputs: Vec<Vec<Row<T>>>,
    /// tanh of the pre-activations, for the layers that have a gate.
    tanhs: Vec<Vec<Row<T>>>,
    /// d L_e / d logit.
    d_logit: Row<T>,
}

impl<T: Real> Tape<T> {
    fn new(layers: &[Layer]) -> Self {
        let rows = |count: usize| vec![[T::ZERO; BLOCK]; count];
        let side = || Side {
            inputs: layers.iter().map(|layer| rows(layer.width_in)).chain([rows(1)]).collect(),
            tanhs: layers.iter().map(|layer| rows(layer.gate.len())).collect(),
            d_logit: [T::ZERO; BLOCK],
        };
        let widest = layers.iter().map(|layer| layer.width_in).max().unwrap_or(1);
        Self {
            phi: [T::ZERO; BLOCK],
            sides: [side(), side()],
            d_phi: [T::ZERO; BLOCK],
            flow: rows(widest),
            flow_in: rows(widest),
        }
    }

    /// Takes a block in; a short one is filled up with zeros, whose results are not used.
    #[inline(always)]
    fn load(&mut self, block: &[T]) {
        self.phi[..block.len()].copy_from_slice(block);
        self.phi[block.len()..].fill(T::ZERO);
    }

    /// Sum of log2 p over the first `length` elements; leaves d L_e / d logit on both sides.
    #[inline(always)]
    fn forward<const FUSED: bool>(&mut self, job: &Job<'_, T>, weights: &[T], length: usize) -> f64 {
        for (side, shift) in self.sides.iter_mut().zip([-job.half, job.half]) {
            for (input, &phi) in side.inputs[0][0].iter_mut().zip(&self.phi) {
                *input = phi + shift;
            }
            side.forward::<FUSED>(&job.layers, weights);
        }
        let depth = job.layers.len();
        let [lower, upper] = &mut self.sides;
        let (low, up) = (&lower.inputs[depth][0], &upper.inputs[depth][0]);
        let mut log2_p = [T::ZERO; BLOCK];
        for i in 0..BLOCK {
            let element = score::<T, FUSED>(low[i], up[i], job.seed);
            log2_p[i] = element.log2_p;
            lower.d_logit[i] = element.d_lower;
            upper.d_logit[i] = element.d_upper;
        }
        lower.d_logit[length..].fill(T::ZERO);
        upper.d_logit[length..].fill(T::ZERO);
        log2_p[length..].fill(T::ZERO);
        sum(&log2_p)
    }

    /// Adds to `d_weights` and leaves d L_e / d Phi in `d_phi`.
    #[inline(always)]
    fn backward<const FUSED: bool>(&mut self, job: &Job<'_, T>, weights: &[T], d_weights: &mut [f64]) {
        self.d_phi.fill(T::ZERO);
        for side in &self.sides {
            self.flow[0] = side.d_logit;
            for (index, layer) in job.layers.iter().enumerate().rev() {
                let (inputs, tanhs) = (&side.inputs[index], &side.tanhs[index]);
                let step = Step { layer, weights, inputs, tanhs };
                step.backward::<FUSED>(&mut self.flow, &mut self.flow_in, d_weights);
                std::mem::swap(&mut self.flow, &mut self.flow_in);
            }
            for (sum, &part) in self.d_phi.iter_mut().zip(&self.flow[0]) {
                *sum = *sum + part;
            }
        }
    }
}

impl<T: Real> Side<T> {
    /// Eq. (3), (5), (6) from `inputs[0]` to the logits.
    #[inline(always)]
    fn forward<const FUSED: bool>(&mut self, layers: &[Layer], weights: &[T]) {
        for (index, layer) in layers.iter().enumerate() {
            let (before, after) = self.inputs.split_at_mut(index + 1);
            let (inputs, outputs) = (&before[index], &mut after[0]);
            for (unit, output) in outputs.iter_mut().enumerate() {
                let columns = &weights[layer.matrix.clone()][unit * layer.width_in..];
                output.fill(weights[layer.bias.start + unit]);
                for (input, &weight) in inputs.iter().zip(columns) {
                    add_times::<T, FUSED>(output, weight, input);
                }
                if layer.gate.is_empty() {
                    continue;
                }
                let gate = weights[layer.gate.start + unit];
                let tanhs = &mut self.tanhs[index][unit];
                for (value, tanh) in output.iter_mut().zip(tanhs) {
                    *tanh = value.tanh::<FUSED>();
                    *value = gate.times_plus::<FUSED>(*tanh, *value);
                }
            }
        }
    }
}

/// One element's share of the loss.
struct Score<T> {
    log2_p: T,
    d_lower: T,
    d_upper: T,
}

/// Eq. (11), the floor and the logarithm of eq. (1), from the logits at Phi -/+ delta/2.
#[inline(always)]
fn score<T: Real, const FUSED: bool>(lower: T, upper: T, seed: T) -> Score<T> {
    // Both sigmoids on the side of zero where they are small: s is +1 below the median.
    let side = if lower + upper < T::ZERO { T::ONE } else { -T::ONE };
    let low = (side * lower).sigmoid::<FUSED>();
    let up = (side * upper).sigmoid::<FUSED>();
    let p = side * (up - low);
    let floor = T::from_f64(FLOOR);
    // Not `max`, which would swallow NaN.
    let floored = if p < floor { floor } else { p };
    let d_p = seed / floored;
    Score {
        log2_p: floored.log2::<FUSED>(),
        // sigma'(z) = sigma(z) (1 - sigma(z)); s appears twice and cancels.
        d_lower: -(d_p * (low * (T::ONE - low))),
        d_upper: d_p * (up * (T::ONE - up)),
    }
}

/// One layer on the way back, with what the forward pass kept of it.
struct Step<'a, T> {
    layer: &'a Layer,
    weights: &'a [T],
    inputs: &'a [Row<T>],
    tanhs: &'a [Row<T>],
}

impl<T: Real> Step<'_, T> {
    /// The transpose of eq. (7) and (8): from the derivative by the layer's outputs (`flow`, which
    /// becomes that by its pre-activations) to that by its inputs and parameters.
    #[inline(always)]
    fn backward<const FUSED: bool>(
        &self,
        flow: &mut [Row<T>],
        flow_in: &mut [Row<T>],
        d_weights: &mut [f64],
    ) {
        let Layer { width_in, width_out, matrix, bias, gate } = self.layer;
        flow_in[..*width_in].fill([T::ZERO; BLOCK]);
        for unit in 0..*width_out {
            let flow = &mut flow[unit];
            if let Some(tanhs) = self.tanhs.get(unit) {
                d_weights[gate.start + unit] += dot::<T, FUSED>(flow, tanhs);
                let a = self.weights[gate.start + unit];
                for (flow, &tanh) in flow.iter_mut().zip(tanhs) {
                    let slope = a.times_plus::<FUSED>((-tanh).times_plus::<FUSED>(tanh, T::ONE), T::ONE);
                    *flow = *flow * slope;
                }
            }
            d_weights[bias.start + unit] += sum(flow);
            let row = matrix.start + unit * width_in;
            for (place, (input, flow_in)) in (row..).zip(self.inputs.iter().zip(&mut *flow_in)) {
                d_weights[place] += dot::<T, FUSED>(flow, input);
                add_times::<T, FUSED>(flow_in, self.weights[place], flow);
            }
        }
    }
}

/// sum += weight * row.
#[inline(always)]
fn add_times<T: Real, const FUSED: bool>(sum: &mut Row<T>, weight: T, row: &Row<T>) {
    for (sum, &value) in sum.iter_mut().zip(row) {
        *sum = weight.times_plus::<FUSED>(value, *sum);
    }
}

#[inline(always)]
fn dot<T: Real, const FUSED: bool>(left: &Row<T>, right: &Row<T>) -> f64 {
    let mut halves = [T::ZERO; HALF];
    for i in 0..HALF {
        let product = left[i] * right[i];
        halves[i] = left[i + HALF].times_plus::<FUSED>(right[i + HALF], product);
    }
    total(&mut halves)
}

#[inline(always)]
fn sum<T: Real>(row: &Row<T>) -> f64 {
    let mut halves = [T::ZERO; HALF];
    for i in 0..HALF {
        halves[i] = row[i] + row[i + HALF];
    }
    total(&mut halves)
}

/// Adds up by halves: in an order that vector registers can follow, and with the small error of a
/// balanced tree.
#[inline(always)]
fn total<T: Real>(values: &mut [T; HALF]) -> f64 {
    let mut width = HALF / 2;
    while width > 0 {
        for i in 0..width {
            values[i] = values[i] + values[i + width];
        }
        width /= 2;
    }
    values[0].to_f64()
}
