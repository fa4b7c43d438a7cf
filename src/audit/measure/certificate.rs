//! A certificate by median smoothing (Chiang et al., "Detection as Regression", NeurIPS 2020): what no attack
//! of a radius can do to a model that is served with Gaussian noise on its input.
//!
//! The scalar is h(z) = PSNR of S(z) against S(x0), whatever S does to z, clipping included. For n from
//! N(0, sigma^2 I) on every value of the LR image and any d with ||d||_2 <= r, the median of h(x0 + d + n) is
//! at least the percentile Phi(-r / sigma) of h(x0 + n): Lemma 1 there. That percentile is bounded from below
//! by an order statistic of samples. So at least half of all outputs keep this PSNR, whatever d is. Nothing
//! is assumed of S: it need not have a gradient, and may be random itself.
//!
//! Deliberately absent: bounds of pixels, which would need as many bounds to hold at once as there are.

use ndarray::{Array4, ArrayView4, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::evaluate::{WORST, psnr};
use crate::attack::{Attack, Budget, seeded};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{ImageIndex, Judge};
use crate::audit::plan::Smoothing;
use crate::audit::store::Key;
use crate::audit::watch::Watch;
use crate::metric::{normal_cdf, rank_below};
use crate::oracle::OracleError;
use crate::report::{Certificate, CertifiedBound, decibels};

/// Radii, in sigmas.
const RADII: [f64; 4] = [0.25, 0.5, 1.0, 2.0];
/// How sure all bounds of one image are, together.
const CONFIDENCE: f64 = 0.999;

/// What the numbers need said.
pub const CONVENTION: (&str, &str) = (
    "certificates",
    "median smoothing: with noise from N(0, sigma^2) on every LR value (not clipped), at least half of all outputs keep `at_least` dB of SR PSNR against S(x0) without noise, whatever a perturbation of at most `radius` (L2, over the whole image on [0, 1]) does; `rms` is its root mean square in 1/255. The bounds of one image hold together with the stated confidence, over the draws of the noise",
);

/// What was found at one image, as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Found {
    bounds: Vec<CertifiedBound>,
    #[serde(with = "decibels")]
    median: f64,
}

/// The bounds that samples of a scalar give, one for each radius that they are enough for, in sigmas.
fn bounds(samples: &mut [f64]) -> Vec<(f64, f64)> {
    samples.sort_by(f64::total_cmp);
    // All of them hold at once, by the union bound.
    let risk = (1.0 - CONFIDENCE) / RADII.len() as f64;
    let rank = |radius: f64| rank_below(samples.len(), normal_cdf(-radius), risk);
    RADII.into_iter().filter_map(|radius| Some((radius, samples[rank(radius)? - 1]))).collect()
}

/// An image with noise of a standard deviation on [0, 1], not clipped (Box and Muller 1958).
fn noisy(x0: ArrayView4<'_, f32>, sigma: f64, rng: &mut ChaCha8Rng) -> Array4<f32> {
    x0.mapv(|value| {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
        (f64::from(value) + sigma * normal) as f32
    })
}

/// Certifies an image on every runtime.
///
/// # Errors
/// A runtime that fails, and an interruption.
pub fn certificate(
    context: &mut Context<'_>,
    index: ImageIndex,
    smoothing: Smoothing,
    watch: &mut dyn Watch,
) -> Result<Vec<Certificate>, AuditError> {
    let mut rows = Vec::with_capacity(context.runtimes.len());
    for judge in context.judges() {
        let key = key(context, index, judge, smoothing);
        let Found { bounds, median } =
            context.store.remember(&key, || certified(context, index, judge, smoothing, watch))?;
        rows.push(Certificate {
            model: context.name().to_owned(),
            image: context.image(index).name.clone(),
            runtime: context.runtime(judge).name(),
            quantity: "sr_psnr".into(),
            sigma: smoothing.sigma,
            samples: smoothing.samples,
            confidence: CONFIDENCE,
            bounds,
            median,
        });
    }
    Ok(rows)
}

/// The key of a certificate.
pub fn key(context: &Context<'_>, index: ImageIndex, judge: Judge, smoothing: Smoothing) -> Key {
    context.key("certificate", judge, index, &(smoothing.sigma, smoothing.samples, context.settings.seed))
}

fn certified(
    context: &mut Context<'_>,
    index: ImageIndex,
    judge: Judge,
    smoothing: Smoothing,
    watch: &mut dyn Watch,
) -> Result<Found, AuditError> {
    let (name, image) = (context.name(), context.image(index));
    let level = smoothing.sigma / 255.0;
    let reference = context.clean_output(judge, index)?.slice_move(s![..1, .., .., ..]);
    // The same noise on every runtime, and draws of a random pre-processing that nothing else sees.
    let stream = format!("{}, certified", image.name);
    let mut rng = seeded(context.settings.seed, &stream, Attack::RANDOM, Budget::default());
    let oracle = context.oracle(judge);
    oracle.at_draw(rng.random());
    let mut psnrs = Vec::with_capacity(smoothing.samples);
    for _ in 0..smoothing.samples {
        oracle.next_draw();
        psnrs.push(match oracle.forward(noisy(image.x.view(), level, &mut rng).view()) {
            Ok(output) => psnr(image, &reference, &output)?,
            Err(OracleError::NotFinite { .. }) => WORST,
            Err(error) => return Err(AuditError::oracle(name, &image.name, error)),
        });
        watch.stepped()?;
    }
    let values = image.x.len() as f64;
    let bounds = bounds(&mut psnrs).into_iter().map(|(sigmas, at_least)| CertifiedBound {
        radius: sigmas * level,
        rms: sigmas * smoothing.sigma / values.sqrt(),
        at_least,
    });
    Ok(Found { bounds: bounds.collect(), median: psnrs[psnrs.len() / 2] })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// h(z) = -|z| of one number is worst at the far end of the interval, where its median is known.
    #[test]
    fn an_analytic_function_never_falls_below_its_certificate() {
        let (sigma, mut wrong, mut tight) = (0.3, 0, 0);
        for seed in 0..200 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let zero = Array4::zeros((1, 1, 1, 1));
            let mut h =
                |shift: f64| -(f64::from(noisy(zero.view(), sigma, &mut rng)[[0, 0, 0, 0]]) + shift).abs();
            let mut samples: Vec<f64> = (0..500).map(|_| h(0.0)).collect();
            for (radius, at_least) in bounds(&mut samples) {
                let mut moved: Vec<f64> = (0..501).map(|_| h(radius * sigma)).collect();
                moved.sort_by(f64::total_cmp);
                wrong += usize::from(at_least > moved[250] + 0.1 * sigma);
                tight += usize::from(at_least > moved[250] - 3.0 * sigma);
            }
        }
        assert_eq!(wrong, 0);
        assert!(tight > 700, "{tight} of 800 are near what they bound");
    }

    /// A monotone function, for which Lemma 1 is an equality: h(z) = -z, worst at a shift of the whole radius.
    #[test]
    fn where_the_lemma_is_tight_so_is_the_certificate() {
        let zero = Array4::zeros((1, 1, 1, 1));
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut samples: Vec<f64> =
            (0..20_000).map(|_| -f64::from(noisy(zero.view(), 1.0, &mut rng)[[0, 0, 0, 0]])).collect();
        let found = bounds(&mut samples);
        assert_eq!(found.len(), RADII.len());
        for (radius, at_least) in found {
            assert!(at_least <= -radius && at_least > -radius - 0.12, "{radius} {at_least}");
        }
    }

    #[test]
    fn too_few_samples_certify_less() {
        assert_eq!(bounds(&mut [1.0; 5]), []);
        assert_eq!(bounds(&mut [1.0; 24]).len(), 2);
        assert_eq!(bounds(&mut [1.0; 1000]).len(), 4);
    }
}
