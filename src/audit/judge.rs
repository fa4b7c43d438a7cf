//! What a model makes of an attacked image, of noise and of the clean image, as rows of a report.

use ndarray::{Array4, ArrayView3, Axis, CowArray, Ix3};

use super::AuditError;
use super::aim;
use super::photo::Photo;
use super::single::Audit;
use crate::attack::{Attack, Attacked, Budget, Discrepancy, seeded, signed_noise};
use crate::metric::{self, MetricError, Quality};
use crate::report::{Clean, Noise, Row};

/// What a judge says of an attacked image.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) sr_psnr: f64,
    pub(super) sr_ssim: Option<f64>,
    pub(super) bicubic_psnr: f64,
}

impl Audit<'_> {
    /// The PSNR between the bicubic upscales of an image and of its attacked self.
    pub(super) fn bicubic_psnr(&self, photo: &Photo, attacked: &Array4<f32>) -> Result<f64, AuditError> {
        let scale = self.subject.feed.scale;
        let [_, _, height, width] = photo.shape();
        let upscaled = |x| metric::bicubic(only(x), height * scale, width * scale);
        metric::psnr(upscaled(&photo.x).view(), upscaled(attacked).view())
            .map_err(|source| metric_error(photo, source))
    }

    /// Judges noise of a budget, every value of it moved by all that is allowed, everywhere.
    pub(super) fn judge_noise(
        &mut self,
        photo: &Photo,
        budget: Budget,
        clean: &[Array4<f32>],
    ) -> Result<(), AuditError> {
        let plan = self.plan;
        let ball = aim::ball(plan, photo, budget)?;
        let mut rng = seeded(plan.seed, &photo.name, Attack::Random, budget);
        let noisy = signed_noise(&ball, &mut rng);
        ball.check(noisy.view())?;
        for (judge, clean) in clean.iter().enumerate() {
            let output = self.upscale(judge, photo, noisy.view())?;
            let sr_psnr = self.psnr(photo, clean, &output)?;
            self.noise.push(Noise {
                model: self.subject.name.clone(),
                image: photo.name.clone(),
                budget: budget.levels(),
                runtime: self.oracles[judge].kind().to_string(),
                sr_psnr,
            });
        }
        Ok(())
    }

    pub(super) fn row(
        &self,
        photo: &Photo,
        (attack, budget): (Attack, Budget),
        [crafter, judge]: [usize; 2],
        attacked: &Attacked,
        Judged { sr_psnr, sr_ssim, bicubic_psnr }: Judged,
    ) -> Result<Row, AuditError> {
        let levels = |a: &f32, b: &f32| 255.0 * (f64::from(*a) - f64::from(*b)).abs();
        let moved = || attacked.image.iter().zip(&photo.x).map(|(a, b)| levels(a, b));
        let lr_psnr = self.psnr(photo, &photo.x, &attacked.image)?;
        Ok(Row {
            model: self.subject.name.clone(),
            image: photo.name.clone(),
            attack: attack.name().into(),
            budget: budget.levels(),
            iterations: attack.steps(&self.plan.settings) as usize,
            crafted_on: self.oracles[crafter].kind().to_string(),
            judged_on: self.oracles[judge].kind().to_string(),
            lr_psnr,
            sr_psnr,
            sr_ssim,
            amplification: amplification(lr_psnr, sr_psnr),
            bicubic_amplification: amplification(lr_psnr, bicubic_psnr),
            late_gain: late_gain(attack, self.plan.settings.restarts, &attacked.values),
            linf: moved().fold(0.0, f64::max),
            l2: (moved().map(|moved| moved * moved).sum::<f64>() / photo.x.len() as f64).sqrt(),
            objective: if aim::drives_apart(self.plan, attack) {
                Discrepancy::NAME.into()
            } else {
                self.oracles[crafter].objective().name().into()
            },
            objective_start: attacked.values.first().copied().unwrap_or_default(),
            objective_end: attacked.value.or(attacked.values.last().copied()).unwrap_or_default(),
            reached: attacked.reached,
            seed: self.plan.seed,
            model_sha256: self.subject.sha256.clone(),
        })
    }

    /// Over the pixels of all draws, where there are several.
    pub(super) fn psnr(&self, photo: &Photo, a: &Array4<f32>, b: &Array4<f32>) -> Result<f64, AuditError> {
        let (a, b) = (behind_one_another(a), behind_one_another(b));
        metric::psnr(a.view(), b.view()).map_err(|source| metric_error(photo, source))
    }

    /// Notes the quality of every runtime's clean output next to bicubic's, where there is ground truth.
    pub(super) fn judge_clean(&mut self, photo: &Photo, outputs: &[Array4<f32>]) -> Result<(), AuditError> {
        let Some(truth) = &photo.truth else { return Ok(()) };
        let geometry = &self.subject.found.interface.geometry;
        let expected = geometry.inside(truth.view());
        let judge = |image: ArrayView3<'_, f32>| -> Result<Quality, AuditError> {
            metric::clean_quality(image, expected, self.subject.feed.scale)
                .map_err(|source| metric_error(photo, source))
        };
        let upscaled = metric::bicubic(only(&photo.x), truth.shape()[1], truth.shape()[2]);
        let bicubic = judge(geometry.inside(upscaled.view()))?;
        for (oracle, output) in self.oracles.iter().zip(outputs) {
            let drawn = output.outer_iter().map(judge).collect::<Result<Vec<_>, _>>()?;
            let mean = |of: fn(&Quality) -> f64| drawn.iter().map(of).sum::<f64>() / drawn.len() as f64;
            self.clean.push(Clean {
                model: self.subject.name.clone(),
                image: photo.name.clone(),
                runtime: oracle.kind().to_string(),
                psnr: mean(|quality| quality.psnr),
                ssim: mean(|quality| quality.ssim),
                bicubic_psnr: bicubic.psnr,
                bicubic_ssim: bicubic.ssim,
            });
        }
        Ok(())
    }
}

/// The share of the objective's end that the last fifth of the steps won, of attacks whose steps would cross
/// the ball many times. I-FGSM's just reach its border with the last one, and win as much with each.
fn late_gain(attack: Attack, restarts: usize, values: &[f64]) -> Option<f64> {
    let (last, before) = (values.last()?, values.get(values.len() * 4 / 5)?);
    let crosses = matches!(attack, Attack::Pgd | Attack::Apgd) && restarts == 1;
    let tells = crosses && values.len() >= 10 && *last > 0.0;
    tells.then(|| ((last - before) / last).max(0.0))
}

/// The ratio of two root mean squares on [0, 1], from their PSNRs.
fn amplification(input: f64, output: f64) -> Option<f64> {
    input.is_finite().then(|| 10f64.powf((input - output) / 20.0))
}

/// The images of a batch as one of all their channels.
fn behind_one_another(batch: &Array4<f32>) -> CowArray<'_, f32, Ix3> {
    let (images, channels, height, width) = batch.dim();
    batch.to_shape((images * channels, height, width)).unwrap_or_else(|_| only(batch).into())
}

/// SSIM on luma, the mean over the images of two batches.
pub(super) fn mean_ssim(a: &Array4<f32>, b: &Array4<f32>) -> Result<Option<f64>, MetricError> {
    let mut sum = 0.0;
    for (a, b) in a.outer_iter().zip(b.outer_iter()) {
        let Some(ssim) = metric::luma_ssim(a, b)? else { return Ok(None) };
        sum += ssim;
    }
    Ok(Some(sum / a.len_of(Axis(0)) as f64))
}

/// The one image of a batch.
pub(super) fn only(batch: &Array4<f32>) -> ArrayView3<'_, f32> {
    batch.index_axis(Axis(0), 0)
}

pub(super) fn metric_error(photo: &Photo, source: MetricError) -> AuditError {
    AuditError::Metric { image: photo.name.clone(), source }
}
