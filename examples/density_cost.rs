//! What the density estimator adds to a training step: medians of one run, for a stand-in of the
//! EDSR baseline (16 blocks, 64 features, x4) at batch 16 and LR 48 x 48.
//!
//! `cargo run --example density_cost [ROUNDS]`. The variants take turns within a round, so that a
//! change of the machine's load falls on all of them.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use temper::density::{DensityEstimator, DensityShape, Noise};
use temper::torch::{self, Device, Kind, Tensor};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Convolutions of the EDSR baseline by their weights; forward to Phi and from Phi to the output.
struct Edsr {
    head: Tensor,
    body: Vec<Tensor>,
    upsample: [Tensor; 2],
    tail: Tensor,
}

impl Edsr {
    fn new(channels_last: bool) -> Self {
        let weight = |outputs: i64, inputs: i64| {
            let plain = Tensor::randn([outputs, inputs, 3, 3], FLOAT) * 0.02;
            let laid = if channels_last { torch::channels_last(&plain) } else { plain };
            laid.set_requires_grad(true)
        };
        Self {
            head: weight(64, 3),
            body: (0..33).map(|_| weight(64, 64)).collect(),
            upsample: [weight(256, 64), weight(256, 64)],
            tail: weight(3, 64),
        }
    }

    fn features(&self, lr: &Tensor) -> Tensor {
        let head = conv(lr, &self.head);
        let mut value = head.shallow_clone();
        for pair in self.body[..32].chunks_exact(2) {
            value = &value + conv(&conv(&value, &pair[0]).relu(), &pair[1]);
        }
        head + conv(&value, &self.body[32])
    }

    fn image(&self, phi: &Tensor) -> Tensor {
        let double = |value: &Tensor, weight| conv(value, weight).pixel_shuffle(2);
        let fourfold = double(&double(phi, &self.upsample[0]), &self.upsample[1]);
        conv(&fourfold, &self.tail)
    }
}

fn conv(value: &Tensor, weight: &Tensor) -> Tensor {
    value.conv2d::<Tensor>(weight, None, [1, 1], [1, 1], [1, 1], 1)
}

#[derive(Clone, Copy)]
enum Defence {
    None,
    Fast,
    FastWithNoise,
    Reference,
}

fn step(edsr: &Edsr, density: &DensityEstimator, lr: &Tensor, hr: &Tensor, defence: Defence) {
    let phi = edsr.features(lr);
    let phi = match defence {
        Defence::FastWithNoise => &phi + Noise::new(0).uniform_like(&phi, 1.0, 0).expect("delta"),
        _ => phi,
    };
    let loss = (edsr.image(&phi) - hr).abs().mean(Kind::Float);
    let bits = match defence {
        Defence::None => None,
        Defence::Fast | Defence::FastWithNoise => Some(density.bits(&phi, 1.0)),
        Defence::Reference => Some(density.bits_reference(&phi, 1.0)),
    };
    let loss = bits.map_or(loss.shallow_clone(), |bits| loss + bits.expect("64 channels"));
    loss.backward();
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What is timed, in order; the first is the base of all ratios.
const NAMES: [&str; 7] = [
    "step without",
    "step with",
    "step with, and noise",
    "step with reference",
    "estimator alone",
    "reference alone",
    "noise alone",
];

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    println!("libtorch {}, {} threads, {rounds} rounds", torch::version(), torch::threads());
    for channels_last in [false, true] {
        let layout = if channels_last { "channels-last" } else { "NCHW" };
        let lay = |tensor: Tensor| if channels_last { torch::channels_last(&tensor) } else { tensor };
        let edsr = Edsr::new(channels_last);
        let shape = DensityShape::default();
        let density = DensityEstimator::new(64, &shape, Kind::Float, Device::Cpu, 0).expect("shape");
        let lr = lay(Tensor::rand([16, 3, 48, 48], FLOAT) * 255.0 - 110.0);
        let hr = lay(Tensor::rand([16, 3, 192, 192], FLOAT) * 255.0 - 110.0);
        let phi = lay(Tensor::randn([16, 64, 48, 48], FLOAT) * 20.0).set_requires_grad(true);

        let variants = [Defence::None, Defence::Fast, Defence::FastWithNoise, Defence::Reference];
        let mut times = vec![Vec::new(); NAMES.len()];
        for round in 0..=rounds {
            let mut clock = |slot: usize, work: &dyn Fn()| {
                let start = Instant::now();
                work();
                if round > 0 {
                    times[slot].push(start.elapsed().as_secs_f64());
                }
            };
            for (slot, defence) in variants.iter().enumerate() {
                clock(slot, &|| step(&edsr, &density, &lr, &hr, *defence));
            }
            clock(4, &|| density.bits(&phi, 1.0).expect("shape").backward());
            clock(5, &|| density.bits_reference(&phi, 1.0).expect("shape").backward());
            clock(6, &|| drop(Noise::new(0).uniform_like(&phi, 1.0, 0)));
        }
        for (slot, name) in NAMES.iter().enumerate() {
            // The ratio is taken within a round, where the machine's load was about the same.
            let ratios = times[slot].iter().zip(&times[0]).map(|(time, base)| time / base);
            let (time, ratio) = (median(times[slot].clone()), median(ratios.collect()));
            println!("{layout:>13}  {name:<20} {time:.3} s  {ratio:.3} of a step without");
        }
    }
}
