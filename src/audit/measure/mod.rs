//! What is measured of a model, one file per measure. Each takes the context of the model's audit and gives
//! rows of the report. Deliberately absent: what fits into a time limit, which `schedule` decides before.

pub mod attack;
pub mod certificate;
pub mod clean;
pub mod clever;
pub mod crafted;
mod crop;
pub mod evaluate;
pub mod minimal_budget;
pub mod network;
pub mod noise;
pub mod pictures;
pub mod recording;
pub mod row;
mod size;
pub mod transfer;
pub mod universal;
pub mod worst;

use std::time::Instant;

use crate::attack::{Attack, Budget};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, ImageIndex};
use crate::audit::watch::Watch;
use crate::report::Report;
use transfer::Made;

/// What was done of a model's audit, beside the rows.
pub struct Done {
    /// The attacks that were made, whose images are kept.
    pub made: Vec<Made>,
    /// Images for which there was no time.
    pub images_left: usize,
}

/// Measures everything that the settings ask for on every image, or on those for which there is time before
/// `deadline`.
///
/// # Errors
/// A runtime that fails, an attack that broke its budget, and an interruption.
pub fn measure(
    context: &mut Context<'_>,
    report: &mut Report,
    deadline: Option<Instant>,
    watch: &mut dyn Watch,
) -> Result<Done, AuditError> {
    let mut done = Done { made: Vec::new(), images_left: context.images.len() };
    for group in groups(context) {
        if done.images_left < context.images.len()
            && deadline.is_some_and(|deadline| Instant::now() > deadline)
        {
            return Ok(done);
        }
        measure_group(context, &group, report, &mut done.made, watch)?;
        group.iter().for_each(|&image| context.forget_outputs(image));
        done.images_left -= group.len();
    }
    if context.settings.universal {
        report.measured.universal.extend(universal::universal(context, watch)?);
    }
    context.release();
    Ok(done)
}

/// Images that go through the model together: neighbours of one shape, at most a batch.
fn groups(context: &Context<'_>) -> Vec<Vec<ImageIndex>> {
    // Each image has draws of its own where a pre-processing is random.
    let random = context.runtimes.iter().any(|runtime| runtime.oracle.draws() > 1);
    let most = if random { 1 } else { context.settings.strength.batch.max(1) };
    let mut groups: Vec<Vec<ImageIndex>> = Vec::new();
    for index in context.image_indices() {
        let shape = |index: ImageIndex| context.image(index).shape();
        match groups.last_mut() {
            Some(last) if last.len() < most && shape(last[0]) == shape(index) => last.push(index),
            _ => groups.push(vec![index]),
        }
    }
    groups
}

fn measure_group(
    context: &mut Context<'_>,
    group: &[ImageIndex],
    report: &mut Report,
    made: &mut Vec<Made>,
    watch: &mut dyn Watch,
) -> Result<(), AuditError> {
    let settings = context.settings;
    for &image in group {
        watch.doing(&format!("{}: {}", context.name(), context.image(image).name))?;
        report.measured.network_checks.extend(network::network(context, image)?);
        report.measured.clean.extend(clean::clean(context, image)?);
        if let Some(samples) = settings.clever {
            report.measured.clever.extend(clever::clever(context, image, samples, watch)?);
        }
        if let Some(cost) = settings.cost {
            report
                .measured
                .minimal_budgets
                .extend(minimal_budget::minimal_budget(context, image, cost, watch)?);
        }
        if let Some(smoothing) = settings.certify {
            report.measured.certificates.extend(certificate::certificate(context, image, smoothing, watch)?);
        }
    }
    for &budget in &settings.budgets {
        for &image in group {
            report.measured.noise.extend(noise::noise(context, image, budget)?);
        }
    }
    for cell in cells(context) {
        report.measured.rows.extend(attack::attack(context, group, cell, watch)?);
        made.extend(group.iter().map(|&image| Made { image, cell }));
    }
    Ok(())
}

/// The attacks on every image: those with budgets, budget by budget, then those that look for the smallest
/// perturbation.
pub fn cells(context: &Context<'_>) -> Vec<AttackCell> {
    let minimal = [Budget::default()];
    let of = |budgets: &[Budget], which: fn(Attack) -> bool| {
        let mut cells = Vec::new();
        for &budget in budgets {
            for &crafter in &context.crafters {
                let attacks = context.attacks(crafter).into_iter().filter(|&attack| which(attack));
                cells.extend(attacks.map(|attack| AttackCell { attack, budget, crafter }));
            }
        }
        cells
    };
    let budgeted = of(&context.settings.budgets, |attack| !attack.is_minimal());
    [budgeted, of(&minimal, Attack::is_minimal)].concat()
}
