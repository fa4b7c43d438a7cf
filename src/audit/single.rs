//! The audit of one model: its gradients tested, its images attacked, the outputs judged.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array4, ArrayView4, s};
use rand::RngExt;

use super::aim;
use super::judge::{Judged, mean_ssim, metric_error};
use super::photo::Photo;
use super::preprocess::{drawn, judging_draws};
use super::run::Watch;
use super::schedule::Pace;
use super::subject::Subject;
use super::trust::{Probe, probe, refused, require};
use super::{AuditError, Plan};
use crate::attack::{Attack, AttackError, Budget, Discrepancy, Landscape, seeded};
use crate::oracle::{Objective, Oracle, OracleError, Preprocess};
use crate::report::{Certificate, Clean, Clever, Noise, Report, Row, Trust};
use crate::runtime::Runtime;

/// The audit of one model.
pub struct Audit<'a> {
    pub(super) plan: &'a Plan,
    pub(super) subject: &'a Subject,
    pub(super) photos: &'a [Photo],
    pub(super) oracles: Vec<Oracle>,
    /// The oracles that attacks are crafted with; all judge.
    pub(super) crafters: Vec<usize>,
    /// Seconds of a forward run and of a gradient step on every oracle, where they were measured.
    pub(super) paces: Vec<Pace>,
    pub(super) trust: Vec<Trust>,
    pub(super) clean: Vec<Clean>,
    pub(super) noise: Vec<Noise>,
    pub(super) clever: Vec<Clever>,
    pub(super) rows: Vec<Row>,
    pub(super) certificates: Vec<Certificate>,
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
            let bare = Oracle::new(Arc::clone(runtime), Arc::clone(&subject.model), Objective::Distance);
            match &subject.front {
                Some((front, _)) => bare.behind(Arc::new(*front)),
                None => bare,
            }
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
            clever: vec![],
            rows: vec![],
            certificates: vec![],
        }
    }

    /// The attacks that are made on a runtime: where its gradient is not trusted, those without.
    pub(super) fn attacks(&self, index: usize) -> Vec<Attack> {
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
        let needed =
            self.plan.clever.is_some() || self.plan.attacks.iter().any(|attack| attack.needs_gradient());
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

    /// Takes the self-test of the bare model for its own: differences cannot test what passes straight
    /// through, or is a mean over draws.
    pub fn adopt_trust(&mut self, bare: &Self) {
        let straight = self.subject.front.as_ref().is_some_and(|(front, _)| !front.has_derivative());
        let adopted = bare.trust.iter().zip(&self.oracles).map(|(trust, oracle)| Trust {
            model: self.subject.name.clone(),
            straight_through: trust.straight_through || straight,
            draws: oracle.draws(),
            ..trust.clone()
        });
        self.trust = adopted.collect();
        self.paces = bare.paces.clone();
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
        self.take_clever(photo, &clean, watch)?;
        self.certify(photo, &clean, watch)?;
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

    /// What a runtime makes of an image: one output for every draw of a random pre-processing.
    pub(super) fn upscale(
        &mut self,
        index: usize,
        photo: &Photo,
        x: ArrayView4<'_, f32>,
    ) -> Result<Array4<f32>, AuditError> {
        let output = drawn(&mut self.oracles[index], x, judging_draws(self.plan.seed, &photo.name));
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
        let one = clean[crafter].slice(s![..1, .., .., ..]).to_owned();
        let goal = aim::goal(plan, self.subject, photo, (attack, budget), &one)?;
        self.oracles[crafter].pursue(&aim::objective(plan, self.subject, attack)?);
        let mut rng = seeded(plan.seed, &photo.name, attack, budget);
        self.oracles[crafter].at_draw(rng.clone().random());
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
                sr_ssim: mean_ssim(clean, &output).map_err(|source| metric_error(photo, source))?,
                bicubic_psnr,
            };
            let row = self.row(photo, (attack, budget), [crafter, judge], &attacked, judged)?;
            self.rows.push(row);
        }
        Ok(())
    }

    /// Adds what was found.
    pub fn into_report(self, report: &mut Report) {
        report.trust.extend(self.trust);
        report.clean.extend(self.clean);
        report.noise.extend(self.noise);
        report.clever.extend(self.clever);
        report.rows.extend(self.rows);
        report.certificates.extend(self.certificates);
        for effort in self.oracles.iter().map(Oracle::effort) {
            report.timing.inside_runtimes += effort.inside.as_secs_f64();
            report.timing.gradient_steps += effort.gradients;
            report.timing.forward_runs += effort.forwards;
        }
    }
}
