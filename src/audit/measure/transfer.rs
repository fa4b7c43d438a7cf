//! What attacks crafted for one of several models do to the others that take the same images: a gradient
//! that hides from its own attacks does not hide from those of a sibling.
//!
//! Forward runs alone; the attacked images are those that were kept. Deliberately absent: models of another
//! scale or size, whose images are others.

use super::attack::recall;
use super::crafted::Crafted;
use super::evaluate::{evaluate, evaluate_8_bits};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, ImageIndex};
use crate::audit::watch::Watch;
use crate::report::{NonFinite, Transfer};

/// An attack that was made on an image of a model.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The image.
    pub image: ImageIndex,
    /// The attack.
    pub cell: AttackCell,
}

/// Evaluates the attacks crafted for `other` on `context`, which takes the same images.
///
/// # Errors
/// A runtime that fails, and an interruption.
pub fn transfer(
    context: &mut Context<'_>,
    other: &Context<'_>,
    made: &[Made],
    watch: &mut dyn Watch,
) -> Result<Vec<Transfer>, AuditError> {
    let mut rows = Vec::new();
    let images = context.images.len();
    let budgeted = made.iter().filter(|made| !made.cell.attack.is_minimal());
    for &Made { image, cell } in budgeted.filter(|made| made.image.0 < images) {
        let Some(Crafted { attacked, .. }) = recall(other, image, cell) else { continue };
        for judge in context.judges() {
            watch.tested()?;
            let as_made = evaluate(context, image, judge, &attacked.image)?;
            let (rounded, eight_bit) = evaluate_8_bits(context, image, cell, judge, &attacked.image)?;
            let is_finite = as_made.is_finite && rounded.is_finite;
            rows.push(Transfer {
                model: context.name().to_owned(),
                crafted_for: other.name().to_owned(),
                image: context.image(image).name.clone(),
                attack: cell.attack.name().into(),
                kind: cell.attack.kind(),
                budget: cell.budget.levels(),
                crafted_on: other.runtime(cell.crafter).name(),
                judged_on: context.runtime(judge).name(),
                sr_psnr: as_made.sr_psnr,
                eight_bit,
                non_finite: (!is_finite).then_some(NonFinite::Output),
            });
        }
    }
    Ok(rows)
}
