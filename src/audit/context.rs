//! The audit of one model: its gradients tested, its images attacked, the outputs judged.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array4, ArrayView4};
use sha2::{Digest, Sha256};

use crate::attack::{Attack, AttackError, AttackKind, Budget};
use crate::audit::gradient_check::{Probe, probe, refused, require};
use crate::audit::inputs::image_id::{Scene, identity};
use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::model::{AuditedModel, hex};
use crate::audit::measure::attack::Crafted;
use crate::audit::preprocess::{drawn, judging_draws};
use crate::audit::run::Watch;
use crate::audit::schedule::Pace;
use crate::audit::store::{Key, Store};
use crate::audit::{AuditError, Plan};
use crate::onnx;
use crate::oracle::{Objective, Oracle, OracleError, Preprocess};
use crate::report::{
    Certificate, Clean, Clever, GradientCheck, Measured, MinimalBudget, Noise, Report, Row, Transfer,
    Universal,
};
use crate::runtime::Runtime;

/// The audit of one model.
pub struct Audit<'a> {
    pub plan: &'a Plan,
    pub subject: &'a AuditedModel,
    /// What was worked out before.
    pub store: &'a Store,
    /// The hash of the model as it is attacked.
    pub model_id: String,
    /// The hash of the picture that attacks go toward, where they do.
    pub toward: &'a str,
    /// Every runtime with its version.
    pub runtime_ids: Vec<String>,
    /// The image that gradients are tested at.
    first: Option<&'a AuditImage>,
    pub scenes: Vec<Scene<'a>>,
    pub oracles: Vec<Oracle>,
    /// The oracles that attacks are crafted with; all judge.
    pub crafters: Vec<usize>,
    /// Seconds of a forward run and of a gradient step on every oracle, where they were measured.
    pub paces: Vec<Pace>,
    pub checks: Vec<GradientCheck>,
    /// Where the self-test is to be kept, where it was made anew.
    untold: Option<Key>,
    pub clean: Vec<Clean>,
    pub noise: Vec<Noise>,
    pub clever: Vec<Clever>,
    pub rows: Vec<Row>,
    pub crafted: Vec<Crafted>,
    pub transfers: Vec<Transfer>,
    pub smallest: Vec<MinimalBudget>,
    pub universal: Vec<Universal>,
    pub certificates: Vec<Certificate>,
}

impl<'a> Audit<'a> {
    /// An audit in which nothing is done yet.
    pub fn new(
        plan: &'a Plan,
        subject: &'a AuditedModel,
        photos: &'a [AuditImage],
        runtimes: &[Arc<dyn Runtime>],
        (store, toward): (&'a Store, &'a str),
    ) -> Self {
        let oracle = |runtime: &Arc<dyn Runtime>| {
            let bare = Oracle::new(Arc::clone(runtime), Arc::clone(&subject.model), Objective::Distance);
            match &subject.front {
                Some((front, _)) => bare.behind(Arc::new(*front)),
                None => bare,
            }
        };
        let held = |place: usize| plan.shard.is_none_or(|shard| shard.holds(place));
        let photos_held = photos.iter().enumerate().filter(|(place, _)| held(*place));
        Self {
            plan,
            subject,
            store,
            model_id: identity_of(subject),
            toward,
            runtime_ids: runtimes.iter().map(|it| format!("{} {}", it.kind(), it.version())).collect(),
            first: photos.first(),
            scenes: photos_held.map(|(_, photo)| Scene::new(photo, runtimes.len())).collect(),
            oracles: runtimes.iter().map(oracle).collect(),
            crafters: (0..runtimes.len()).collect(),
            paces: vec![],
            checks: vec![],
            untold: None,
            clean: vec![],
            noise: vec![],
            clever: vec![],
            rows: vec![],
            crafted: vec![],
            transfers: vec![],
            smallest: vec![],
            universal: vec![],
            certificates: vec![],
        }
    }

    /// The attacks that are made on a runtime: where its gradient is not trusted, those without.
    pub fn attacks(&self, index: usize) -> Vec<Attack> {
        if self.checks.get(index).is_none_or(|check| check.trusted) {
            return self.plan.attacks.clone();
        }
        let without = self.plan.attacks.iter().copied().filter(|attack| !attack.needs_gradient());
        let mut without: Vec<Attack> = without.collect();
        if without.iter().all(|attack| attack.kind() == AttackKind::Baseline) {
            without.insert(0, Attack::SQUARE);
        }
        without
    }

    /// Tests the gradient on every runtime, near the first image, where an attack needs one.
    pub fn test_gradients(&mut self, watch: &mut dyn Watch) -> Result<(), AuditError> {
        let needed =
            self.plan.clever.is_some() || self.plan.attacks.iter().any(|attack| attack.needs_gradient());
        let Some(photo) = self.first.filter(|_| needed) else { return Ok(()) };
        let parts = (&self.model_id, &self.runtime_ids, identity(photo), self.plan.seed);
        let key = self.store.key("gradient checks", &parts);
        let known = self.store.get::<Vec<(GradientCheck, Pace)>>(&key);
        self.untold = known.is_none().then_some(key);
        let tested = match known {
            Some(tested) => tested,
            None => self.probe_all(photo, watch)?,
        };
        let named = |check| GradientCheck { model: self.subject.name.clone(), ..check };
        (self.checks, self.paces) = tested.into_iter().map(|(check, pace)| (named(check), pace)).unzip();
        Ok(())
    }

    /// Keeps what the self-test said, once the models beside this one have passed theirs.
    pub fn keep_checks(&self) -> Result<(), AuditError> {
        let Some(key) = &self.untold else { return Ok(()) };
        let tested: Vec<_> = self.checks.iter().zip(&self.paces).collect();
        Ok(self.store.put(key, &tested)?)
    }

    fn probe_all(
        &mut self,
        photo: &AuditImage,
        watch: &mut dyn Watch,
    ) -> Result<Vec<(GradientCheck, Pace)>, AuditError> {
        let name = &self.subject.name;
        let mut first: Option<Probe> = None;
        let mut tested = Vec::with_capacity(self.oracles.len());
        for oracle in &mut self.oracles {
            watch.doing(&format!("{name}: testing the gradient on {}", oracle.kind()))?;
            let before = oracle.effort();
            let mut on_run = || watch.tested();
            let found = probe(name, oracle, photo.x.view(), self.plan.seed, first.as_ref(), &mut on_run);
            let report = match found {
                Ok(found) => {
                    let mut report = found.report.clone();
                    if let Err(AuditError::NotTrusted { reason, .. }) =
                        require(&report, &self.subject.stopped)
                    {
                        report.problem = Some(reason);
                    } else {
                        first.get_or_insert(found);
                    }
                    report
                }
                // That there is no gradient, or that none reaches the image, is a finding.
                Err(AttackError::Oracle(OracleError::Rewrite(reason))) => {
                    refused(name, oracle, reason.to_string())
                }
                Err(error) => return Err(AuditError::attack(name, &photo.name, error)),
            };
            tested.push((report, Pace::of(before, oracle.effort())));
            // Its memory is for the models before it in the meantime.
            oracle.rest();
        }
        Ok(tested)
    }

    /// Takes the self-test of the bare model for its own: differences cannot test what passes straight
    /// through, or is a mean over draws.
    pub fn adopt_checks(&mut self, bare: &Self) {
        let straight = self.subject.front.as_ref().is_some_and(|(front, _)| !front.has_derivative());
        let adopted = bare.checks.iter().zip(&self.oracles).map(|(check, oracle)| GradientCheck {
            model: self.subject.name.clone(),
            straight_through: check.straight_through || straight,
            draws: oracle.draws(),
            ..check.clone()
        });
        self.checks = adopted.collect();
        self.paces = bare.paces.clone();
    }

    /// Attacks and judges every image, or those for which there is time before `deadline`; gives how many
    /// were left out.
    pub fn run(&mut self, deadline: Option<Instant>, watch: &mut dyn Watch) -> Result<usize, AuditError> {
        for group in self.groups() {
            if group.start > 0 && deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(self.scenes.len() - group.start);
            }
            self.group(group.clone(), watch)?;
            self.scenes[group].iter_mut().for_each(|scene| scene.clean.fill(None));
        }
        if self.plan.universal {
            self.find_universal(watch)?;
        }
        self.oracles.iter_mut().for_each(Oracle::rest);
        Ok(0)
    }

    /// Images that go through the model together: neighbours of one shape.
    fn groups(&self) -> Vec<Range<usize>> {
        // Each image has draws of its own where a pre-processing is random.
        let random = self.oracles.iter().any(|oracle| oracle.draws() > 1);
        let most = if random { 1 } else { self.plan.settings.batch.max(1) };
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (index, scene) in self.scenes.iter().enumerate() {
            match groups.last_mut() {
                Some(last)
                    if last.len() < most && self.scenes[last.start].photo.shape() == scene.photo.shape() =>
                {
                    last.end = index + 1;
                }
                _ => groups.push(index..index + 1),
            }
        }
        groups
    }

    /// Attacks images with every runtime's gradients at every budget, and judges everywhere.
    fn group(&mut self, group: Range<usize>, watch: &mut dyn Watch) -> Result<(), AuditError> {
        for scene in group.clone() {
            watch.doing(&format!("{}: {}", self.subject.name, self.scenes[scene].photo.name))?;
            self.judge_clean(scene)?;
            self.take_clever(scene, watch)?;
            self.find_smallest(scene, watch)?;
            self.certify(scene, watch)?;
        }
        for &budget in &self.plan.budgets {
            for scene in group.clone() {
                self.judge_noise(scene, budget)?;
            }
            self.attack_with(|attack| !attack.is_minimal(), group.clone(), budget, watch)?;
        }
        self.attack_with(Attack::is_minimal, group, Budget::default(), watch)
    }

    /// Attacks images with every runtime by those attacks that `which` chooses.
    fn attack_with(
        &mut self,
        which: impl Fn(Attack) -> bool,
        group: Range<usize>,
        budget: Budget,
        watch: &mut dyn Watch,
    ) -> Result<(), AuditError> {
        for crafter in self.crafters.clone() {
            for attack in self.attacks(crafter).into_iter().filter(|&attack| which(attack)) {
                self.attack(group.clone(), (attack, budget), crafter, watch)?;
            }
        }
        Ok(())
    }

    /// What a runtime makes of an image: one output for every draw of a random pre-processing.
    pub fn upscale(
        &mut self,
        index: usize,
        photo: &AuditImage,
        x: ArrayView4<'_, f32>,
    ) -> Result<Array4<f32>, AuditError> {
        let output = drawn(&mut self.oracles[index], x, judging_draws(self.plan.seed, &photo.name));
        output.map_err(|error| AuditError::oracle(&self.subject.name, &photo.name, error))
    }

    /// S(x0) on a runtime, worked out when somebody first asks.
    pub fn clean_output(&mut self, scene: usize, index: usize) -> Result<Array4<f32>, AuditError> {
        let photo = self.scenes[scene].photo;
        if let Some(known) = &self.scenes[scene].clean[index] {
            return Ok(known.clone());
        }
        let output = self.upscale(index, photo, photo.x.view())?;
        self.scenes[scene].clean[index] = Some(output.clone());
        Ok(output)
    }

    /// Adds what was found.
    pub fn into_report(self, report: &mut Report) {
        report.measured.append(Measured {
            gradient_checks: self.checks,
            clean: self.clean,
            rows: self.rows,
            noise: self.noise,
            clever: self.clever,
            transfers: self.transfers,
            minimal_budgets: self.smallest,
            universal: self.universal,
            certificates: self.certificates,
        });
        for effort in self.oracles.iter().map(Oracle::effort) {
            report.timing.inside_runtimes += effort.inside.as_secs_f64();
            report.timing.gradient_steps += effort.gradients;
            report.timing.forward_runs += effort.forwards;
        }
    }
}

/// The hash of a model as it is attacked, with what images pass before it.
fn identity_of(subject: &AuditedModel) -> String {
    let front = subject.front.as_ref().map_or(String::new(), |(front, _)| front.to_string());
    hash(&[&onnx::to_bytes(&subject.model), front.as_bytes()].concat())
}

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
