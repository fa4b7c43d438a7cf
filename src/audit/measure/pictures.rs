//! Pictures of attacks, for people: what went in, what came out, and how much that changed.
//!
//! Of the attacked image its 8-bit self is written, which is the one that can be sent. Differences are
//! absolute, and [`FACTOR`] times as large as they are.

use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4, ArrayView3, Axis};

use super::crafted::Crafted;
use super::evaluate::only;
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{AttackCell, ImageIndex};
use crate::audit::objective;
use crate::files::create_output_folder;
use crate::image::{ImageError, save_png};
use crate::report::html::file_name;

/// How many times larger differences are drawn than they are; part of the files' names.
const FACTOR: f32 = 8.0;

/// Writes an attack on an image, as its own runtime serves it, to `folder/MODEL/IMAGE/ATTACK-BUDGET-RUNTIME/`,
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
    let image = context.image(index);
    let runtime = context.runtime(cell.crafter).name();
    let clean = context.clean_output(cell.crafter, index)?;
    let ball = objective::ball(context.settings, image, cell.budget)?;
    let attacked = ball.to_8_bits(crafted.attacked.image.view());
    let of_image = folder.join(file_name(context.name())).join(file_name(&image.name));
    let of_attack = of_image.join(format!("{}-{}-{runtime}", cell.attack.name(), cell.budget));
    create_output_folder(&of_attack).map_err(AuditError::Pictures)?;
    write(of_image.join("input.png"), only(&image.x))?;
    write(of_image.join(format!("output-{runtime}.png")), only(&clean))?;
    write(of_attack.join("attacked.png"), only(&attacked))?;
    let differences = |name: &str| of_attack.join(format!("{name}-times-{FACTOR}.png"));
    write(differences("input-difference"), difference(&image.x, &attacked).view())?;
    match context.output(cell.crafter, image, &attacked) {
        Ok(output) => {
            write(of_attack.join("output.png"), only(&output))?;
            write(differences("output-difference"), difference(&clean, &output).view())
        }
        Err(error) if error.is_not_finite() => Ok(()),
        Err(error) => Err(error),
    }
}

/// [`FACTOR`] times the absolute difference of the first images of two batches, clipped to [0, 1].
fn difference(a: &Array4<f32>, b: &Array4<f32>) -> Array3<f32> {
    let clipped = |batch: &Array4<f32>| only(batch).mapv(|value| value.clamp(0.0, 1.0));
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
