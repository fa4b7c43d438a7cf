//! The quality of the clean output next to that of a bicubic upscale, where there is ground truth.

use serde::{Deserialize, Serialize};

use super::evaluate::{only, quality, quality_of_draws};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{ImageIndex, Judge};
use crate::metric;
use crate::report::{Clean, decibels};

/// PSNR and SSIM of the two upscales, as the store keeps them.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Both {
    #[serde(with = "decibels")]
    psnr: f64,
    ssim: f64,
    #[serde(with = "decibels")]
    bicubic_psnr: f64,
    bicubic_ssim: f64,
}

/// Measures S(x0) on every runtime; nothing where there is no ground truth.
///
/// # Errors
/// A runtime that fails, and images that cannot be compared.
pub fn clean(context: &mut Context<'_>, index: ImageIndex) -> Result<Vec<Clean>, AuditError> {
    if context.image(index).truth.is_none() {
        return Ok(vec![]);
    }
    let mut rows = Vec::with_capacity(context.runtimes.len());
    for judge in context.judges() {
        let key = context.key("clean", judge, index, &context.settings.seed);
        let Both { psnr, ssim, bicubic_psnr, bicubic_ssim } =
            context.store.remember(&key, || both(context, index, judge))?;
        rows.push(Clean {
            model: context.name().to_owned(),
            image: context.image(index).name.clone(),
            runtime: context.runtime(judge).name(),
            psnr,
            ssim,
            bicubic_psnr,
            bicubic_ssim,
        });
    }
    Ok(rows)
}

fn both(context: &mut Context<'_>, index: ImageIndex, judge: Judge) -> Result<Both, AuditError> {
    let image = context.image(index);
    let output = context.clean_output(judge, index)?;
    let ours = quality_of_draws(context, image, &output)?;
    let [_, _, height, width] = image.shape().map(|side| side * context.model.requirements.scale);
    let upscaled = metric::bicubic(only(&image.x), height, width);
    let bicubic = quality(context, image, context.model.found.interface.geometry.inside(upscaled.view()))?;
    Ok(Both { psnr: ours.psnr, ssim: ours.ssim, bicubic_psnr: bicubic.psnr, bicubic_ssim: bicubic.ssim })
}
