//! Carries out a plan.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::attack::Interrupted;
use crate::audit::context::Audit;
use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::memory::{free_bytes, peak_bytes};
use crate::audit::inputs::model::AuditedModel;
use crate::audit::inputs::requirements::ImageRequirements;
use crate::audit::measure::transfer;
use crate::audit::objective;
use crate::audit::schedule::{Planned, planned, schedule};
use crate::audit::skeleton::skeleton;
use crate::audit::store::Store;
use crate::audit::{AuditError, Plan};
use crate::report::Report;
use crate::runtime::{self, Runtime};

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
/// The first thing that is wrong with a file, a runtime or a gradient; nothing is reported then, and what
/// was worked out is kept where the plan says so.
pub fn run(plan: &Plan, watch: &mut dyn Watch) -> Result<Report, AuditError> {
    let start = Instant::now();
    watch.doing("reading models")?;
    let runtimes: Vec<Arc<dyn Runtime>> =
        plan.runtimes.iter().map(|&kind| runtime::open(kind).map(Arc::from)).collect::<Result<_, _>>()?;
    let mut subjects: Vec<AuditedModel> = AuditedModel::read_all(&plan.models, &plan.wishes, &runtimes)?
        .into_iter()
        .flat_map(|subject| subject.with_fronts(&plan.preprocess))
        .collect();
    let photos = load_photos(plan, &subjects, watch)?;
    admit(plan, &mut subjects, &photos, watch)?;
    let mut report = skeleton(plan, &subjects, &photos, &runtimes);
    let (store, toward) = (Store::open(plan.cache.as_deref())?, objective::toward(plan)?);
    let known = (&store, toward.as_str());
    let audit = |subject| Audit::new(plan, subject, &photos[&subject.feed], &runtimes, known);
    let mut audits: Vec<Audit<'_>> = subjects.iter().map(audit).collect();
    // Every model is followed by itself behind each pre-processing.
    for behind_one in audits.chunks_mut(1 + plan.preprocess.len()) {
        if let Some((bare, behind)) = behind_one.split_first_mut() {
            bare.test_gradients(watch)?;
            behind.iter_mut().for_each(|audit| audit.adopt_checks(bare));
        }
    }
    audits.iter().try_for_each(Audit::keep_checks)?;
    report.settings.left_out.extend(schedule(plan, &mut audits));
    watch.planned(&planned(plan, &audits));
    report.settings.left_out.extend(attack_all(plan, &mut audits, watch)?);
    audits.into_iter().for_each(|audit| audit.into_report(&mut report));
    report.conclude();
    report.timing.peak_memory = peak_bytes();
    report.timing.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

/// Checks that every model takes its images, in the memory there is, and has what the attacks need.
fn admit(
    plan: &Plan,
    subjects: &mut [AuditedModel],
    photos: &BTreeMap<ImageRequirements, Vec<AuditImage>>,
    watch: &mut dyn Watch,
) -> Result<(), AuditError> {
    let memory = plan.memory.or_else(free_bytes);
    for subject in subjects {
        watch.doing(&format!("{}: fitting images", subject.name))?;
        let photos = &photos[&subject.feed];
        subject.admit(photos, memory, (plan.settings.batch, plan.runtimes.len()))?;
        objective::check(plan, subject, photos)?;
    }
    Ok(())
}

/// Attacks and judges, and gives what there was no time for, in words.
fn attack_all(
    plan: &Plan,
    audits: &mut [Audit<'_>],
    watch: &mut dyn Watch,
) -> Result<Vec<String>, AuditError> {
    let deadline = plan.time_limit.map(|limit| Instant::now() + limit);
    let mut left_out = Vec::new();
    for audit in &mut *audits {
        let images = audit.run(deadline, watch)?;
        if images > 0 {
            left_out
                .push(format!("--time-limit was over before the last {images} images of {}", audit.name()));
        }
    }
    let pairs = transfer::between(audits, deadline, watch)?;
    if pairs > 0 {
        left_out.push(format!("--time-limit was over before {pairs} pairs of models judged each other's"));
    }
    Ok(left_out)
}

/// The images, as the models take them.
fn load_photos(
    plan: &Plan,
    subjects: &[AuditedModel],
    watch: &mut dyn Watch,
) -> Result<BTreeMap<ImageRequirements, Vec<AuditImage>>, AuditError> {
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
