//! The smallest budget at which an attack costs so many dB of PSNR against the ground truth: budgets are
//! doubled until one does, then the interval is bisected.
//!
//! What is found is what this attack needs, an upper bound of the budget that is really needed.

use serde::{Deserialize, Serialize};

use super::attack::{self, attacked};
use super::evaluate::quality_of_draws;
use crate::attack::{Attack, Budget};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, Crafter, ImageIndex};
use crate::audit::store::Key;
use crate::audit::watch::Watch;
use crate::report::{MinimalBudget, decibels};

/// The first budget tried, in 1/255.
const FIRST: f64 = 0.25;
/// The largest.
const LAST: f64 = 64.0;
/// How often the interval is bisected: to a sixteenth of where it lies.
const HALVINGS: usize = 4;
/// About how many attacks that makes, most networks falling at a few levels.
pub const TRIES: u64 = 9;

/// What was found on one image, as the store keeps it.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Found {
    /// The smallest budget that costs as much, where one does.
    budget: Option<f64>,
    /// The largest budget tried that costs less.
    below: f64,
    #[serde(with = "decibels")]
    psnr: f64,
}

/// Looks for the minimal budget on an image with every runtime that crafts.
///
/// # Errors
/// A runtime that fails, and an interruption.
pub fn minimal_budget(
    context: &mut Context<'_>,
    index: ImageIndex,
    cost: f64,
    watch: &mut dyn Watch,
) -> Result<Vec<MinimalBudget>, AuditError> {
    let mut rows = Vec::new();
    for crafter in context.crafters.clone() {
        let key = key(context, index, crafter, cost);
        let Found { budget, below, psnr } =
            context.store.remember(&key, || search(context, index, crafter, cost, watch))?;
        rows.push(MinimalBudget {
            model: context.name().to_owned(),
            image: context.image(index).name.clone(),
            runtime: context.runtime(crafter).name(),
            attack: budgeted_attack(context, crafter).name().into(),
            cost,
            budget,
            below,
            psnr,
        });
    }
    Ok(rows)
}

/// The first attack of the settings that has budgets.
pub fn budgeted_attack(context: &Context<'_>, crafter: Crafter) -> Attack {
    let attacks = context.attacks(crafter);
    attacks.into_iter().find(|attack| !attack.is_minimal()).unwrap_or(Attack::IFGSM)
}

/// The key of a minimal budget.
pub fn key(context: &Context<'_>, index: ImageIndex, crafter: Crafter, cost: f64) -> Key {
    let attack = budgeted_attack(context, crafter);
    let attack = attack::key(context, index, AttackCell { attack, budget: Budget::default(), crafter });
    context.store.key("minimal budget", &(attack, cost))
}

fn search(
    context: &mut Context<'_>,
    index: ImageIndex,
    crafter: Crafter,
    cost: f64,
    watch: &mut dyn Watch,
) -> Result<Found, AuditError> {
    let attack = budgeted_attack(context, crafter);
    let clean = context.clean_output(crafter, index)?;
    let clean = quality_of_draws(context, context.image(index), &clean)?.psnr;
    let mut found = Found { budget: None, below: 0.0, psnr: clean };
    let mut next = FIRST;
    let mut halvings = 0;
    while let Some(budget) = Budget::new(next).filter(|_| next <= LAST && halvings <= HALVINGS) {
        let psnr = attacked_quality(context, index, AttackCell { attack, budget, crafter }, watch)?;
        if clean - psnr >= cost {
            (found.budget, found.psnr) = (Some(next), psnr);
        } else {
            found.below = next;
        }
        next = match found.budget {
            None => 2.0 * next,
            Some(above) => (found.below + above) / 2.0,
        };
        halvings += usize::from(found.budget.is_some());
    }
    Ok(found)
}

/// PSNR against the ground truth under an attack, on the runtime that crafted it.
fn attacked_quality(
    context: &mut Context<'_>,
    index: ImageIndex,
    cell: AttackCell,
    watch: &mut dyn Watch,
) -> Result<f64, AuditError> {
    let image = context.image(index);
    let attacked = attacked(context, &[index], cell, watch)?;
    match context.output(cell.crafter, image, &attacked[0].attacked.image) {
        Ok(output) => Ok(quality_of_draws(context, image, &output)?.psnr),
        Err(error) if error.is_not_finite() => Ok(0.0), // the worst there is
        Err(error) => Err(error),
    }
}
