//! One perturbation for many images: found with every second one, evaluated on all.

use ndarray::s;

use super::evaluate::evaluate;
use crate::attack::{Attack, Budget, Goal, Universal as Perturbation, seeded};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{Crafter, ImageIndex};
use crate::audit::objective;
use crate::audit::watch::Watch;
use crate::report::Universal;

/// Looks for one perturbation per budget with every runtime that crafts by a trusted gradient.
///
/// # Errors
/// A runtime that fails, and an interruption.
pub fn universal(context: &mut Context<'_>, watch: &mut dyn Watch) -> Result<Vec<Universal>, AuditError> {
    let mut rows = Vec::new();
    for crafter in context.trusted_crafters() {
        for &budget in &context.settings.budgets {
            watch.doing(&format!("{}: one perturbation for all images", context.name()))?;
            let found = find(context, budget, crafter, watch)?;
            rows.extend(evaluate_all(context, &found, budget, crafter)?);
        }
    }
    Ok(rows)
}

fn find(
    context: &mut Context<'_>,
    budget: Budget,
    crafter: Crafter,
    watch: &mut dyn Watch,
) -> Result<Perturbation, AuditError> {
    let (settings, model) = (context.settings, context.model);
    let mut goals = Vec::new();
    for index in context.image_indices().filter(|&index| is_seen(index)) {
        let clean = context.clean_output(crafter, index)?.slice_move(s![..1, .., .., ..]);
        goals.push(objective::goal(settings, model, context.image(index), Attack::PGD, budget, &clean)?);
    }
    let oracle = context.oracle(crafter);
    oracle.set_objective(&settings.objective.function());
    let all: Vec<&Goal> = goals.iter().collect();
    let mut rng = seeded(settings.seed, "all images", Attack::PGD, budget);
    Perturbation::find(oracle, &all, &settings.strength, &mut rng, &mut || watch.stepped())
        .map_err(|error| AuditError::attack(&model.name, "all", error))
}

fn evaluate_all(
    context: &mut Context<'_>,
    found: &Perturbation,
    budget: Budget,
    crafter: Crafter,
) -> Result<Vec<Universal>, AuditError> {
    let mut rows = Vec::new();
    for index in context.image_indices() {
        let image = context.image(index);
        let ball = objective::ball(context.settings, image, budget)?;
        let perturbed = found.on(&ball);
        ball.check(perturbed.view())?;
        for judge in context.judges() {
            let evaluation = evaluate(context, index, judge, &perturbed)?;
            rows.push(Universal {
                model: context.name().to_owned(),
                budget: budget.levels(),
                crafted_on: context.runtime(crafter).name(),
                judged_on: context.runtime(judge).name(),
                found_with: context.images.len().div_ceil(2),
                image: image.name.clone(),
                seen: is_seen(index),
                sr_psnr: evaluation.sr_psnr,
            });
        }
    }
    Ok(rows)
}

/// Whether a perturbation is found with this image among others.
fn is_seen(ImageIndex(index): ImageIndex) -> bool {
    index.is_multiple_of(2)
}
