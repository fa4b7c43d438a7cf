//! Runs the gradient check on every runtime of a model, before anything is attacked.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::attack::AttackError;
use crate::audit::AuditError;
use crate::audit::context::{Context, Pace};
use crate::audit::gradient_check::{Probe, Question, explain, points, probe, refused};
use crate::audit::objective;
use crate::audit::plan::Settings;
use crate::audit::store::Key;
use crate::audit::watch::Watch;
use crate::oracle::{Objective, OracleError, Preprocess};
use crate::report::GradientCheck;

/// What the check reaches over: budgets on [0, 1], and the objectives that attacks climb.
struct Asked {
    budgets: Vec<f32>,
    objectives: Vec<Objective>,
}

/// The check of one runtime, as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Checked {
    check: GradientCheck,
    pace: Pace,
}

/// Where new findings are to be kept, once the models beside this one have passed their check too.
#[must_use]
pub struct ToKeep(Option<(Key, Duration)>);

/// Checks the gradient on every runtime, near the first image, where something needs one.
///
/// # Errors
/// A runtime that fails, and an interruption; that a gradient is not trusted is a finding.
pub fn check_gradients(context: &mut Context<'_>, watch: &mut dyn Watch) -> Result<ToKeep, AuditError> {
    let settings = context.settings;
    let needed = settings.clever.is_some() || settings.attacks.iter().any(|attack| attack.needs_gradient());
    if !needed || context.all_images.is_empty() {
        return Ok(ToKeep(None));
    }
    let asked = Asked { budgets: extremes(settings), objectives: objectives(context)? };
    let key = key(context, &asked);
    let known = context.store.get::<Vec<Checked>>(&key);
    let start = Instant::now();
    let (checked, to_keep) = match known {
        Some(checked) => (checked, None),
        None => (check_all(context, &asked, watch)?, Some((key, start.elapsed()))),
    };
    for (runtime, Checked { check, pace }) in context.runtimes.iter_mut().zip(checked) {
        (runtime.check, runtime.pace) = (Some(check), Some(pace));
    }
    Ok(ToKeep(to_keep))
}

/// Keeps new findings.
///
/// # Errors
/// Those of the store.
pub fn keep(context: &Context<'_>, ToKeep(key): &ToKeep) -> Result<(), AuditError> {
    let Some((key, took)) = key else { return Ok(()) };
    let checked = context.runtimes.iter().filter_map(|runtime| {
        let (check, pace) = runtime.check.clone().zip(runtime.pace)?;
        Some(Checked { check, pace })
    });
    Ok(context.store.put(key, &checked.collect::<Vec<_>>(), took.as_secs_f64())?)
}

/// All that decides the findings: the model and its name, the runtimes, the images, the budgets that are
/// reached over and the objectives that are climbed.
fn key(context: &Context<'_>, Asked { budgets, objectives }: &Asked) -> Key {
    let ids: Vec<&String> = context.runtimes.iter().map(|runtime| &runtime.id).collect();
    let images: Vec<String> = context.all_images.iter().map(|image| image.identity()).collect();
    let objectives: Vec<String> = objectives.iter().map(|objective| format!("{objective:?}")).collect();
    let model = (context.name(), &context.model_id);
    context.store.key("gradient check", &(model, ids, images, budgets, objectives, context.settings.seed))
}

fn check_all(
    context: &mut Context<'_>,
    Asked { budgets, objectives }: &Asked,
    watch: &mut dyn Watch,
) -> Result<Vec<Checked>, AuditError> {
    let name = context.name();
    let points = points(context.all_images.iter().map(|image| (image.name.as_str(), image.x.view())));
    let question =
        Question { model: name, points: &points, budgets, objectives, seed: context.settings.seed };
    let mut first: Option<Probe> = None;
    let mut checked = Vec::with_capacity(context.runtimes.len());
    for runtime in &mut context.runtimes {
        let oracle = &mut runtime.oracle;
        watch.doing(&format!("{name}: checking the gradient on {}", oracle.kind()))?;
        let before = oracle.effort();
        let mut on_run = || watch.tested();
        let check = match probe(&question, oracle, first.as_ref(), &mut on_run) {
            Ok(found) => {
                let mut check = found.report.clone();
                explain(&mut check, &context.model.stopped);
                if check.trusted {
                    first.get_or_insert(found);
                }
                check
            }
            // That there is no gradient, or that none reaches the image, is a finding.
            Err(AttackError::Oracle(OracleError::Rewrite(reason))) => {
                refused(name, oracle, reason.to_string())
            }
            // Near the image, where the image itself has a finite output.
            Err(AttackError::Oracle(reason @ OracleError::NotFinite { .. }))
                if oracle.forward(points[0].x.view()).is_ok() =>
            {
                refused(name, oracle, reason.to_string())
            }
            Err(error) => return Err(AuditError::attack(name, &points[0].name, error)),
        };
        checked.push(Checked { check, pace: Pace::of(before, oracle.effort()) });
        // Its memory is for the models before it in the meantime.
        oracle.release_sessions();
    }
    Ok(checked)
}

/// The smallest and the largest budget, on [0, 1].
fn extremes(settings: &Settings) -> Vec<f32> {
    let mut budgets: Vec<f32> = settings.budgets.iter().map(|budget| budget.radius() as f32).collect();
    budgets.sort_by(f32::total_cmp);
    budgets.dedup();
    match budgets[..] {
        [least, .., most] => vec![least, most],
        _ => budgets,
    }
}

/// The objectives that attacks maximise by gradients, the chosen one first.
fn objectives(context: &Context<'_>) -> Result<Vec<Objective>, AuditError> {
    let mut found = vec![context.settings.objective.function()];
    for &attack in context.settings.attacks.iter().filter(|attack| attack.needs_gradient()) {
        let objective = objective::function(context.settings, context.model, attack)?;
        if !found.contains(&objective) {
            found.push(objective);
        }
    }
    Ok(found)
}

/// Takes the findings of the bare model for the same model behind a pre-processing: differences cannot test
/// what passes straight through, or is a mean over draws.
pub fn adopt(context: &mut Context<'_>, bare: &Context<'_>) {
    let front = context.model.front.as_ref();
    let straight = front.is_some_and(|front| !front.preprocessing.has_derivative());
    let name = context.name();
    for (ours, theirs) in context.runtimes.iter_mut().zip(&bare.runtimes) {
        ours.pace = theirs.pace;
        ours.check = theirs.check.clone().map(|check| GradientCheck {
            model: name.to_owned(),
            straight_through: check.straight_through || straight,
            draws: ours.oracle.draws(),
            ..check
        });
    }
}
