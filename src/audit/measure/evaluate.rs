//! What a runtime makes of a changed image, against what it makes of the image as it was.

use ndarray::{Array4, ArrayView3, Axis, CowArray, Ix3};
use serde::{Deserialize, Serialize};

use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, ImageIndex, Judge};
use crate::audit::inputs::images::AuditImage;
use crate::audit::objective;
use crate::digest;
use crate::metric::{self, MetricError, Quality};
use crate::report::{EightBit, OutputLinf, WorstWindow, decibels};

/// The change of an output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// PSNR of S(x) against S(x0) in dB, both clipped to [0, 1]; infinite where they are equal, 0 where S(x)
    /// is not finite.
    #[serde(with = "decibels")]
    pub sr_psnr: f64,
    /// SSIM on luma; `None` for images smaller than its window.
    pub sr_ssim: Option<f64>,
    /// PSNR between the bicubic upscales of x and x0.
    #[serde(with = "decibels")]
    pub bicubic_psnr: f64,
    /// Whether every value of S(x) is a finite number.
    pub is_finite: bool,
    /// Where S(x) changed most; `None` where it is not finite.
    place: Option<(WorstWindow, OutputLinf)>,
}

/// PSNR in dB of two images that differ by all there is, which an output that is not finite counts as.
pub const WORST: f64 = 0.0;

/// Evaluates the model on `x`, a changed `image`, on one runtime.
///
/// # Errors
/// A runtime that fails, and images that cannot be compared. An output of `x` that is not finite is a result.
pub fn evaluate(
    context: &mut Context<'_>,
    index: ImageIndex,
    judge: Judge,
    x: &Array4<f32>,
) -> Result<Evaluation, AuditError> {
    let image = context.image(index);
    // The seed decides at which draws of a random pre-processing it is evaluated.
    let parts = (context.settings.seed, digest::of_floats(x));
    let key = context.key("evaluation", judge, index, &parts);
    context.store.remember(&key, || {
        let clean = context.clean_output(judge, index)?;
        let bicubic_psnr = bicubic_psnr(context.model.requirements.scale, image, x)?;
        match context.output(judge, image, x) {
            Ok(output) => compared(image, &clean, &output, bicubic_psnr),
            Err(error) if error.is_not_finite() => {
                let (sr_ssim, is_finite, place) = (None, false, None);
                Ok(Evaluation { sr_psnr: WORST, sr_ssim, bicubic_psnr, is_finite, place })
            }
            Err(error) => Err(error),
        }
    })
}

fn compared(
    image: &AuditImage,
    clean: &Array4<f32>,
    output: &Array4<f32>,
    bicubic_psnr: f64,
) -> Result<Evaluation, AuditError> {
    let as_metric = |source| metric_error(image, source);
    let (before, after) = (behind_one_another(clean), behind_one_another(output));
    let window = metric::worst_window(before.view(), after.view()).map_err(as_metric)?;
    let largest = metric::largest_difference(before.view(), after.view()).map_err(as_metric)?;
    Ok(Evaluation {
        sr_psnr: psnr(image, clean, output)?,
        sr_ssim: mean_ssim(clean, output).map_err(as_metric)?,
        bicubic_psnr,
        is_finite: true,
        place: Some((
            WorstWindow { sr_psnr: window.psnr, x: window.x, y: window.y },
            OutputLinf { linf: 255.0 * largest.value, x: largest.x, y: largest.y },
        )),
    })
}

/// Evaluates what a file can carry of an attacked image: its 8-bit self inside the budget.
///
/// # Errors
/// As for [`evaluate`].
pub fn evaluate_8_bits(
    context: &mut Context<'_>,
    index: ImageIndex,
    cell: AttackCell,
    judge: Judge,
    attacked: &Array4<f32>,
) -> Result<(Evaluation, EightBit), AuditError> {
    let image = context.image(index);
    let rounded = objective::ball(context.settings, image, cell.budget)?.to_8_bits(attacked.view());
    let evaluation = evaluate(context, index, judge, &rounded)?;
    let lr_psnr = psnr(image, &image.x, &rounded)?;
    let (worst_window, output_linf) = evaluation.place.unzip();
    let eight_bit = EightBit {
        sr_psnr: evaluation.sr_psnr,
        amplification: amplification(lr_psnr, evaluation.sr_psnr),
        bicubic_amplification: amplification(lr_psnr, evaluation.bicubic_psnr),
        worst_window,
        output_linf,
    };
    Ok((evaluation, eight_bit))
}

/// How many times larger an output's change is than the input's, as root mean squares on [0, 1], from their
/// PSNRs; `None` where the input did not change.
pub fn amplification(input: f64, output: f64) -> Option<f64> {
    input.is_finite().then(|| 10f64.powf((input - output) / 20.0))
}

/// The PSNR between the bicubic upscales of an image and of its changed self.
fn bicubic_psnr(scale: usize, image: &AuditImage, x: &Array4<f32>) -> Result<f64, AuditError> {
    let [_, _, height, width] = image.shape();
    let upscaled = |x| metric::bicubic(only(x), height * scale, width * scale);
    metric::psnr(upscaled(&image.x).view(), upscaled(x).view()).map_err(|source| metric_error(image, source))
}

/// Quality against the ground truth: the mean over the draws of a random pre-processing.
///
/// # Errors
/// No ground truth, and images that cannot be compared.
pub fn quality_of_draws(
    context: &Context<'_>,
    image: &AuditImage,
    output: &Array4<f32>,
) -> Result<Quality, AuditError> {
    let drawn = output.outer_iter().map(|output| quality(context, image, output));
    let drawn = drawn.collect::<Result<Vec<_>, _>>()?;
    let mean = |of: fn(&Quality) -> f64| drawn.iter().map(of).sum::<f64>() / drawn.len() as f64;
    Ok(Quality { psnr: mean(|quality| quality.psnr), ssim: mean(|quality| quality.ssim) })
}

/// Quality of one output against the ground truth.
///
/// # Errors
/// As for [`quality_of_draws`].
pub fn quality(
    context: &Context<'_>,
    image: &AuditImage,
    output: ArrayView3<'_, f32>,
) -> Result<Quality, AuditError> {
    let Some(truth) = &image.truth else { return Err(AuditError::NoTruth { path: image.path.clone() }) };
    let expected = context.model.found.interface.geometry.inside(truth.view());
    metric::clean_quality(output, expected, context.model.requirements.scale)
        .map_err(|source| metric_error(image, source))
}

/// PSNR in dB over the pixels of all draws, where there are several.
///
/// # Errors
/// Images of different shapes.
pub fn psnr(image: &AuditImage, a: &Array4<f32>, b: &Array4<f32>) -> Result<f64, AuditError> {
    let (a, b) = (behind_one_another(a), behind_one_another(b));
    metric::psnr(a.view(), b.view()).map_err(|source| metric_error(image, source))
}

/// The images of a batch as one of all their channels.
fn behind_one_another(batch: &Array4<f32>) -> CowArray<'_, f32, Ix3> {
    let (images, channels, height, width) = batch.dim();
    batch.to_shape((images * channels, height, width)).unwrap_or_else(|_| only(batch).into())
}

/// SSIM on luma, the mean over the images of two batches.
fn mean_ssim(a: &Array4<f32>, b: &Array4<f32>) -> Result<Option<f64>, MetricError> {
    let mut sum = 0.0;
    for (a, b) in a.outer_iter().zip(b.outer_iter()) {
        let Some(ssim) = metric::luma_ssim(a, b)? else { return Ok(None) };
        sum += ssim;
    }
    Ok(Some(sum / a.len_of(Axis(0)) as f64))
}

/// The one image of a batch.
pub fn only(batch: &Array4<f32>) -> ArrayView3<'_, f32> {
    batch.index_axis(Axis(0), 0)
}

fn metric_error(image: &AuditImage, source: MetricError) -> AuditError {
    AuditError::Metric { image: image.name.clone(), source }
}
