//! What a model makes of an attacked image, of noise and of the clean image, as rows of a report.

use ndarray::{Array4, ArrayView3, Axis, CowArray, Ix3};
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, AttackKind, Attacked, Budget, Discrepancy, seeded, signed_noise};
use crate::audit::AuditError;
use crate::audit::context::{Audit, hash};
use crate::audit::inputs::images::AuditImage;
use crate::audit::objective;
use crate::metric::{self, MetricError, Quality};
use crate::report::{Clean, Noise, Row, decibels};

/// What a judge says of an attacked image.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Judged {
    #[serde(with = "decibels")]
    pub sr_psnr: f64,
    pub sr_ssim: Option<f64>,
    #[serde(with = "decibels")]
    pub bicubic_psnr: f64,
}

impl Audit<'_> {
    /// Judges an attacked image on every runtime.
    pub fn judge_attack(
        &mut self,
        scene: usize,
        which: (Attack, Budget),
        crafter: usize,
        attacked: &Attacked,
    ) -> Result<(), AuditError> {
        for judge in 0..self.oracles.len() {
            let judged = self.judged(scene, judge, &attacked.image)?;
            let row = self.row(scene, which, [crafter, judge], attacked, judged)?;
            self.rows.push(row);
        }
        Ok(())
    }

    /// What a runtime makes of a changed image.
    pub fn judged(&mut self, scene: usize, judge: usize, image: &Array4<f32>) -> Result<Judged, AuditError> {
        let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_le_bytes()).collect();
        // The seed decides at which draws of a random pre-processing it is judged.
        let place = (&self.model_id, &self.runtime_ids[judge], &self.scenes[scene].id);
        let parts = (place, self.plan.seed, hash(&bytes));
        let key = self.store.key("judged", &parts);
        self.store.remember(&key, || {
            let photo = self.scenes[scene].photo;
            let clean = self.clean_output(scene, judge)?;
            let output = self.upscale(judge, photo, image.view())?;
            Ok(Judged {
                sr_psnr: psnr(photo, &clean, &output)?,
                sr_ssim: mean_ssim(&clean, &output).map_err(|source| metric_error(photo, source))?,
                bicubic_psnr: self.bicubic_psnr(photo, image)?,
            })
        })
    }

    /// The PSNR between the bicubic upscales of an image and of its attacked self.
    fn bicubic_psnr(&self, photo: &AuditImage, attacked: &Array4<f32>) -> Result<f64, AuditError> {
        let scale = self.subject.feed.scale;
        let [_, _, height, width] = photo.shape();
        let upscaled = |x| metric::bicubic(only(x), height * scale, width * scale);
        metric::psnr(upscaled(&photo.x).view(), upscaled(attacked).view())
            .map_err(|source| metric_error(photo, source))
    }

    /// Judges noise of a budget, every value of it moved by all that is allowed, everywhere.
    pub fn judge_noise(&mut self, scene: usize, budget: Budget) -> Result<(), AuditError> {
        let plan = self.plan;
        let photo = self.scenes[scene].photo;
        let ball = objective::ball(plan, photo, budget)?;
        let mut rng = seeded(plan.seed, &photo.name, Attack::RANDOM, budget);
        let noisy = signed_noise(&ball, &mut rng);
        ball.check(noisy.view())?;
        for judge in 0..self.oracles.len() {
            let sr_psnr = self.judged(scene, judge, &noisy)?.sr_psnr;
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

    fn row(
        &self,
        scene: usize,
        (attack, budget): (Attack, Budget),
        [crafter, judge]: [usize; 2],
        attacked: &Attacked,
        Judged { sr_psnr, sr_ssim, bicubic_psnr }: Judged,
    ) -> Result<Row, AuditError> {
        let photo = self.scenes[scene].photo;
        let settings = &self.plan.settings;
        let levels = |a: &f32, b: &f32| 255.0 * (f64::from(*a) - f64::from(*b)).abs();
        let moved = || attacked.image.iter().zip(&photo.x).map(|(a, b)| levels(a, b));
        let lr_psnr = psnr(photo, &photo.x, &attacked.image)?;
        Ok(Row {
            model: self.subject.name.clone(),
            image: photo.name.clone(),
            attack: attack.name().into(),
            kind: attack.kind(),
            budget: budget.levels(),
            iterations: attack.steps(settings) as usize,
            crafted_on: self.oracles[crafter].kind().to_string(),
            judged_on: self.oracles[judge].kind().to_string(),
            lr_psnr,
            sr_psnr,
            sr_ssim,
            amplification: amplification(lr_psnr, sr_psnr),
            bicubic_amplification: amplification(lr_psnr, bicubic_psnr),
            late_gain: late_gain(attack, settings.restarts, &attacked.values),
            restart_gain: restart_gain(attack, (settings.restarts, settings.iterations), &attacked.values),
            linf: moved().fold(0.0, f64::max),
            l2: (moved().map(|moved| moved * moved).sum::<f64>() / photo.x.len() as f64).sqrt(),
            objective: if objective::drives_apart(self.plan, attack) {
                Discrepancy::NAME.into()
            } else {
                objective::objective(self.plan, self.subject, attack)?.name().into()
            },
            objective_kind: objective::objective_kind(self.plan, attack),
            objective_start: attacked.values.first().copied().unwrap_or_default(),
            objective_end: attacked.value.or(attacked.values.last().copied()).unwrap_or_default(),
            reached: attacked.reached,
            seed: self.plan.seed,
            model_sha256: self.subject.sha256.clone(),
        })
    }

    /// Notes the quality of every runtime's clean output next to bicubic's, where there is ground truth.
    pub fn judge_clean(&mut self, scene: usize) -> Result<(), AuditError> {
        let photo = self.scenes[scene].photo;
        let Some(truth) = &photo.truth else { return Ok(()) };
        for index in 0..self.oracles.len() {
            let parts = (&self.model_id, &self.runtime_ids[index], &self.scenes[scene].id, self.plan.seed);
            let key = self.store.key("clean", &parts);
            let clean: Clean = self.store.remember(&key, || self.clean_at(scene, index, truth.dim()))?;
            self.clean.push(Clean { model: self.subject.name.clone(), ..clean });
        }
        Ok(())
    }

    /// The quality of S(x0) on one runtime; `truth` is the shape of the ground truth.
    fn clean_at(
        &mut self,
        scene: usize,
        index: usize,
        truth: (usize, usize, usize),
    ) -> Result<Clean, AuditError> {
        let photo = self.scenes[scene].photo;
        let output = self.clean_output(scene, index)?;
        let ours = self.quality_of_draws(photo, &output)?;
        let upscaled = metric::bicubic(only(&photo.x), truth.1, truth.2);
        let bicubic = self.quality(photo, self.subject.found.interface.geometry.inside(upscaled.view()))?;
        Ok(Clean {
            model: String::new(),
            image: photo.name.clone(),
            runtime: self.oracles[index].kind().to_string(),
            psnr: ours.psnr,
            ssim: ours.ssim,
            bicubic_psnr: bicubic.psnr,
            bicubic_ssim: bicubic.ssim,
        })
    }

    /// Quality against the ground truth, which there is: the mean over the draws of a random pre-processing.
    pub fn quality_of_draws(&self, photo: &AuditImage, output: &Array4<f32>) -> Result<Quality, AuditError> {
        let drawn = output.outer_iter().map(|output| self.quality(photo, output));
        let drawn = drawn.collect::<Result<Vec<_>, _>>()?;
        let mean = |of: fn(&Quality) -> f64| drawn.iter().map(of).sum::<f64>() / drawn.len() as f64;
        Ok(Quality { psnr: mean(|quality| quality.psnr), ssim: mean(|quality| quality.ssim) })
    }

    fn quality(&self, photo: &AuditImage, image: ArrayView3<'_, f32>) -> Result<Quality, AuditError> {
        let Some(truth) = &photo.truth else { return Err(AuditError::NoTruth { path: photo.path.clone() }) };
        let expected = self.subject.found.interface.geometry.inside(truth.view());
        metric::clean_quality(image, expected, self.subject.feed.scale)
            .map_err(|source| metric_error(photo, source))
    }
}

/// Over the pixels of all draws, where there are several.
pub fn psnr(photo: &AuditImage, a: &Array4<f32>, b: &Array4<f32>) -> Result<f64, AuditError> {
    let (a, b) = (behind_one_another(a), behind_one_another(b));
    metric::psnr(a.view(), b.view()).map_err(|source| metric_error(photo, source))
}

/// The share of the objective's end that the last fifth of the steps won, of attacks whose steps would cross
/// the ball many times. I-FGSM's just reach its border with the last one, and win as much with each.
fn late_gain(attack: Attack, restarts: usize, values: &[f64]) -> Option<f64> {
    let (last, before) = (values.last()?, values.get(values.len() * 4 / 5)?);
    let one_start = attack.converges() && restarts == 1;
    let tells = one_start && values.len() >= 10 && *last > 0.0;
    tells.then(|| ((last - before) / last).max(0.0))
}

/// The share of the best objective that the starts after the first won, of attacks that start anew.
fn restart_gain(attack: Attack, (restarts, iterations): (usize, usize), values: &[f64]) -> Option<f64> {
    let starts_anew = attack.kind() == AttackKind::WhiteBox && attack.restarts() && restarts > 1;
    if !starts_anew || values.len() != restarts * iterations {
        return None;
    }
    let best = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (all, first) = (best(values), best(&values[..iterations]));
    (all > 0.0).then(|| (all - first) / all)
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

fn metric_error(photo: &AuditImage, source: MetricError) -> AuditError {
    AuditError::Metric { image: photo.name.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_restarts_won_is_a_share_of_the_best() {
        let values = [1.0, 3.0, 2.0, 4.0, 1.0, 2.0];
        assert_eq!(restart_gain(Attack::PGD, (3, 2), &values), Some(0.25));
        assert_eq!(restart_gain(Attack::PGD, (2, 2), &values[..4]), Some(0.25));
        assert_eq!(restart_gain(Attack::PGD, (1, 2), &values[..2]), None, "one start");
        assert_eq!(restart_gain(Attack::PGD, (2, 3), &values[..4]), None, "one ended early");
        assert_eq!(restart_gain(Attack::IFGSM, (3, 2), &values), None, "no starts");
    }
}
