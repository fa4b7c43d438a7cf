//! What attacks are given by the settings: balls, targets and objectives; and what a model or the images lack
//! for them.

use ndarray::{Array4, Axis};

use crate::attack::{Attack, AttackKind, Ball, Budget, Goal, Mask, Maximises, ObjectiveKind};
use crate::audit::AuditError;
use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::model::AuditedModel;
use crate::audit::inputs::picture::TargetPicture;
use crate::audit::plan::{Objective, Settings};
use crate::metric::{bicubic, luma};
use crate::oracle::{self, objective_model};

/// What an oracle answers for when an attack asks it.
///
/// # Errors
/// An attack on features of a model whose features nothing names.
pub fn function(
    settings: &Settings,
    model: &AuditedModel,
    attack: Attack,
) -> Result<oracle::Objective, AuditError> {
    if attack.is_minimal() {
        return Ok(oracle::Objective::Distance);
    }
    if !attack.needs_tap() {
        return Ok(settings.objective.function());
    }
    let name = || model.name.clone();
    let missing = || match model.tiles {
        Some(_) => AuditError::NotInTiles { model: name(), what: attack.name().to_string() },
        None => AuditError::NoTap { model: name(), attack: attack.name() },
    };
    features(settings, model).ok_or_else(missing)
}

/// The objective on feature maps, where something names them.
pub fn features(settings: &Settings, model: &AuditedModel) -> Option<oracle::Objective> {
    // Features are not laid out in tiles.
    if model.tiles.is_some() {
        return None;
    }
    let own = || model.tap.iter().cloned().collect();
    let taps: Vec<String> = if settings.taps.is_empty() { own() } else { settings.taps.clone() };
    (!taps.is_empty()).then_some(oracle::Objective::Features(taps))
}

/// Whether all that attacks maximise is made of parts of the output, so that images may be cut into tiles.
pub fn adds_up_over_tiles(settings: &Settings) -> bool {
    let of_features = settings.attacks.iter().any(|attack| attack.needs_tap());
    settings.objective.function().adds_up_over_tiles() && !of_features
}

/// Whether an attack may look at the model in other views: an ensemble that drives the output away from what it
/// should be, which all views do.
pub fn takes_views(settings: &Settings, attack: Attack) -> bool {
    attack.kind() == AttackKind::Ensemble && kind(settings, attack) == ObjectiveKind::Away
}

/// Whether an attack drives two runtimes apart.
pub fn drives_apart(settings: &Settings, attack: Attack) -> bool {
    matches!(settings.objective, Objective::Runtimes) && !attack.needs_tap() && !attack.is_minimal()
}

/// What the objective of an attack compares the output with.
pub fn kind(settings: &Settings, attack: Attack) -> ObjectiveKind {
    match (attack.maximises(), &settings.objective) {
        (Maximises::Features, _) => ObjectiveKind::Features,
        (Maximises::Chosen, Objective::Runtimes) => ObjectiveKind::Runtimes,
        (Maximises::Chosen, Objective::Toward(_)) => ObjectiveKind::Toward,
        (Maximises::Chosen | Maximises::Distance, _) => ObjectiveKind::Away,
    }
}

/// Checks that everything the settings ask for has its place in a model and its images.
///
/// # Errors
/// The first thing that is missing.
pub fn check(
    settings: &Settings,
    model: &AuditedModel,
    images: &[AuditImage],
    runtimes: usize,
) -> Result<(), AuditError> {
    if matches!(settings.objective, Objective::Runtimes) && runtimes < 2 {
        return Err(AuditError::OneRuntime);
    }
    let needs_truth = matches!(settings.objective, Objective::Truth) || settings.cost.is_some();
    if let Some(image) = images.iter().find(|image| needs_truth && image.truth.is_none()) {
        return Err(AuditError::NoTruth { path: image.path.clone() });
    }
    if settings.universal {
        one_size(images)?;
    }
    let maximised = settings.objective.function();
    if model.tiles.is_some() && !maximised.adds_up_over_tiles() {
        return Err(AuditError::NotInTiles { model: model.name.clone(), what: maximised.name().into() });
    }
    let Some(image) = images.first() else { return Ok(()) };
    for &attack in settings.attacks.iter().filter(|attack| attack.needs_tap()) {
        let function = function(settings, model, attack)?;
        objective_model(&model.model, &function, &image.shape())
            .map_err(|source| AuditError::Objective { model: model.name.clone(), source })?;
    }
    images.iter().try_for_each(|image| ball(settings, image, Budget::default()).map(drop))
}

/// Whether there are images enough for a universal perturbation, all of one size.
fn one_size(images: &[AuditImage]) -> Result<(), AuditError> {
    let [first, others @ ..] = images else { return Ok(()) };
    if others.is_empty() {
        return Err(AuditError::TooFewForUniversal);
    }
    let size = |image: &AuditImage| [image.shape()[2], image.shape()[3]];
    match others.iter().find(|image| size(image) != size(first)) {
        Some(other) => Err(AuditError::UnequalSizes {
            path: other.path.clone(),
            size: size(other),
            first: first.path.clone(),
            expected: size(first),
        }),
        None => Ok(()),
    }
}

/// The ball of a budget around an image.
pub fn ball(settings: &Settings, image: &AuditImage, budget: Budget) -> Result<Ball, AuditError> {
    let ball = Ball::of(settings.norm, image.x.view(), budget.radius());
    let size = [image.shape()[2], image.shape()[3]];
    let mask = match (settings.region, &settings.mask) {
        (Some(region), _) => Mask::rectangle(region, size),
        (None, Some(picture)) => Mask::picture(picture.brightness.view(), size),
        (None, None) => return Ok(ball),
    };
    let masked = mask.and_then(|mask| ball.masked(mask));
    masked.map_err(|source| AuditError::Mask { path: image.path.clone(), source })
}

/// What an attack on an image is given; `clean` is S(x0), a batch of one.
///
/// # Errors
/// A mask that the image has no room for, or a picture of no luma.
pub fn goal(
    settings: &Settings,
    model: &AuditedModel,
    image: &AuditImage,
    attack: Attack,
    budget: Budget,
    clean: &Array4<f32>,
) -> Result<Goal, AuditError> {
    let goal = Goal::new(ball(settings, image, budget)?, clean.clone());
    if attack.is_minimal() {
        return Ok(goal);
    }
    match (&settings.objective, &image.truth) {
        (Objective::Truth, Some(truth)) => {
            let inside = model.found.interface.geometry.inside(truth.view());
            Ok(goal.aimed_at(inside.to_owned().insert_axis(Axis(0))))
        }
        (Objective::Toward(picture), _) => Ok(goal.aimed_at(scaled(picture, clean)?)),
        _ => Ok(goal),
    }
}

/// A picture brought to the size and the channels of an output, as a batch of one on [0, 1].
fn scaled(picture: &TargetPicture, like: &Array4<f32>) -> Result<Array4<f32>, AuditError> {
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
