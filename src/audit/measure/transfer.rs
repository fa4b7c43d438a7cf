//! What attacks crafted for one of several models do to the others that take the same images: a gradient
//! that hides from its own attacks does not hide from those of a sibling.
//!
//! Forward runs alone; the attacked images are those that were kept. Deliberately absent: models of another
//! scale or size, whose images are others.

use super::attack::recall;
use super::evaluate::evaluate;
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, ImageIndex};
use crate::audit::watch::Watch;
use crate::report::Transfer;

/// An attack that was made on an image of a model.
#[derive(Clone, Copy, Debug)]
pub struct Crafted {
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
    crafted: &[Crafted],
    watch: &mut dyn Watch,
) -> Result<Vec<Transfer>, AuditError> {
    let mut rows = Vec::new();
    let images = context.images.len();
    let budgeted = crafted.iter().filter(|crafted| !crafted.cell.attack.is_minimal());
    for &Crafted { image, cell } in budgeted.filter(|crafted| crafted.image.0 < images) {
        let Some(attacked) = recall(other, image, cell) else { continue };
        for judge in context.judges() {
            watch.tested()?;
            let evaluation = evaluate(context, image, judge, &attacked.image)?;
            rows.push(Transfer {
                model: context.name().to_owned(),
                crafted_for: other.name().to_owned(),
                image: context.image(image).name.clone(),
                attack: cell.attack.name().into(),
                kind: cell.attack.kind(),
                budget: cell.budget.levels(),
                crafted_on: other.runtime(cell.crafter).name(),
                judged_on: context.runtime(judge).name(),
                sr_psnr: evaluation.sr_psnr,
            });
        }
    }
    Ok(rows)
}
