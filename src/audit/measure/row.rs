//! The report's row of one attacked image on one runtime.

use super::crafted::Crafted;
use super::evaluate::{amplification, evaluate, evaluate_8_bits, psnr};
use crate::attack::{Attack, AttackKind, Discrepancy};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, ImageIndex, Judge};
use crate::audit::objective;
use crate::report::{NonFinite, Row};

/// The row of an attacked image, which `judge` upscales.
///
/// # Errors
/// A runtime that fails, and images that cannot be compared.
pub fn row(
    context: &mut Context<'_>,
    index: ImageIndex,
    cell: AttackCell,
    judge: Judge,
    attacked: &Crafted,
) -> Result<Row, AuditError> {
    let AttackCell { attack, budget, crafter } = cell;
    let Crafted { attacked, stopped_by } = attacked;
    let as_made = evaluate(context, index, judge, &attacked.image)?;
    let (rounded, eight_bit) = evaluate_8_bits(context, index, cell, judge, &attacked.image)?;
    let is_finite = as_made.is_finite && rounded.is_finite;
    let non_finite = if is_finite { *stopped_by } else { Some(NonFinite::Output) };
    let (settings, image) = (context.settings, context.image(index));
    let strength = &context.strength;
    let levels = |a: &f32, b: &f32| 255.0 * (f64::from(*a) - f64::from(*b)).abs();
    let moved = || attacked.image.iter().zip(&image.x).map(|(a, b)| levels(a, b));
    let lr_psnr = psnr(image, &image.x, &attacked.image)?;
    let formula = match objective::drives_apart(settings, attack) {
        true => Discrepancy::NAME.into(),
        false => objective::function(settings, context.model, attack)?.name().into(),
    };
    Ok(Row {
        model: context.name().to_owned(),
        image: image.name.clone(),
        attack: attack.name().into(),
        kind: attack.kind(),
        budget: budget.levels(),
        iterations: attack.steps(strength) as usize,
        crafted_on: context.runtime(crafter).name(),
        judged_on: context.runtime(judge).name(),
        lr_psnr,
        sr_psnr: as_made.sr_psnr,
        eight_bit,
        non_finite,
        sr_ssim: as_made.sr_ssim,
        amplification: amplification(lr_psnr, as_made.sr_psnr),
        bicubic_amplification: amplification(lr_psnr, as_made.bicubic_psnr),
        late_gain: late_gain(attack, strength.restarts, &attacked.values),
        restart_gain: restart_gain(attack, strength.restarts, strength.iterations, &attacked.values),
        linf: moved().fold(0.0, f64::max),
        l2: (moved().map(|moved| moved * moved).sum::<f64>() / image.x.len() as f64).sqrt(),
        objective: formula,
        objective_kind: objective::kind(settings, attack),
        objective_start: attacked.values.first().copied().unwrap_or_default(),
        objective_end: attacked.value.or(attacked.values.last().copied()).unwrap_or_default(),
        reached: attacked.reached,
        members: attacked.ensemble.as_ref().map_or(vec![], |ensemble| ensemble.members.clone()),
        rugged: attacked.ensemble.as_ref().map(|ensemble| ensemble.rugged),
        overshoot: attacked.ensemble.as_ref().and_then(|ensemble| ensemble.overshoot),
        seed: settings.seed,
        model_sha256: context.model.sha256.clone(),
    })
}

/// The share of the objective's end that the last fifth of the steps won, of attacks whose steps would cross
/// the ball many times. I-FGSM's just reach its border with the last one, and win as much with each.
fn late_gain(attack: Attack, restarts: usize, values: &[f64]) -> Option<f64> {
    let (last, before) = (values.last()?, values.get(values.len() * 4 / 5)?);
    let one_start = attack.converges() && restarts == 1;
    let tells = one_start && values.len() >= 10 && *last > 0.0;
    tells.then(|| ((last - before) / last).max(0.0))
}

/// The share of the best objective that the starts after the first won, of attacks that start anew.
fn restart_gain(attack: Attack, restarts: usize, iterations: usize, values: &[f64]) -> Option<f64> {
    let starts_anew = attack.kind() == AttackKind::WhiteBox && attack.restarts() && restarts > 1;
    if !starts_anew || values.len() != restarts * iterations {
        return None;
    }
    let best = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (all, first) = (best(values), best(&values[..iterations]));
    (all > 0.0).then(|| (all - first) / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_restarts_won_is_a_share_of_the_best() {
        let values = [1.0, 3.0, 2.0, 4.0, 1.0, 2.0];
        assert_eq!(restart_gain(Attack::PGD, 3, 2, &values), Some(0.25));
        assert_eq!(restart_gain(Attack::PGD, 2, 2, &values[..4]), Some(0.25));
        assert_eq!(restart_gain(Attack::PGD, 1, 2, &values[..2]), None, "one start");
        assert_eq!(restart_gain(Attack::PGD, 2, 3, &values[..4]), None, "one ended early");
        assert_eq!(restart_gain(Attack::IFGSM, 3, 2, &values), None, "no starts");
    }
}
