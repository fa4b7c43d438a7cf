//! Carries out a plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array4, ArrayView3, ArrayView4, Axis};

use super::photo::Photo;
use super::subject::Subject;
use super::trust::{Probe, probe, require};
use super::{AuditError, Plan};
use crate::attack::{Ball, Budget, Interrupted, seeded};
use crate::metric::{self, CONVENTION, MetricError};
use crate::oracle::{Objective, Oracle};
use crate::report::{
    Clean, Convention, Report, Row, RuntimeInfo, SCHEMA, Settings, Timing, Trust, summarise,
};
use crate::runtime::{self, Runtime};

/// What the numbers of an audit need said beside those of the metrics.
const OURS: [Convention; 2] = [
    Convention {
        name: "start",
        how: "the norm has no gradient at x0, so an attack starts at x0 plus seeded uniform noise of at most one step",
    },
    Convention { name: "null", how: "a PSNR of null is infinite: the two images are equal" },
];

/// What the audit's owner hears, and may stop it by.
pub trait Watch {
    /// Before the first step: how many gradient steps there will be.
    fn planned(&mut self, steps: u64);

    /// What is being done now.
    fn doing(&mut self, what: &str);

    /// After every gradient step.
    fn stepped(&mut self) -> Result<(), Interrupted>;
}

/// Runs the audit.
///
/// # Errors
/// The first thing that is wrong with a file, a runtime or a gradient; nothing is reported then.
pub fn run(plan: &Plan, watch: &mut dyn Watch) -> Result<Report, AuditError> {
    let start = Instant::now();
    let subjects = Subject::read_all(&plan.models)?;
    let photos = load_photos(plan, &subjects)?;
    let runtimes: Vec<Arc<dyn Runtime>> =
        plan.runtimes.iter().map(|&kind| runtime::open(kind).map(Arc::from)).collect::<Result<_, _>>()?;
    let mut report = empty(plan, &subjects, &photos, &runtimes);
    let images: usize = subjects.iter().map(|subject| photos[&subject.scale].len()).sum();
    let attacks = images * plan.budgets.len() * runtimes.len();
    watch.planned((attacks * plan.iterations) as u64);
    for subject in &subjects {
        let mut audit = Audit::new(plan, subject, &runtimes, watch);
        audit.run(&photos[&subject.scale])?;
        audit.into_report(&mut report);
    }
    report.summary = summarise(&report.rows);
    report.timing.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

/// The images, per scale of the models.
fn load_photos(plan: &Plan, subjects: &[Subject]) -> Result<BTreeMap<usize, Vec<Photo>>, AuditError> {
    let mut photos = BTreeMap::new();
    for subject in subjects {
        if let std::collections::btree_map::Entry::Vacant(entry) = photos.entry(subject.scale) {
            entry.insert(plan.images.load(subject.scale, plan.crop)?);
        }
        for photo in &photos[&subject.scale] {
            check_truth(subject, photo)?;
        }
    }
    Ok(photos)
}

fn check_truth(subject: &Subject, photo: &Photo) -> Result<(), AuditError> {
    let Some((path, truth)) = &photo.truth else { return Ok(()) };
    let expected = [photo.x.shape()[2] * subject.scale, photo.x.shape()[3] * subject.scale];
    let found = [truth.shape()[1], truth.shape()[2]];
    if found == expected {
        return Ok(());
    }
    Err(AuditError::TruthSize { path: path.clone(), model: subject.name.clone(), found, expected })
}

fn empty(
    plan: &Plan,
    subjects: &[Subject],
    photos: &BTreeMap<usize, Vec<Photo>>,
    runtimes: &[Arc<dyn Runtime>],
) -> Report {
    let conventions = CONVENTION.iter().map(|&(name, how)| Convention { name, how });
    Report {
        schema: SCHEMA,
        temper: env!("CARGO_PKG_VERSION"),
        conventions: conventions.chain(OURS).collect(),
        settings: Settings {
            attack: plan.attack.name().into(),
            objective: Objective::Distance.name().into(),
            budgets: plan.budgets.iter().map(|budget| budget.levels()).collect(),
            iterations: plan.iterations,
            seed: plan.seed,
            crop: plan.crop,
        },
        runtimes: runtimes
            .iter()
            .map(|runtime| RuntimeInfo { name: runtime.kind().to_string(), version: runtime.version() })
            .collect(),
        models: subjects.iter().map(Subject::info).collect(),
        images: photos.values().flatten().map(Photo::info).collect(),
        trust: Vec::new(),
        clean: Vec::new(),
        rows: Vec::new(),
        summary: Vec::new(),
        timing: Timing::default(),
    }
}

/// The audit of one model.
struct Audit<'a> {
    plan: &'a Plan,
    subject: &'a Subject,
    oracles: Vec<Oracle>,
    watch: &'a mut dyn Watch,
    trust: Vec<Trust>,
    clean: Vec<Clean>,
    rows: Vec<Row>,
}

impl<'a> Audit<'a> {
    fn new(
        plan: &'a Plan,
        subject: &'a Subject,
        runtimes: &[Arc<dyn Runtime>],
        watch: &'a mut dyn Watch,
    ) -> Self {
        let oracle = |runtime: &Arc<dyn Runtime>| {
            Oracle::new(Arc::clone(runtime), Arc::clone(&subject.model), Objective::Distance)
        };
        let oracles = runtimes.iter().map(oracle).collect();
        Self { plan, subject, oracles, watch, trust: vec![], clean: vec![], rows: vec![] }
    }

    fn run(&mut self, photos: &[Photo]) -> Result<(), AuditError> {
        if let Some(photo) = photos.first() {
            self.watch.doing(&format!("{}: testing gradients", self.subject.name));
            self.test_gradients(photo)?;
        }
        for photo in photos {
            self.watch.doing(&format!("{}: {}", self.subject.name, photo.name));
            self.image(photo)?;
        }
        Ok(())
    }

    fn test_gradients(&mut self, photo: &Photo) -> Result<(), AuditError> {
        let mut first: Option<Probe> = None;
        for oracle in &mut self.oracles {
            let name = &self.subject.name;
            let found = probe(name, oracle, photo.x.view(), self.plan.seed, first.as_ref())
                .map_err(|error| AuditError::oracle(name, &photo.name, error))?;
            require(&found.trust)?;
            self.trust.push(found.trust.clone());
            first.get_or_insert(found);
        }
        Ok(())
    }

    /// Attacks one image with every runtime's gradients at every budget, and judges everywhere.
    fn image(&mut self, photo: &Photo) -> Result<(), AuditError> {
        let mut clean = Vec::with_capacity(self.oracles.len());
        for index in 0..self.oracles.len() {
            let output = self.upscale(index, photo, photo.x.view())?;
            self.quality(index, photo, &output)?;
            clean.push(output);
        }
        for &budget in &self.plan.budgets {
            for crafter in 0..self.oracles.len() {
                self.attack(photo, budget, crafter, &clean)?;
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
    ) -> Result<(), AuditError> {
        let plan = self.plan;
        let ball = Ball::new(photo.x.view(), budget.radius());
        let mut rng = seeded(plan.seed, &photo.name, plan.attack, budget);
        let watch = &mut *self.watch;
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

    /// Notes the clean quality next to bicubic's, where there is ground truth.
    fn quality(&mut self, index: usize, photo: &Photo, output: &Array4<f32>) -> Result<(), AuditError> {
        let Some((_, truth)) = &photo.truth else { return Ok(()) };
        let [height, width] = [truth.shape()[1], truth.shape()[2]];
        let bicubic = metric::bicubic(only(&photo.x), height, width);
        let judge = |image: ArrayView3<'_, f32>| {
            metric::clean_quality(image, truth.view(), self.subject.scale)
                .map_err(|source| metric_error(photo, source))
        };
        let (ours, theirs) = (judge(only(output))?, judge(bicubic.view())?);
        self.clean.push(Clean {
            model: self.subject.name.clone(),
            image: photo.name.clone(),
            runtime: self.oracles[index].kind().to_string(),
            psnr: ours.psnr,
            ssim: ours.ssim,
            bicubic_psnr: theirs.psnr,
            bicubic_ssim: theirs.ssim,
        });
        Ok(())
    }

    fn into_report(self, report: &mut Report) {
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

/// The one image of a batch.
fn only(batch: &Array4<f32>) -> ArrayView3<'_, f32> {
    batch.index_axis(Axis(0), 0)
}

fn metric_error(photo: &Photo, source: MetricError) -> AuditError {
    AuditError::Metric { image: photo.name.clone(), source }
}
