//! The audit of one model: its gradients tested, its images attacked, the outputs judged.

use std::sync::Arc;

use ndarray::{Array4, ArrayView3, ArrayView4, Axis};

use super::photo::Photo;
use super::run::Watch;
use super::subject::Subject;
use super::trust::{Probe, probe, require};
use super::{AuditError, Plan};
use crate::attack::{AttackError, Ball, Budget, seeded};
use crate::metric::{self, MetricError, Quality};
use crate::oracle::{Objective, Oracle, OracleError};
use crate::report::{Clean, Report, Row, Trust};
use crate::rewrite::RewriteError;
use crate::runtime::Runtime;

/// The audit of one model.
pub struct Audit<'a> {
    plan: &'a Plan,
    subject: &'a Subject,
    photos: &'a [Photo],
    oracles: Vec<Oracle>,
    trust: Vec<Trust>,
    clean: Vec<Clean>,
    rows: Vec<Row>,
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
        Self { plan, subject, photos, oracles, trust: vec![], clean: vec![], rows: vec![] }
    }

    /// The gradient steps of all its attacks.
    pub fn steps(&self) -> u64 {
        (self.photos.len() * self.plan.budgets.len() * self.oracles.len() * self.plan.iterations) as u64
    }

    /// Tests the gradient on every runtime, near the first image.
    pub fn test_gradients(&mut self, watch: &mut dyn Watch) -> Result<(), AuditError> {
        let Some(photo) = self.photos.first() else { return Ok(()) };
        let name = &self.subject.name;
        let mut first: Option<Probe> = None;
        for oracle in &mut self.oracles {
            let kind = oracle.kind();
            watch.doing(&format!("{name}: testing the gradient on {kind}"))?;
            let mut on_run = || watch.tested();
            let found = probe(name, oracle, photo.x.view(), self.plan.seed, first.as_ref(), &mut on_run)
                .map_err(|error| untested(name, kind.name(), &photo.name, error))?;
            require(&found.trust, &self.subject.stopped)?;
            self.trust.push(found.trust.clone());
            first.get_or_insert(found);
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
            for crafter in 0..self.oracles.len() {
                self.attack(photo, budget, crafter, &clean, watch)?;
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
        budget: Budget,
        crafter: usize,
        clean: &[Array4<f32>],
        watch: &mut dyn Watch,
    ) -> Result<(), AuditError> {
        let plan = self.plan;
        let ball = Ball::new(photo.x.view(), budget.radius());
        let mut rng = seeded(plan.seed, &photo.name, plan.attack, budget);
        let attacked = plan
            .attack
            .run(&mut self.oracles[crafter], &clean[crafter], &ball, plan.iterations, &mut rng, &mut || {
                watch.stepped()
            })
            .map_err(|error| AuditError::attack(&self.subject.name, &photo.name, error))?;
        ball.check(attacked.image.view())?;
        let lr_psnr = self.psnr(photo, &photo.x, &attacked.image)?;
        for (judge, clean) in clean.iter().enumerate() {
            let output = self.upscale(judge, photo, attacked.image.view())?;
            let sr_psnr = self.psnr(photo, clean, &output)?;
            self.rows.push(Row {
                model: self.subject.name.clone(),
                image: photo.name.clone(),
                attack: plan.attack.name().into(),
                budget: budget.levels(),
                iterations: plan.iterations,
                crafted_on: self.oracles[crafter].kind().to_string(),
                judged_on: self.oracles[judge].kind().to_string(),
                lr_psnr,
                sr_psnr,
                objective_start: attacked.values.first().copied().unwrap_or_default(),
                objective_end: attacked.values.last().copied().unwrap_or_default(),
                seed: plan.seed,
                model_sha256: self.subject.sha256.clone(),
            });
        }
        Ok(())
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
        report.rows.extend(self.rows);
        for effort in self.oracles.iter().map(Oracle::effort) {
            report.timing.inside_runtimes += effort.inside.as_secs_f64();
            report.timing.gradient_steps += effort.gradients;
            report.timing.forward_runs += effort.forwards;
        }
    }
}

/// A self-test that came to no result. That no gradient reaches the image is one: the worst.
fn untested(model: &str, runtime: &str, image: &str, error: AttackError) -> AuditError {
    match error {
        AttackError::Oracle(OracleError::Rewrite(RewriteError::ZeroGradient(problem))) => {
            let (model, runtime) = (model.to_owned(), runtime.to_owned());
            AuditError::NotTrusted { model, runtime, reason: problem.to_string() }
        }
        error => AuditError::attack(model, image, error),
    }
}

/// The one image of a batch.
fn only(batch: &Array4<f32>) -> ArrayView3<'_, f32> {
    batch.index_axis(Axis(0), 0)
}

fn metric_error(photo: &Photo, source: MetricError) -> AuditError {
    AuditError::Metric { image: photo.name.clone(), source }
}
