//! The audit at the end of a run: a few crops, one budget, few steps. A first answer, and the command
//! that repeats it; `temper audit` gives the whole one.

use std::path::Path;

use super::HardenError;
use super::data::Dataset;
use crate::attack::{Settings, parse_budgets};
use crate::audit::{Images, Plan};
use crate::image::save_png;
use crate::runtime;

/// Crops, and their side in LR pixels.
const CROPS: usize = 3;
const SIDE: usize = 32;

/// Writes crops of the first images to `folder` and plans an audit of `model` on them; `None` where
/// no runtime is there.
pub(super) fn plan(
    model: &Path,
    folder: &Path,
    data: &Dataset,
    scale: usize,
) -> Result<Option<Plan>, HardenError> {
    let images = folder.join("images");
    crate::files::create_output_folder(&images)?;
    for index in 0..CROPS {
        if let Some(crop) = data.middle(index, SIDE * scale) {
            save_png(&images.join(format!("{index}.png")), crop.view())?;
        }
    }
    let there = runtime::audited_by_default().find(|kind| runtime::open(*kind).is_ok());
    let (Some(runtime), Ok(budgets)) = (there, parse_budgets("4")) else {
        return Ok(None);
    };
    let plan = Plan::new(vec![model.to_owned()], Images::Truth(images), vec![runtime], budgets);
    Ok(Some(Plan { settings: Settings { iterations: 10, ..Settings::default() }, ..plan }))
}
