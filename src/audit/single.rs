//! The audit of one model: its gradients tested, its images attacked, the outputs judged.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array4, ArrayView3, ArrayView4, Axis};

use super::aim;
use super::photo::Photo;
use super::run::Watch;
use super::subject::Subject;
use super::trust::{Probe, probe, refused, require};
use super::{AuditError, Plan};
use crate::attack::{Attack, AttackError, Attacked, Budget, Discrepancy, Landscape, seeded, signed_noise};
use crate::metric::{self, MetricError, Quality};
use crate::oracle::{Effort, Objective, Oracle, OracleError};
use crate::report::{Clean, Noise, Report, Row, Trust};
use crate::runtime::{Kind, Runtime};

/// The audit of one model.
pub struct Audit<'a> {
    plan: &'a Plan,
    subject: &'a Subject,
    photos: &'a [Photo],
    oracles: Vec<Oracle>,
    /// The oracles that attacks are crafted with; all judge.
    crafters: Vec<usize>,
    /// Seconds of a forward run and of a gradient step on every oracle, where they were measured.
    paces: Vec<Pace>,
    trust: Vec<Trust>,
    clean: Vec<Clean>,
    noise: Vec<Noise>,
    rows: Vec<Row>,
}

/// How fast a runtime is, in seconds.
#[derive(Clone, Copy)]
struct Pace {
    forward: f64,
    gradient: f64,
}

impl Pace {
    /// From what was done between two readings: a gradient step does the work of two forward runs.
    fn of(before: Effort, after: Effort) -> Self {
        let runs = (after.forwards - before.forwards) + 2 * (after.gradients - before.gradients);
        let forward = (after.inside - before.inside).as_secs_f64() / runs.max(1) as f64;
        Self { forward, gradient: 2.0 * forward }
    }
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
        let oracles: Vec<Oracle> = runtimes.iter().map(oracle).collect();
        let crafters = (0..oracles.len()).collect();
        Self {
            plan,
            subject,
            photos,
            oracles,
            crafters,
            paces: vec![],
            trust: vec![],
            clean: vec![],
            noise: vec![],
            rows: vec![],
        }
    }

    /// The steps of all its attacks, tries without gradients included.
    pub fn steps(&self) -> u64 {
        let attacks = self.crafters.iter().flat_map(|&index| self.attacks(index));
        let of_photo = attacks.map(|attack| {
            let budgets = if attack.is_minimal() { 1 } else { self.plan.budgets.len() };
            attack.steps(&self.plan.settings) * budgets as u64
        });
        of_photo.sum::<u64>() * self.photos.len() as u64
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
            let before = oracle.effort();
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
            self.paces.push(Pace::of(before, oracle.effort()));
            // Its memory is for the models before it in the meantime.
            oracle.rest();
        }
        Ok(())
    }

    /// Leaves crafting to the fastest oracle whose gradient is trusted, where there is one.
    pub fn craft_on_the_fastest(&mut self) {
        let trusted = |index: &usize| self.trust.get(*index).is_some_and(|trust| trust.trusted);
        let pace = |index: &usize| self.paces.get(*index).map_or(f64::INFINITY, |pace| pace.gradient);
        let fastest = (0..self.oracles.len()).filter(trusted).min_by(|a, b| pace(a).total_cmp(&pace(b)));
        self.crafters = vec![fastest.unwrap_or(0)];
    }

    /// The runtimes that craft.
    pub fn crafters(&self) -> impl Iterator<Item = Kind> {
        self.crafters.iter().map(|&index| self.oracles[index].kind())
    }

    /// Seconds that its attacks will take, going by the self-tests; `None` where there were none.
    pub fn seconds(&self) -> Option<f64> {
        let settings = &self.plan.settings;
        let of_crafter = |&index: &usize| -> Option<f64> {
            let pace = self.paces.get(index)?;
            let of = |attack: &Attack| {
                let each = if attack.needs_gradient() { pace.gradient } else { pace.forward };
                let budgets = if attack.is_minimal() { 1 } else { self.plan.budgets.len() };
                (attack.steps(settings) as usize * budgets) as f64 * each
            };
            Some(self.attacks(index).iter().map(of).sum())
        };
        let crafting: f64 = self.crafters.iter().map(of_crafter).sum::<Option<f64>>()?;
        Some(crafting * self.photos.len() as f64)
    }

    /// Keeps the first images alone.
    pub fn keep_photos(&mut self, count: usize) {
        self.photos = &self.photos[..count.min(self.photos.len())];
    }

    /// What its model is called.
    pub fn name(&self) -> &str {
        &self.subject.name
    }

    /// How many images it has.
    pub fn photo_count(&self) -> usize {
        self.photos.len()
    }

    /// Attacks and judges every image, or those for which there is time before `deadline`; gives how many
    /// were left out.
    pub fn run(&mut self, deadline: Option<Instant>, watch: &mut dyn Watch) -> Result<usize, AuditError> {
        for (done, photo) in self.photos.iter().enumerate() {
            if done > 0 && deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(self.photos.len() - done);
            }
            watch.doing(&format!("{}: {}", self.subject.name, photo.name))?;
            self.image(photo, watch)?;
        }
        Ok(0)
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
            self.attack_with(|attack| !attack.is_minimal(), photo, budget, &clean, watch)?;
        }
        self.attack_with(Attack::is_minimal, photo, Budget::default(), &clean, watch)
    }

    /// Attacks one image with every runtime by those attacks that `which` chooses.
    fn attack_with(
        &mut self,
        which: impl Fn(Attack) -> bool,
        photo: &Photo,
        budget: Budget,
        clean: &[Array4<f32>],
        watch: &mut dyn Watch,
    ) -> Result<(), AuditError> {
        for crafter in self.crafters.clone() {
            for attack in self.attacks(crafter).into_iter().filter(|&attack| which(attack)) {
                self.attack(photo, (attack, budget), crafter, clean, watch)?;
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
        let goal = aim::goal(plan, self.subject, photo, (attack, budget), &clean[crafter])?;
        self.oracles[crafter].pursue(&aim::objective(plan, self.subject, attack)?);
        let mut rng = seeded(plan.seed, &photo.name, attack, budget);
        let mut apart;
        let next = (crafter + 1) % self.oracles.len();
        let landscape: &mut dyn Landscape = match self.oracles.get_disjoint_mut([crafter, next]) {
            Ok([ours, theirs]) if aim::drives_apart(plan, attack) => {
                apart = Discrepancy::between(ours, theirs);
                &mut apart
            }
            _ => &mut self.oracles[crafter],
        };
        let attacked = attack
            .run_one(landscape, &goal, &plan.settings, &mut rng, &mut || watch.stepped())
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
