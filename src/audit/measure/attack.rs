//! Attacks on images: each is crafted once and kept, and evaluated on every runtime.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array4, Axis, s};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::crafted::Crafted;
use super::pictures;
use super::recording::Recording;
use super::row::row;
use crate::attack::{AttackError, Attacked, Discrepancy, Ensemble, Goal, Landscape, Views, seeded};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, Crafter, ImageIndex, RuntimeIndex};
use crate::audit::inputs::model::AuditedModel;
use crate::audit::inputs::surrogate::surrogate;
use crate::audit::objective;
use crate::audit::plan::Settings;
use crate::audit::store::Key;
use crate::audit::watch::Watch;
use crate::oracle::{Objective, Oracle, OracleError};
use crate::report::{NonFinite, Row};
use crate::rewrite::straight_through;

/// How an attack went, as the store keeps it beside the attacked image.
#[derive(Serialize, Deserialize)]
struct Outcome {
    values: Vec<f64>,
    value: Option<f64>,
    reached: Option<bool>,
    stopped_by: Option<NonFinite>,
    ensemble: Option<Ensemble>,
}

/// Attacks images of one shape together, and evaluates what was found on every runtime.
///
/// # Errors
/// A runtime that fails, an attack that broke its budget, and an interruption.
pub fn attack(
    context: &mut Context<'_>,
    images: &[ImageIndex],
    cell: AttackCell,
    watch: &mut dyn Watch,
) -> Result<Vec<Row>, AuditError> {
    let attacked = attacked(context, images, cell, watch)?;
    let mut rows = Vec::with_capacity(images.len() * context.runtimes.len());
    for (&image, attacked) in images.iter().zip(&attacked) {
        if let Some(folder) = &context.settings.save_images {
            pictures::save(context, image, cell, attacked, folder)?;
        }
        for judge in context.judges() {
            rows.push(row(context, image, cell, judge, attacked)?);
        }
    }
    Ok(rows)
}

/// The attacked images, in the order of `images`: those that are kept, and the others crafted now, together.
///
/// # Errors
/// As for [`attack`].
pub fn attacked(
    context: &mut Context<'_>,
    images: &[ImageIndex],
    cell: AttackCell,
    watch: &mut dyn Watch,
) -> Result<Vec<Crafted>, AuditError> {
    let known: Vec<Option<Crafted>> = images.iter().map(|&image| recall(context, image, cell)).collect();
    let missing = images.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(&image, _)| image);
    let missing: Vec<ImageIndex> = missing.collect();
    let mut crafted = craft(context, &missing, cell, watch)?.into_iter();
    let all = known.into_iter().map(|known| known.or_else(|| crafted.next()));
    Ok(all.map(|attacked| attacked.expect("an attack gives one result per image")).collect())
}

/// The key of an attack on an image.
pub fn key(context: &Context<'_>, image: ImageIndex, cell: AttackCell) -> Key {
    let AttackCell { attack, budget, crafter } = cell;
    let settings = context.settings;
    let partner =
        objective::drives_apart(settings, attack).then(|| &context.runtimes[partner(context, crafter).0].id);
    let function = objective::function(settings, context.model, attack).map(|it| format!("{it:?}"));
    let features = objective::takes_views(settings, attack)
        .then(|| objective::features(settings, context.model).map(|it| format!("{it:?}")));
    let parts = (
        attack,
        budget,
        attack.settings(&context.strength),
        settings.seed,
        (settings.norm, settings.region, settings.mask.as_ref().map(|mask| &mask.sha256)),
        (function.unwrap_or_default(), features, settings.objective.identity(), partner),
    );
    context.key("attack", crafter, image, &parts)
}

/// An attack that was made before.
pub fn recall(context: &Context<'_>, image: ImageIndex, cell: AttackCell) -> Option<Crafted> {
    let shape = context.image(image).shape();
    let kept = context.store.get_with_image::<Outcome>(&key(context, image, cell), shape);
    let (Outcome { values, value, reached, stopped_by, ensemble }, image) = kept?;
    Some(Crafted { attacked: Attacked { image, values, value, reached, ensemble }, stopped_by })
}

/// The views of a model that an ensemble takes gradients from.
fn all_views<'a>(
    served: &'a mut Oracle,
    function: Objective,
    settings: &Settings,
    model: &AuditedModel,
) -> Views<'a> {
    let others = [served.beside(Arc::clone(&model.unclipped)), served.beside(surrogate())];
    let straight = straight_through(&model.model).map(|model| served.beside(Arc::new(model)));
    Views::new(served, function, objective::features(settings, model), others, straight)
}

/// The runtime that an attack drives its own apart from: the next one.
fn partner(context: &Context<'_>, Crafter(crafter): Crafter) -> RuntimeIndex {
    RuntimeIndex((crafter.0 + 1) % context.runtimes.len())
}

/// Crafts an attack on images, and keeps the results.
fn craft(
    context: &mut Context<'_>,
    images: &[ImageIndex],
    cell: AttackCell,
    watch: &mut dyn Watch,
) -> Result<Vec<Crafted>, AuditError> {
    let Some(&first) = images.first() else { return Ok(vec![]) };
    let AttackCell { attack, budget, crafter } = cell;
    let (settings, model) = (context.settings, context.model);
    let mut goals: Vec<Goal> = Vec::with_capacity(images.len());
    let mut rngs = Vec::with_capacity(images.len());
    for &index in images {
        let clean = context.clean_output(crafter, index)?.slice_move(s![..1, .., .., ..]);
        let image = context.image(index);
        goals.push(objective::goal(settings, model, image, attack, budget, &clean)?);
        rngs.push(seeded(settings.seed, &image.name, attack, budget));
    }
    let strength = context.strength.clone();
    let oracle = context.oracle(crafter);
    let function = objective::function(settings, model, attack)?;
    oracle.set_objective(&function);
    oracle.at_draw(rngs[0].clone().random());
    let draws = oracle.draws();
    let all: Vec<&Goal> = goals.iter().collect();
    let of = context.image(first);
    let (ours, theirs) = (RuntimeIndex::from(crafter).0, partner(context, crafter).0);
    let (mut apart, mut views);
    let landscape: &mut dyn Landscape = match context.runtimes.get_disjoint_mut([ours, theirs]) {
        Ok([ours, theirs]) if objective::drives_apart(settings, attack) => {
            apart = Discrepancy::between(&mut ours.oracle, &mut theirs.oracle);
            &mut apart
        }
        _ if objective::takes_views(settings, attack) && draws == 1 => {
            views = all_views(&mut context.runtimes[ours].oracle, function, settings, model);
            &mut views
        }
        _ => &mut context.runtimes[ours].oracle,
    };
    let start = Instant::now();
    let mut recording = Recording::of(landscape);
    let made = attack.run(&mut recording, &all, &strength, &mut rngs, &mut || watch.stepped());
    let crafted = match (made, recording.met) {
        (Ok(made), _) => {
            let whole = |attacked| Crafted { attacked, stopped_by: None };
            made.into_iter().map(whole).collect::<Vec<_>>()
        }
        (Err(AttackError::Oracle(OracleError::NotFinite { .. })), Some(met)) => {
            return match images {
                [image] => {
                    let crafted = stopped(context, *image, crafter, &goals[0], &met)?;
                    keep(context, *image, cell, &goals[0], &crafted, start.elapsed().as_secs_f64())?;
                    Ok(vec![crafted])
                }
                // Each by itself, as if there were no others.
                images => images.iter().map(|&image| craft_one(context, image, cell, watch)).collect(),
            };
        }
        (Err(error), _) => return Err(AuditError::attack(&model.name, &of.name, error)),
    };
    let seconds = start.elapsed().as_secs_f64() / images.len() as f64;
    for ((&image, goal), crafted) in images.iter().zip(&goals).zip(&crafted) {
        keep(context, image, cell, goal, crafted, seconds)?;
    }
    Ok(crafted)
}

fn craft_one(
    context: &mut Context<'_>,
    image: ImageIndex,
    cell: AttackCell,
    watch: &mut dyn Watch,
) -> Result<Crafted, AuditError> {
    let mut one = craft(context, &[image], cell, watch)?;
    Ok(one.remove(0))
}

/// Checks the budget of an attack, and keeps it.
fn keep(
    context: &Context<'_>,
    image: ImageIndex,
    cell: AttackCell,
    goal: &Goal,
    crafted: &Crafted,
    seconds: f64,
) -> Result<(), AuditError> {
    let Crafted { attacked, stopped_by } = crafted;
    let Attacked { image: pixels, values, value, reached, ensemble } = attacked;
    goal.ball.check(pixels.view())?;
    let (values, ensemble) = (values.clone(), ensemble.clone());
    let outcome = Outcome { values, value: *value, reached: *reached, stopped_by: *stopped_by, ensemble };
    Ok(context.store.put_with_image(&key(context, image, cell), &outcome, seconds, pixels)?)
}

/// The result of an attack that met something that is not finite: the image whose output is not, where there
/// is one among those it asked about, else the last one that it could climb from.
fn stopped(
    context: &mut Context<'_>,
    index: ImageIndex,
    crafter: Crafter,
    goal: &Goal,
    met: &Array4<f32>,
) -> Result<Crafted, AuditError> {
    let image = context.image(index);
    let mut found = None;
    for x in met.axis_chunks_iter(Axis(0), 1) {
        let mut x = x.to_owned();
        goal.ball.project(&mut x);
        match context.output(crafter, image, &x) {
            Err(error) if error.is_not_finite() => {
                found = Some((x, NonFinite::Output));
                break;
            }
            Err(error) => return Err(error),
            Ok(_) => drop(found.get_or_insert((x, NonFinite::Gradient))),
        }
    }
    let (image, stopped_by) = found.expect("a landscape is asked about one image at least");
    let attacked = Attacked { image, values: vec![], value: None, reached: None, ensemble: None };
    Ok(Crafted { attacked, stopped_by: Some(stopped_by) })
}
