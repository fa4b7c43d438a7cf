//! What a runtime makes of a changed image, against what it makes of the image as it was.

use ndarray::{Array4, ArrayView3, Axis, CowArray, Ix3};
use serde::{Deserialize, Serialize};

use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{ImageIndex, Judge};
use crate::audit::inputs::images::AuditImage;
use crate::digest;
use crate::metric::{self, MetricError, Quality};
use crate::report::decibels;

/// The change of an output.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// PSNR of S(x) against S(x0) in dB, both clipped to [0, 1]; infinite where they are equal.
    #[serde(with = "decibels")]
    pub sr_psnr: f64,
    /// SSIM on luma; `None` for images smaller than its window.
    pub sr_ssim: Option<f64>,
    /// PSNR between the bicubic upscales of x and x0.
    #[serde(with = "decibels")]
    pub bicubic_psnr: f64,
}

/// Evaluates the model on `x`, a changed `image`, on one runtime.
///
/// # Errors
/// A runtime that fails, and images that cannot be compared.
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
        let output = context.output(judge, image, x)?;
        Ok(Evaluation {
            sr_psnr: psnr(image, &clean, &output)?,
            sr_ssim: mean_ssim(&clean, &output).map_err(|source| metric_error(image, source))?,
            bicubic_psnr: bicubic_psnr(context.model.requirements.scale, image, x)?,
        })
    })
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
