//! Pictures of the worst attacks of a report, small enough for its page.

use std::path::Path;

use super::attack::recall;
use super::cells;
use super::crop::Crop;
use super::pictures::draw;
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::AttackCell;
use crate::report::Row;

/// LR pixels a side that are shown of an image.
const SIDE: usize = 64;

/// Draws the attacks of these rows, of each at most [`SIDE`] LR pixels a side around the window of the output that it
/// changes most. A row whose attack is not kept, or whose output is not finite, is left out.
///
/// # Errors
/// A runtime that fails on the image itself, and files that cannot be written.
pub fn save_parts(context: &mut Context<'_>, rows: &[&Row], folder: &Path) -> Result<(), AuditError> {
    let name = context.name();
    for row in rows.iter().filter(|row| row.model == name) {
        let of = |cell: &AttackCell| {
            cell.attack.name() == row.attack
                && cell.budget.levels() == row.budget
                && context.runtime(cell.crafter).name() == row.crafted_on
        };
        let cell = cells(context).into_iter().find(of);
        let image = context.image_indices().find(|&index| context.image(index).name == row.image);
        let (Some(cell), Some(image), Some(window)) = (cell, image, &row.eight_bit.worst_window) else {
            continue;
        };
        let Some(crafted) = recall(context, image, cell) else { continue };
        let geometry = context.model.found.interface.geometry;
        let [_, _, height, width] = context.image(image).shape();
        let crop = Crop::around(window, [height, width], &geometry, SIDE);
        draw(context, image, cell, &crafted, &crop, folder)?;
    }
    context.release();
    Ok(())
}
