//! Pictures of attacks, for people: what went in, what came out, and how much that changed.
//!
//! Of the attacked image its 8-bit self is written, which is the one that can be sent. Differences are
//! absolute, and [`FACTOR`] times as large as they are.

use std::path::{Path, PathBuf};

use ndarray::{Array3, ArrayView3, Axis};

use super::crafted::Crafted;
use super::crop::Crop;
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, ImageIndex};
use crate::audit::objective;
use crate::files::{clear_parts, create_output_folder};
use crate::image::{ImageError, save_png};
use crate::report::html::file_name;

/// How many times larger differences are drawn than they are; part of the files' names.
const FACTOR: f32 = 8.0;

/// Draws an attack on an image, as its own runtime serves it, to `folder/MODEL/IMAGE/ATTACK-BUDGET-RUNTIME/`,
/// and beside that the image and its output without attack. An output that is not finite is left out.
///
/// # Errors
/// A runtime that fails on the image itself, and files that cannot be written.
pub fn save(
    context: &mut Context<'_>,
    index: ImageIndex,
    cell: AttackCell,
    crafted: &Crafted,
    folder: &Path,
) -> Result<(), AuditError> {
    let geometry = context.model.found.interface.geometry;
    let [_, _, height, width] = context.image(index).shape();
    let crop = Crop::whole([height, width], geometry.output([height, width]));
    draw(context, index, cell, crafted, &crop, folder)
}

/// The same of a part of the image and of its output.
///
/// # Errors
/// As for [`save`].
pub fn draw(
    context: &mut Context<'_>,
    index: ImageIndex,
    cell: AttackCell,
    crafted: &Crafted,
    crop: &Crop,
    folder: &Path,
) -> Result<(), AuditError> {
    let image = context.image(index);
    let runtime = context.runtime(cell.crafter).name();
    let clean = context.clean_output(cell.crafter, index)?;
    let ball = objective::ball(context.settings, image, cell.budget)?;
    let attacked = ball.to_8_bits(crafted.attacked.image.view());
    let of_image = folder.join(file_name(context.name())).join(file_name(&image.name));
    let of_attack = of_image.join(format!("{}-{}-{runtime}", cell.attack.name(), cell.budget));
    create_output_folder(&of_attack).map_err(AuditError::Pictures)?;
    [&of_image, &of_attack].into_iter().for_each(|folder| clear_parts(folder));
    write(of_image.join("input.png"), crop.of_input(&image.x))?;
    write(of_image.join(format!("output-{runtime}.png")), crop.of_output(&clean))?;
    write(of_attack.join("attacked.png"), crop.of_input(&attacked))?;
    let differences = |name: &str| of_attack.join(format!("{name}-times-{FACTOR}.png"));
    let moved = difference(crop.of_input(&image.x), crop.of_input(&attacked));
    write(differences("input-difference"), moved.view())?;
    match context.output(cell.crafter, image, &attacked) {
        Ok(output) => {
            write(of_attack.join("output.png"), crop.of_output(&output))?;
            let moved = difference(crop.of_output(&clean), crop.of_output(&output));
            write(differences("output-difference"), moved.view())
        }
        Err(error) if error.is_not_finite() => Ok(()),
        Err(error) => Err(error),
    }
}

/// [`FACTOR`] times the absolute difference of two images, clipped to [0, 1].
fn difference(a: ArrayView3<'_, f32>, b: ArrayView3<'_, f32>) -> Array3<f32> {
    let clipped = |image: ArrayView3<'_, f32>| image.mapv(|value| value.clamp(0.0, 1.0));
    (clipped(a) - clipped(b)).mapv(|value| (FACTOR * value.abs()).min(1.0))
}

/// Writes an image, luma as grey.
fn write(path: PathBuf, pixels: ArrayView3<'_, f32>) -> Result<(), AuditError> {
    let rgb = match pixels.len_of(Axis(0)) {
        1 => {
            let (_, height, width) = pixels.dim();
            let grey = pixels.broadcast((3, height, width)).expect("one channel stands for three");
            save_png(&path, grey)
        }
        _ => save_png(&path, pixels),
    };
    rgb.map_err(|error| match error {
        ImageError::File(error) => AuditError::Pictures(error),
        error => AuditError::Image(error),
    })
}
