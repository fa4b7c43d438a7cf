//! The self-test that a gradient must pass before any verdict.
//!
//! On every runtime that crafts, near the first image: a finite difference of the objective on that
//! very runtime, the distance to the first runtime's gradient, and the share of entries that are
//! exactly zero. A gradient that fails proves nothing about a model, least of all robustness.

use ndarray::{Array4, ArrayView4, Zip};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::AuditError;
use crate::oracle::{Oracle, OracleError};
use crate::report::Trust;
use crate::runtime::Kind;

/// How far, on [0, 1], the point of the test lies from the image, where the norm has a gradient.
const AWAY: f32 = 2.0 / 255.0;
/// Steps of the central difference, on [0, 1]: float32 has a best step, which depends on the model.
const STEPS: [f32; 3] = [3e-4, 1e-3, 3e-3];
/// The largest relative error of the best of these differences.
const SLOPE_TOLERANCE: f64 = 0.05;
/// The largest relative distance between two runtimes' gradients.
const AGREEMENT: f64 = 1e-3;
/// More exact zeros than this: the gradient is masked.
const MOST_ZEROS: f64 = 0.9;

/// A gradient at the point of the test.
pub struct Probe {
    gradient: Array4<f32>,
    /// The findings.
    pub trust: Trust,
}

/// Tests the gradient of one model on one runtime near the image `x0`.
pub fn probe(
    model: &str,
    oracle: &mut Oracle,
    x0: ArrayView4<'_, f32>,
    seed: u64,
    first: Option<&Probe>,
) -> Result<Probe, OracleError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let point = x0.mapv(|value| (value + rng.random_range(-AWAY..=AWAY)).clamp(0.0, 1.0));
    let target = oracle.forward(x0)?;
    let (_, gradient) = oracle.value_and_gradient(point.view(), target.view())?;
    let direction = near(&gradient, &mut rng);
    let gradient_slope = dot(&gradient, &direction);
    let slope = slope(oracle, &point, &direction, &target, gradient_slope)?;
    let zeros = gradient.iter().filter(|value| **value == 0.0).count();
    let zero_share = zeros as f64 / gradient.len().max(1) as f64;
    let disagreement = first.map_or(0.0, |first| distance(&gradient, &first.gradient));
    let trusted = problem(slope, gradient_slope, zero_share, disagreement).is_none();
    let trust = Trust {
        model: model.to_owned(),
        runtime: oracle.kind().to_string(),
        source: if oracle.kind() == Kind::Torch { "autograd" } else { "gradient graph" },
        slope,
        gradient_slope,
        zero_share,
        disagreement,
        trusted,
    };
    Ok(Probe { gradient, trust })
}

/// Fails where the test did.
pub fn require(trust: &Trust) -> Result<(), AuditError> {
    match problem(trust.slope, trust.gradient_slope, trust.zero_share, trust.disagreement) {
        None => Ok(()),
        Some(reason) => {
            Err(AuditError::NotTrusted { model: trust.model.clone(), runtime: trust.runtime.clone(), reason })
        }
    }
}

/// What is wrong with a gradient, if anything.
fn problem(slope: f64, gradient_slope: f64, zero_share: f64, disagreement: f64) -> Option<String> {
    if gradient_slope == 0.0 || zero_share > MOST_ZEROS {
        return Some(format!("{:.1}% of its entries are exactly zero", 100.0 * zero_share));
    }
    if error(slope, gradient_slope) > SLOPE_TOLERANCE {
        return Some(format!(
            "a finite difference gives the slope {slope:.4e}, the gradient {gradient_slope:.4e}"
        ));
    }
    (disagreement > AGREEMENT)
        .then(|| format!("it differs from another runtime's by {disagreement:.1e} of its length"))
}

fn error(slope: f64, gradient_slope: f64) -> f64 {
    (slope - gradient_slope).abs() / slope.abs().max(gradient_slope.abs()).max(f64::MIN_POSITIVE)
}

/// A direction of signs, half the gradient's own and half random: along it the slope is steep
/// enough for a difference in float32, and yet it tests every entry.
fn near(gradient: &Array4<f32>, rng: &mut ChaCha8Rng) -> Array4<f32> {
    gradient.mapv(|value| {
        if rng.random::<bool>() { value.signum() } else { [-1.0, 1.0][usize::from(rng.random::<bool>())] }
    })
}

/// The central difference that comes closest to `expected`. A wrong gradient comes close to none.
fn slope(
    oracle: &mut Oracle,
    point: &Array4<f32>,
    direction: &Array4<f32>,
    target: &Array4<f32>,
    expected: f64,
) -> Result<f64, OracleError> {
    let mut best: Option<f64> = None;
    for step in STEPS {
        let mut at = |sign: f32| {
            let moved = Zip::from(point).and(direction).map_collect(|x, d| x + sign * step * d);
            oracle.forward(moved.view()).map(|output| separation(&output, target))
        };
        let found = (at(1.0)? - at(-1.0)?) / (2.0 * f64::from(step));
        if best.is_none_or(|best| error(found, expected) < error(best, expected)) {
            best = Some(found);
        }
    }
    Ok(best.unwrap_or_default())
}

/// The objective, taken in f64 from the model's output alone.
fn separation(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

fn dot(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn distance(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let length =
        |values: &Array4<f32>| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    separation(a, b) / length(a).max(length(b)).max(f64::MIN_POSITIVE)
}
