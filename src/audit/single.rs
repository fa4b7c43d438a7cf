//! The audit of one model: its gradients tested, its images attacked, the outputs judged.

use std::sync::Arc;

use ndarray::{Array4, ArrayView3, ArrayView4, Axis};

use super::aim;
use super::photo::Photo;
use super::run::Watch;
use super::subject::Subject;
use super::trust::{Probe, probe, refused, require};
use super::{AuditError, Plan};
use crate::attack::{Attack, AttackError, Attacked, Budget, seeded, signed_noise};
use crate::metric::{self, MetricError, Quality};
use crate::oracle::{Objective, Oracle, OracleError};
use crate::report::{Clean, Noise, Report, Row, Trust};
use crate::runtime::Runtime;

/// The audit of one model.
pub struct Audit<'a> {
    plan: &'a Plan,
    subject: &'a Subject,
    photos: &'a [Photo],
    oracles: Vec<Oracle>,
    trust: Vec<Trust>,
    clean: Vec<Clean>,
    noise: Vec<Noise>,
    rows: Vec<Row>,
}

/// What a judge says of an attacked image.
#[derive(Clone, Copy)]
struct Judged {
    sr_psnr: f64,
    sr_ssim: Option<f64>,
    bicubic_psnr: f64,
}

impl<'a> Audit<'a> {
    /// An audit in which nothing is done yet.
    pub fn new(
        plan: &'a Plan,
        subject: &'a Subject,
        photos: &'a [Photo],
        runtimes: &[Arc<dyn Runtime>],
    ) -> Self {
        let oracle = |runtime: &Arc<dyn Runtime>| {
            Oracle::new(Arc::clone(runtime), Arc::clone(&subject.model), Objective::Distance)
        };
        let oracles = runtimes.iter().map(oracle).collect();
        Self { plan, subject, photos, oracles, trust: vec![], clean: vec![], noise: vec![], rows: vec![] }
    }

    /// The steps of all its attacks, tries without gradients included.
    pub fn steps(&self) -> u64 {
        let cells = (self.photos.len() * self.plan.budgets.len()) as u64;
        let attacks = (0..self.oracles.len()).flat_map(|index| self.attacks(index));
        attacks.map(|attack| attack.steps(&self.plan.settings)).sum::<u64>() * cells
    }

    /// The attacks that are made on a runtime: where its gradient is not trusted, those without.
    fn attacks(&self, index: usize) -> Vec<Attack> {
        if self.trust.get(index).is_none_or(|trust| trust.trusted) {
            return self.plan.attacks.clone();
        }
        let without = self.plan.attacks.iter().copied().filter(|attack| !attack.needs_gradient());
        let mut without: Vec<Attack> = without.collect();
        if without.iter().all(|&attack| attack == Attack::Random) {
            without.insert(0, Attack::Square);
        }
        without
    }

    /// Tests the gradient on every runtime, near the first image, where an attack needs one.
    pub fn test_gradients(&mut self, watch: &mut dyn Watch) -> Result<(), AuditError> {
        let needed = self.plan.attacks.iter().any(|attack| attack.needs_gradient());
        let Some(photo) = self.photos.first().filter(|_| needed) else { return Ok(()) };
        let name = &self.subject.name;
        let mut first: Option<Probe> = None;
        for oracle in &mut self.oracles {
            watch.doing(&format!("{name}: testing the gradient on {}", oracle.kind()))?;
            let mut on_run = || watch.tested();
            let found = probe(name, oracle, photo.x.view(), self.plan.seed, first.as_ref(), &mut on_run);
            let trust = match found {
                Ok(found) => {
                    let mut trust = found.trust.clone();
                    if let Err(AuditError::NotTrusted { reason, .. }) = require(&trust, &self.subject.stopped)
                    {
                        trust.problem = Some(reason);
                    } else {
                        first.get_or_insert(found);
                    }
                    trust
                }
                // That there is no gradient, or that none reaches the image, is a finding.
                Err(AttackError::Oracle(OracleError::Rewrite(reason))) => {
                    refused(name, oracle, reason.to_string())
                }
                Err(error) => return Err(AuditError::attack(name, &photo.name, error)),
            };
            self.trust.push(trust);
            // Its memory is for the models before it in the meantime.
            oracle.rest();
        }
        Ok(())
    }

    /// Attacks and judges every image.
    pub fn run(&mut self, watch: &mut dyn Watch) -> Result<(), AuditError> {
        for photo in self.photos {
            watch.doing(&format!("{}: {}", self.subject.name, photo.name))?;
            self.image(photo, watch)?;
        }
        Ok(())
    }

    /// Attacks one image with every runtime's gradients at every budget, and judges everywhere.
    fn image(&mut self, photo: &Photo, watch: &mut dyn Watch) -> Result<(), AuditError> {
        let mut clean = Vec::with_capacity(self.oracles.len());
        for index in 0..self.oracles.len() {
            clean.push(self.upscale(index, photo, photo.x.view())?);
        }
        self.judge_clean(photo, &clean)?;
        for &budget in &self.plan.budgets {
            self.judge_noise(photo, budget, &clean)?;
            for crafter in 0..self.oracles.len() {
                for attack in self.attacks(crafter) {
                    self.attack(photo, (attack, budget), crafter, &clean, watch)?;
                }
            }
        }
        Ok(())
    }

    fn upscale(
        &mut self,
        index: usize,
        photo: &Photo,
        x: ArrayView4<'_, f32>,
    ) -> Result<Array4<f32>, AuditError> {
        let output = self.oracles[index].forward(x);
        output.map_err(|error| AuditError::oracle(&self.subject.name, &photo.name, error))
    }

    fn attack(
        &mut self,
        photo: &Photo,
        (attack, budget): (Attack, Budget),
        crafter: usize,
        clean: &[Array4<f32>],
        watch: &mut dyn Watch,
    ) -> Result<(), AuditError> {
        let plan = self.plan;
        let goal = aim::goal(plan, self.subject, photo, budget, &clean[crafter])?;
        let oracle = &mut self.oracles[crafter];
        oracle.pursue(&aim::objective(plan, self.subject, attack)?);
        let mut rng = seeded(plan.seed, &photo.name, attack, budget);
        let attacked = attack
            .run_one(oracle, &goal, &plan.settings, &mut rng, &mut || watch.stepped())
            .map_err(|error| AuditError::attack(&self.subject.name, &photo.name, error))?;
        goal.ball.check(attacked.image.view())?;
        let bicubic_psnr = self.bicubic_psnr(photo, &attacked.image)?;
        for (judge, clean) in clean.iter().enumerate() {
            let output = self.upscale(judge, photo, attacked.image.view())?;
            let judged = Judged {
                sr_psnr: self.psnr(photo, clean, &output)?,
                sr_ssim: metric::luma_ssim(only(clean), only(&output))
                    .map_err(|source| metric_error(photo, source))?,
                bicubic_psnr,
            };
            let row = self.row(photo, (attack, budget), [crafter, judge], &attacked, judged)?;
            self.rows.push(row);
        }
        Ok(())
    }

    /// The PSNR between the bicubic upscales of an image and of its attacked self.
    fn bicubic_psnr(&self, photo: &Photo, attacked: &Array4<f32>) -> Result<f64, AuditError> {
        let scale = self.subject.feed.scale;
        let [_, _, height, width] = photo.shape();
        let upscaled = |x| metric::bicubic(only(x), height * scale, width * scale);
        metric::psnr(upscaled(&photo.x).view(), upscaled(attacked).view())
            .map_err(|source| metric_error(photo, source))
    }

    /// Judges noise of a budget, every value of it moved by all that is allowed, everywhere.
    fn judge_noise(
        &mut self,
        photo: &Photo,
        budget: Budget,
        clean: &[Array4<f32>],
    ) -> Result<(), AuditError> {
        let plan = self.plan;
        let goal = aim::goal(plan, self.subject, photo, budget, &clean[0])?;
        let mut rng = seeded(plan.seed, &photo.name, Attack::Random, budget);
        let noisy = signed_noise(&goal.ball, &mut rng);
        goal.ball.check(noisy.view())?;
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

    fn row(
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
            late_gain: late_gain(attack, &attacked.values),
            linf: moved().fold(0.0, f64::max),
            l2: (moved().map(|moved| moved * moved).sum::<f64>() / photo.x.len() as f64).sqrt(),
            objective: self.oracles[crafter].objective().name().into(),
            objective_start: attacked.values.first().copied().unwrap_or_default(),
            objective_end: attacked.value.or(attacked.values.last().copied()).unwrap_or_default(),
            reached: attacked.reached,
            seed: self.plan.seed,
            model_sha256: self.subject.sha256.clone(),
        })
    }

    fn psnr(&self, photo: &Photo, a: &Array4<f32>, b: &Array4<f32>) -> Result<f64, AuditError> {
        metric::psnr(only(a), only(b)).map_err(|source| metric_error(photo, source))
    }

    /// Notes the quality of every runtime's clean output next to bicubic's, where there is ground truth.
    fn judge_clean(&mut self, photo: &Photo, outputs: &[Array4<f32>]) -> Result<(), AuditError> {
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
            let ours = judge(only(output))?;
            self.clean.push(Clean {
                model: self.subject.name.clone(),
                image: photo.name.clone(),
                runtime: oracle.kind().to_string(),
                psnr: ours.psnr,
                ssim: ours.ssim,
                bicubic_psnr: bicubic.psnr,
                bicubic_ssim: bicubic.ssim,
            });
        }
        Ok(())
    }

    /// Adds what was found.
    pub fn into_report(self, report: &mut Report) {
        report.trust.extend(self.trust);
        report.clean.extend(self.clean);
        report.noise.extend(self.noise);
        report.rows.extend(self.rows);
        for effort in self.oracles.iter().map(Oracle::effort) {
            report.timing.inside_runtimes += effort.inside.as_secs_f64();
            report.timing.gradient_steps += effort.gradients;
            report.timing.forward_runs += effort.forwards;
        }
    }
}

/// The share of the objective's end that the last fifth of the steps won, where an attack climbs in
/// steps of equal size and so should have arrived by then.
fn late_gain(attack: Attack, values: &[f64]) -> Option<f64> {
    let (last, before) = (values.last()?, values.get(values.len() * 4 / 5)?);
    let tells = attack.needs_gradient() && values.len() >= 10 && *last > 0.0;
    tells.then(|| ((last - before) / last).max(0.0))
}

/// The ratio of two root mean squares on [0, 1], from their PSNRs.
fn amplification(input: f64, output: f64) -> Option<f64> {
    input.is_finite().then(|| 10f64.powf((input - output) / 20.0))
}

/// The one image of a batch.
fn only(batch: &Array4<f32>) -> ArrayView3<'_, f32> {
    batch.index_axis(Axis(0), 0)
}

fn metric_error(photo: &Photo, source: MetricError) -> AuditError {
    AuditError::Metric { image: photo.name.clone(), source }
}
