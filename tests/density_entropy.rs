//! What the estimator is for: trained on samples of a known distribution, its loss falls to that
//! distribution's entropy.
//!
//! The samples are integers and delta is 1, so that p_d over the integers is a distribution (it
//! telescopes to at most 1) and the mean of -log2 p is a cross-entropy: by Gibbs' inequality it is
//! never below the entropy of the samples, and equal only where p matches their frequencies. For
//! continuous samples no such bound with equality is at hand.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests
#![cfg(feature = "torch")]

use temper::density::{DensityEstimator, DensityShape};
use temper::harden::adam::Adam;
use temper::torch::{Device, Kind, Tensor};

/// Samples per channel: a power of two, so that the frequencies are exact in f32.
const SAMPLES: usize = 4096;

/// One channel: how often each integer from `start` on occurs, summing to [`SAMPLES`].
struct Channel {
    start: i32,
    counts: Vec<usize>,
}

impl Channel {
    /// Counts in proportion to `weights`, what rounding leaves over going to the largest.
    fn in_proportion(start: i32, weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let share = |weight: &f64| (weight / total * SAMPLES as f64).floor() as usize;
        let mut counts: Vec<usize> = weights.iter().map(share).collect();
        let left_over = SAMPLES - counts.iter().sum::<usize>();
        if let Some(largest) = counts.iter_mut().max() {
            *largest += left_over;
        }
        Self { start, counts }
    }

    fn samples(&self) -> impl Iterator<Item = f32> {
        let values = self.counts.iter().enumerate();
        values.flat_map(|(place, &count)| std::iter::repeat_n((self.start + place as i32) as f32, count))
    }

    fn entropy(&self) -> f64 {
        let shares = self.counts.iter().filter(|&&count| count > 0);
        shares.map(|&count| count as f64 / SAMPLES as f64).map(|share| -share * share.log2()).sum()
    }
}

fn bell(centre: f64, width: f64, range: std::ops::RangeInclusive<i32>) -> Vec<f64> {
    range.map(|k| (-((f64::from(k) - centre) / width).powi(2) / 2.0).exp()).collect()
}

#[test]
fn trained_on_integers_the_loss_falls_to_their_entropy() {
    let two_bells = || {
        let left = bell(-9.0, 1.5, -16..=16);
        let right = bell(6.0, 3.0, -16..=16);
        left.iter().zip(&right).map(|(l, r)| 0.6 * l + 0.4 * r).collect::<Vec<_>>()
    };
    let channels = [
        Channel::in_proportion(-12, &bell(0.5, 3.0, -12..=12)),
        Channel::in_proportion(-16, &two_bells()),
        Channel::in_proportion(-30, &bell(-20.0, 1.0, -30..=-12)),
        Channel::in_proportion(0, &[1.0; 16]),
        Channel::in_proportion(2, &[3.0, 1.0]),
    ];
    let values: Vec<f32> = channels.iter().flat_map(Channel::samples).collect();
    let shape = [1, channels.len() as i64, 64, 64];
    let phi = Tensor::from_slice(&values).view(shape);
    let entropy = channels.iter().map(Channel::entropy).sum::<f64>() / channels.len() as f64;

    let shape = DensityShape::default();
    let estimator = DensityEstimator::new(channels.len(), &shape, Kind::Float, Device::Cpu, 1).unwrap();
    let mut adam = Adam::new(estimator.parameters()).unwrap();
    let start = estimator.bits_value(&phi, 1.0).unwrap();
    let steps = 3000;
    for step in 0..steps {
        adam.zero_grad();
        estimator.bits(&phi, 1.0).unwrap().backward();
        adam.step(0.03 * 0.02f64.powf(f64::from(step) / f64::from(steps))).unwrap();
        let now = estimator.bits_value(&phi, 1.0).unwrap();
        assert!(now > entropy - 1e-5, "step {step}: {now} bits are below the entropy {entropy}");
    }
    let end = estimator.bits_value(&phi, 1.0).unwrap();
    println!("entropy {entropy:.4}, start {start:.4}, end {end:.4} bits per element");
    assert!(start > entropy + 1.0, "{start} against {entropy}");
    assert!(end < entropy + 0.02, "{end} against {entropy}");
}
