//! Carries out an audit: what is given is made ready, gradients are checked, time is planned, and then every
//! model is measured.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::context::Context;
use super::error::AuditError;
use super::estimate::Estimate;
use super::gradients::{adopt, check_gradients, keep};
use super::inputs::images::{AuditImage, Image};
use super::inputs::memory::{free_bytes, peak_bytes};
use super::inputs::model::{AuditedModel, Means};
use super::inputs::requirements::ImageRequirements;
use super::measure::{Done, measure, transfer::transfer, worst::save_parts};
use super::objective;
use super::plan::{Craft, Plan, Settings};
use super::schedule::{planned, schedule};
use super::skeleton::skeleton;
use super::store::Store;
use super::watch::{Unwatched, Watch};
use crate::onnx::Model;
use crate::report::html::worst_attacks;
use crate::report::{LostRuntime, Report, Timing};
use crate::runtime::Runtime;

/// Images by what models require of them: models that require the same share images.
type Images = BTreeMap<ImageRequirements, Vec<AuditImage>>;

/// Audits files.
///
/// Whatever can be found wrong without an attack is found before the first one. A runtime that dies in a process
/// of its own is reported, and the audit is made anew with the others; of what was worked out on those nothing is
/// lost where it is kept.
///
/// # Errors
/// The first thing that is wrong with a file, a runtime or a gradient; nothing is reported then, and what
/// was worked out is kept where the settings say so.
pub fn run(plan: &Plan, watch: &mut dyn Watch) -> Result<Report, AuditError> {
    let mut plan = plan.clone();
    let mut lost = Vec::new();
    loop {
        match run_once(&plan, watch) {
            Ok(mut report) => {
                report.lost_runtimes = lost;
                report.conclude();
                return Ok(report);
            }
            Err(error) => lost.push(without_dead(&mut plan, error)?),
        }
    }
}

/// Takes the runtime that died out of the plan, where it is one and others are left.
fn without_dead(plan: &mut Plan, error: AuditError) -> Result<LostRuntime, AuditError> {
    let Some((dead, model)) = error.died().filter(|_| plan.runtimes.len() > 1) else { return Err(error) };
    plan.runtimes.retain(|runtime| runtime.kind() != dead);
    if plan.settings.craft == Craft::On(dead) {
        plan.settings.craft = Craft::All;
    }
    Ok(LostRuntime { runtime: dead.to_string(), model, reason: error.to_string() })
}

fn run_once(plan: &Plan, watch: &mut dyn Watch) -> Result<Report, AuditError> {
    let start = Instant::now();
    watch.doing("reading models")?;
    let models = AuditedModel::read_all(&plan.models, &plan.settings.interface, &plan.runtimes)?;
    let images = load_images(plan, &models, watch)?;
    let mut report = carry_out(&plan.settings, models, &images, &plan.runtimes, watch)?;
    report.settings.crop = plan.crop;
    report.timing.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

/// Audits a model in memory: attacks every image with the gradients of every runtime, and evaluates on every
/// runtime.
///
/// # Errors
/// As for [`run`], and images that are not RGB on [0, 1].
pub fn audit(
    model: &Model,
    images: &[Image],
    runtimes: &[Arc<dyn Runtime>],
    settings: &Settings,
) -> Result<Report, AuditError> {
    let start = Instant::now();
    let model = AuditedModel::from_memory(model, &settings.interface, runtimes)?;
    let fitted = images.iter().map(|image| AuditImage::from_memory(image, &model.name, &model.requirements));
    let images = Images::from([(model.requirements, fitted.collect::<Result<_, _>>()?)]);
    let mut report = carry_out(settings, vec![model], &images, runtimes, &mut Unwatched)?;
    report.timing.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

/// How long the audit of these files would take: everything that [`run`] does before the first attack.
///
/// # Errors
/// As for [`run`].
pub fn estimate(plan: &Plan, watch: &mut dyn Watch) -> Result<Estimate, AuditError> {
    let (start, settings) = (Instant::now(), &plan.settings);
    watch.doing("reading models")?;
    let models = AuditedModel::read_all(&plan.models, &settings.interface, &plan.runtimes)?;
    let images = load_images(plan, &models, watch)?;
    let mut models = behind_fronts(settings, models);
    admit(settings, &mut models, &images, &plan.runtimes, watch)?;
    let store = open_store(settings)?;
    let (contexts, _) = checked(settings, &models, &images, &plan.runtimes, &store, watch)?;
    Ok(Estimate::new(settings, &contexts, start.elapsed().as_secs_f64()))
}

fn open_store(settings: &Settings) -> Result<Store, AuditError> {
    Store::open(settings.cache.as_deref()).map_err(|error| match settings.cache {
        Some(_) => AuditError::Store(error),
        None => AuditError::Temporary(error),
    })
}

/// The models, each followed by itself behind every pre-processing.
fn behind_fronts(settings: &Settings, models: Vec<AuditedModel>) -> Vec<AuditedModel> {
    models.into_iter().flat_map(|model| model.with_fronts(&settings.preprocess)).collect()
}

/// A context per model with its gradients checked, and what there is no time for, in words.
fn checked<'a>(
    settings: &'a Settings,
    models: &'a [AuditedModel],
    images: &'a Images,
    runtimes: &[Arc<dyn Runtime>],
    store: &'a Store,
    watch: &mut dyn Watch,
) -> Result<(Vec<Context<'a>>, Vec<String>), AuditError> {
    let context = |model: &'a AuditedModel| {
        Context::new(settings, model, &images[&model.requirements], runtimes, store)
    };
    let mut contexts: Vec<Context<'_>> = models.iter().map(context).collect();
    check_all_gradients(settings, &mut contexts, watch)?;
    let left_out = schedule(settings, &mut contexts);
    Ok((contexts, left_out))
}

fn carry_out(
    settings: &Settings,
    models: Vec<AuditedModel>,
    images: &Images,
    runtimes: &[Arc<dyn Runtime>],
    watch: &mut dyn Watch,
) -> Result<Report, AuditError> {
    let mut models = behind_fronts(settings, models);
    admit(settings, &mut models, images, runtimes, watch)?;
    let mut report = skeleton(settings, &models, images, runtimes);
    let store = open_store(settings)?;
    let (mut contexts, left_out) = checked(settings, &models, images, runtimes, &store, watch)?;
    report.settings.left_out.extend(left_out);
    watch.planned(&planned(settings, &contexts));
    measure_all(settings, &mut contexts, &mut report, watch)?;
    report.measured.gradient_checks =
        contexts.iter().flat_map(|context| &context.runtimes).filter_map(|it| it.check.clone()).collect();
    report.timing = timing(&contexts, &store);
    report.conclude();
    draw_the_worst(settings, &mut contexts, &report, watch)?;
    Ok(report)
}

/// Draws what the page of the report shows.
fn draw_the_worst(
    settings: &Settings,
    contexts: &mut [Context<'_>],
    report: &Report,
    watch: &mut dyn Watch,
) -> Result<(), AuditError> {
    let Some(folder) = &settings.pictures else { return Ok(()) };
    watch.doing("drawing the worst images")?;
    let worst = worst_attacks(report);
    contexts.iter_mut().try_for_each(|context| save_parts(context, &worst, folder))
}

/// Checks that every model takes its images, in the memory there is, and has what the attacks need.
fn admit(
    settings: &Settings,
    models: &mut [AuditedModel],
    images: &Images,
    runtimes: &[Arc<dyn Runtime>],
    watch: &mut dyn Watch,
) -> Result<(), AuditError> {
    let means = Means {
        memory: settings.memory.or_else(free_bytes),
        batch: settings.strength.batch,
        runtimes,
        tile: settings.tile,
        in_parts: objective::adds_up_over_tiles(settings),
    };
    for model in models {
        watch.doing(&format!("{}: fitting images", model.name))?;
        let images = &images[&model.requirements];
        model.admit(images, &means)?;
        objective::check(settings, model, images, runtimes.len())?;
    }
    Ok(())
}

/// Checks every gradient, and keeps the findings once all are made.
fn check_all_gradients(
    settings: &Settings,
    contexts: &mut [Context<'_>],
    watch: &mut dyn Watch,
) -> Result<(), AuditError> {
    let mut to_keep = Vec::new();
    // Every model is followed by itself behind each pre-processing.
    for group in contexts.chunks_mut(1 + settings.preprocess.len()) {
        let (bare, behind) = group.split_first_mut().expect("chunks are not empty");
        to_keep.push(check_gradients(bare, watch)?);
        behind.iter_mut().for_each(|context| adopt(context, bare));
    }
    let bare = contexts.iter().step_by(1 + settings.preprocess.len());
    bare.zip(&to_keep).try_for_each(|(context, to_keep)| keep(context, to_keep))
}

/// Measures every model, and then every model's attacks on every other.
fn measure_all(
    settings: &Settings,
    contexts: &mut [Context<'_>],
    report: &mut Report,
    watch: &mut dyn Watch,
) -> Result<(), AuditError> {
    let deadline = settings.time_limit.map(|limit| Instant::now() + limit);
    let mut done: Vec<Done> = Vec::with_capacity(contexts.len());
    for context in &mut *contexts {
        let of_model = measure(context, report, deadline, watch)?;
        if of_model.images_left > 0 {
            let (images, name) = (of_model.images_left, context.name());
            let line = format!("--time-limit was over before the last {images} images of {name}");
            report.settings.left_out.push(line);
        }
        done.push(of_model);
    }
    let pairs = transfer_all(contexts, &done, report, deadline, watch)?;
    if pairs > 0 {
        let line = format!("--time-limit was over before {pairs} pairs of models judged each other's");
        report.settings.left_out.push(line);
    }
    Ok(())
}

/// Evaluates every model's attacks on every other model that takes the same images; gives how many pairs
/// there was no time for.
fn transfer_all(
    contexts: &mut [Context<'_>],
    done: &[Done],
    report: &mut Report,
    deadline: Option<Instant>,
    watch: &mut dyn Watch,
) -> Result<usize, AuditError> {
    let mut left_out = 0;
    for judge in 0..contexts.len() {
        for crafter in (0..contexts.len()).filter(|&crafter| crafter != judge) {
            let [ours, theirs] = contexts.get_disjoint_mut([judge, crafter]).expect("two places of the list");
            if ours.model.requirements != theirs.model.requirements {
                continue;
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                left_out += 1;
                continue;
            }
            watch.doing(&format!("{}: attacks crafted for {}", ours.name(), theirs.name()))?;
            report.measured.transfers.extend(transfer(ours, theirs, &done[crafter].made, watch)?);
        }
        contexts[judge].release();
    }
    Ok(left_out)
}

fn timing(contexts: &[Context<'_>], store: &Store) -> Timing {
    let mut timing =
        Timing { peak_memory: peak_bytes(), cached_seconds: store.seconds_saved(), ..Timing::default() };
    for effort in contexts.iter().flat_map(|context| &context.runtimes).map(|it| it.oracle.effort()) {
        timing.inside_runtimes += effort.inside.as_secs_f64();
        timing.gradient_steps += effort.gradients;
        timing.forward_runs += effort.forwards;
    }
    timing
}

/// The images, as the models take them.
fn load_images(plan: &Plan, models: &[AuditedModel], watch: &mut dyn Watch) -> Result<Images, AuditError> {
    let mut images = Images::new();
    for model in models {
        if let Entry::Vacant(entry) = images.entry(model.requirements) {
            let mut on_image = |path: &Path| watch.doing(&format!("reading {}", path.display()));
            let (crop, most) = (plan.crop, plan.most_images);
            let loaded = plan.images.load(&model.name, &model.requirements, crop, most, &mut on_image)?;
            entry.insert(loaded);
        }
    }
    Ok(images)
}
