//! Carries out a plan.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::aim;
use super::fit::Feed;
use super::memory::{free_bytes, peak_bytes};
use super::photo::Photo;
use super::schedule::{Planned, planned, schedule};
use super::single::Audit;
use super::subject::Subject;
use super::{AuditError, Plan};
use super::{certificate, preprocess};
use crate::attack::Interrupted;
use crate::metric::CONVENTION;
use crate::report::{Convention, Report, RuntimeInfo, SCHEMA, Settings, Timing, findings, summarise, worst};
use crate::runtime::{self, Runtime};

/// What the numbers of an audit need said beside those of the metrics.
const OURS: [Convention; 5] = [
    Convention {
        name: "start",
        how: "the norm has no gradient at x0, so an attack starts at x0 plus seeded uniform noise: ifgsm and mifgsm of at most one step, fgsm of at most a fiftieth of the budget (its step starts at x0), pgd and apgd of at most the budget; fda starts at x0",
    },
    Convention {
        name: "budget",
        how: "in 1/255: the most that a value may move, and in the norm l2 the most that the root mean square over all values that may move can be; cw is bounded by the range of pixels alone, written 255, and aims at 30 dB where no target_psnr is set",
    },
    Convention { name: "null", how: "a PSNR of null is infinite: the two images are equal" },
    Convention {
        name: "summary",
        how: "a mean is over the finite PSNRs of a cell, so that one attack that changed nothing cannot hide what the others did; null where none is finite",
    },
    Convention {
        name: "unchanged",
        how: "attacks of a cell that left the output as it was, to the last bit: no part of its mean sr_psnr",
    },
];

/// What the audit's owner hears, and may stop it by.
pub trait Watch {
    /// Before every longer part: what will be done now.
    fn doing(&mut self, what: &str) -> Result<(), Interrupted>;

    /// Before the first attack: what there will be to do.
    fn planned(&mut self, planned: &Planned);

    /// After every gradient step of an attack.
    fn stepped(&mut self) -> Result<(), Interrupted>;

    /// After every run of a self-test.
    fn tested(&mut self) -> Result<(), Interrupted>;
}

/// Runs the audit.
///
/// Whatever can be found wrong without an attack is found before the first one.
///
/// # Errors
/// The first thing that is wrong with a file, a runtime or a gradient; nothing is reported then.
pub fn run(plan: &Plan, watch: &mut dyn Watch) -> Result<Report, AuditError> {
    let start = Instant::now();
    watch.doing("reading models")?;
    let runtimes: Vec<Arc<dyn Runtime>> =
        plan.runtimes.iter().map(|&kind| runtime::open(kind).map(Arc::from)).collect::<Result<_, _>>()?;
    let mut subjects: Vec<Subject> = Subject::read_all(&plan.models, &plan.wishes, &runtimes)?
        .into_iter()
        .flat_map(|subject| subject.with_fronts(&plan.preprocess))
        .collect();
    let photos = load_photos(plan, &subjects, watch)?;
    let memory = plan.memory.or_else(free_bytes);
    for subject in &mut subjects {
        watch.doing(&format!("{}: fitting images", subject.name))?;
        subject.admit(&photos[&subject.feed], memory, (plan.settings.batch, runtimes.len()))?;
        aim::check(plan, subject, &photos[&subject.feed])?;
    }
    let mut report = empty(plan, &subjects, &photos, &runtimes);
    let audits = subjects.iter().map(|subject| Audit::new(plan, subject, &photos[&subject.feed], &runtimes));
    let mut audits: Vec<Audit<'_>> = audits.collect();
    // Every model is followed by itself behind each pre-processing.
    for behind_one in audits.chunks_mut(1 + plan.preprocess.len()) {
        if let Some((bare, behind)) = behind_one.split_first_mut() {
            bare.test_gradients(watch)?;
            behind.iter_mut().for_each(|audit| audit.adopt_trust(bare));
        }
    }
    let mut left_out = schedule(plan, &mut audits);
    watch.planned(&planned(plan, &audits));
    let deadline = plan.time_limit.map(|limit| Instant::now() + limit);
    for mut audit in audits {
        let images = audit.run(deadline, watch)?;
        if images > 0 {
            left_out
                .push(format!("--time-limit was over before the last {images} images of {}", audit.name()));
        }
        audit.into_report(&mut report);
    }
    report.settings.left_out.extend(left_out);
    report.summary = summarise(&report.rows);
    report.worst = worst(&report.rows);
    report.findings = findings(&report);
    report.timing.peak_memory = peak_bytes();
    report.timing.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

/// The images, as the models take them.
fn load_photos(
    plan: &Plan,
    subjects: &[Subject],
    watch: &mut dyn Watch,
) -> Result<BTreeMap<Feed, Vec<Photo>>, AuditError> {
    let mut photos = BTreeMap::new();
    for subject in subjects {
        if let Entry::Vacant(entry) = photos.entry(subject.feed) {
            let mut on_image = |path: &Path| watch.doing(&format!("reading {}", path.display()));
            let model = (subject.name.as_str(), &subject.feed);
            let loaded = plan.images.load(model, plan.crop, plan.most_images, &mut on_image)?;
            entry.insert(loaded);
        }
    }
    Ok(photos)
}

fn empty(
    plan: &Plan,
    subjects: &[Subject],
    photos: &BTreeMap<Feed, Vec<Photo>>,
    runtimes: &[Arc<dyn Runtime>],
) -> Report {
    let conventions = CONVENTION.iter().map(|&(name, how)| Convention { name, how });
    Report {
        schema: SCHEMA,
        temper: env!("CARGO_PKG_VERSION"),
        conventions: conventions
            .chain(OURS)
            .chain([preprocess::CONVENTION, certificate::CONVENTION])
            .collect(),
        settings: Settings {
            attack: plan.attacks.iter().map(|attack| attack.name()).collect::<Vec<_>>().join(","),
            objective: plan.objective.name().into(),
            taps: plan.taps.clone(),
            norm: plan.norm.name(),
            region: plan.region.map(|region| [region.x, region.y, region.width, region.height]),
            budgets: plan.budgets.iter().map(|budget| budget.levels()).collect(),
            iterations: plan.settings.iterations,
            restarts: plan.settings.restarts,
            queries: plan.settings.queries,
            target_psnr: plan.settings.target_psnr,
            seed: plan.seed,
            crop: plan.crop,
            left_out: plan.left_out.clone(),
            preprocess: plan.preprocess.iter().map(ToString::to_string).collect(),
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
        noise: Vec::new(),
        clever: Vec::new(),
        summary: Vec::new(),
        worst: Vec::new(),
        findings: Vec::new(),
        certificates: Vec::new(),
        timing: Timing::default(),
    }
}
