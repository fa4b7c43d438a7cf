//! What the attacks of a plan are given: balls, targets and objectives, and what a model lacks for them.

use std::path::Path;

use ndarray::{Array4, Axis};

use crate::attack::{Attack, Ball, Budget, Goal, Mask, Maximises, ObjectiveKind};
use crate::audit::context::hash;
use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::model::AuditedModel;
use crate::audit::{AuditError, Plan, Target};
use crate::image::load;
use crate::metric::{bicubic, luma};
use crate::oracle::{Objective, objective_model};

/// The objective of an attack on a model.
pub fn objective(plan: &Plan, subject: &AuditedModel, attack: Attack) -> Result<Objective, AuditError> {
    if attack.is_minimal() {
        return Ok(Objective::Distance);
    }
    if !attack.needs_tap() {
        return Ok(plan.objective.clone());
    }
    let own = || subject.tap.iter().cloned().collect();
    let taps: Vec<String> = if plan.taps.is_empty() { own() } else { plan.taps.clone() };
    if taps.is_empty() {
        return Err(AuditError::NoTap { model: subject.name.clone(), attack: attack.name() });
    }
    Ok(Objective::Features(taps))
}

/// Whether an attack drives two runtimes apart.
pub fn drives_apart(plan: &Plan, attack: Attack) -> bool {
    plan.away_from == Target::Runtimes && !attack.needs_tap() && !attack.is_minimal()
}

/// What the objective of an attack compares the output with.
pub fn objective_kind(plan: &Plan, attack: Attack) -> ObjectiveKind {
    match attack.maximises() {
        Maximises::Features => ObjectiveKind::Features,
        Maximises::Distance => ObjectiveKind::Away,
        Maximises::Chosen if plan.away_from == Target::Runtimes => ObjectiveKind::Runtimes,
        Maximises::Chosen if plan.objective == Objective::Targeted => ObjectiveKind::Toward,
        Maximises::Chosen => ObjectiveKind::Away,
    }
}

/// Checks that every objective of a plan has its place in a model.
pub fn check(plan: &Plan, subject: &AuditedModel, photos: &[AuditImage]) -> Result<(), AuditError> {
    if plan.away_from == Target::Runtimes && plan.runtimes.len() < 2 {
        return Err(AuditError::OneRuntime);
    }
    let untold = photos.iter().find(|photo| photo.truth.is_none());
    if let Some(photo) = untold.filter(|_| plan.away_from == Target::Truth || plan.cost.is_some()) {
        return Err(AuditError::NoTruth { path: photo.path.clone() });
    }
    if plan.universal {
        one_size(photos)?;
    }
    let Some(photo) = photos.first() else { return Ok(()) };
    for &attack in plan.attacks.iter().filter(|attack| attack.needs_tap()) {
        let objective = objective(plan, subject, attack)?;
        objective_model(&subject.model, &objective, &photo.shape())
            .map_err(|source| AuditError::Objective { model: subject.name.clone(), source })?;
    }
    photos.iter().try_for_each(|photo| ball(plan, photo, Budget::default()).map(drop))
}

/// Whether there are images enough for a universal perturbation, all of one size.
fn one_size(photos: &[AuditImage]) -> Result<(), AuditError> {
    let [first, others @ ..] = photos else { return Ok(()) };
    if others.is_empty() {
        return Err(AuditError::TooFewForUniversal);
    }
    let size = |photo: &AuditImage| [photo.shape()[2], photo.shape()[3]];
    match others.iter().find(|photo| size(photo) != size(first)) {
        Some(other) => Err(AuditError::UnequalSizes {
            path: other.path.clone(),
            size: size(other),
            first: first.path.clone(),
            expected: size(first),
        }),
        None => Ok(()),
    }
}

/// The ball of a budget around a photograph.
pub fn ball(plan: &Plan, photo: &AuditImage, budget: Budget) -> Result<Ball, AuditError> {
    let ball = Ball::of(plan.norm, photo.x.view(), budget.radius());
    let size = [photo.shape()[2], photo.shape()[3]];
    let mask = match (plan.region, &plan.mask) {
        (Some(region), _) => Mask::rectangle(region, size),
        (None, Some(picture)) => Mask::picture(picture.brightness.view(), size),
        (None, None) => return Ok(ball),
    };
    let masked = mask.and_then(|mask| ball.masked(mask));
    masked.map_err(|source| AuditError::Mask { path: photo.path.clone(), source })
}

/// The hash of the picture that attacks go toward; empty where they go toward none.
pub fn toward(plan: &Plan) -> Result<String, AuditError> {
    let Target::Image(path) = &plan.away_from else { return Ok(String::new()) };
    let bytes: Vec<u8> = load(path)?.pixels.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(hash(&bytes))
}

/// What an attack on a photograph aims at; `clean` is S(x0).
pub fn goal(
    plan: &Plan,
    subject: &AuditedModel,
    photo: &AuditImage,
    (attack, budget): (Attack, Budget),
    clean: &Array4<f32>,
) -> Result<Goal, AuditError> {
    let goal = Goal::new(ball(plan, photo, budget)?, clean.clone());
    if attack.is_minimal() {
        return Ok(goal);
    }
    match (&plan.away_from, &photo.truth) {
        (Target::Truth, Some(truth)) => {
            let inside = subject.found.interface.geometry.inside(truth.view());
            Ok(goal.aimed_at(inside.to_owned().insert_axis(Axis(0))))
        }
        (Target::Image(path), _) => Ok(goal.aimed_at(scaled(path, clean)?)),
        _ => Ok(goal),
    }
}

/// A picture brought to the size and the channels of an output.
fn scaled(path: &Path, like: &Array4<f32>) -> Result<Array4<f32>, AuditError> {
    let picture = load(path)?;
    let [_, channels, height, width] = [0, 1, 2, 3].map(|axis| like.len_of(Axis(axis)));
    let scaled = bicubic(picture.pixels.view(), height, width);
    let as_metric = |source| AuditError::Metric { image: picture.name.clone(), source };
    let pixels = match channels {
        1 => {
            let luma = luma(scaled.view()).map_err(as_metric)?;
            luma.mapv(|value| (value / 255.0) as f32).insert_axis(Axis(0))
        }
        _ => scaled,
    };
    Ok(pixels.mapv(|value| value.clamp(0.0, 1.0)).insert_axis(Axis(0)))
}
