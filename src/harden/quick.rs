//! The audit at the end of a run: a few crops, one budget, few steps. A first answer, and the command
//! that repeats it; `temper audit` gives the whole one.

use std::path::Path;

use super::HardenError;
use super::data::Dataset;
use crate::attack::Settings;
use crate::audit::{self, ImageSource, Plan};
use crate::image::save_png;
use crate::interface::Wishes;
use crate::runtime::{self, Kind};

/// Crops, and their side in LR pixels.
const CROPS: usize = 3;
const SIDE: usize = 32;

/// Writes crops of the first images to `folder` and plans an audit of `model` on them; `None` where
/// no runtime is there.
pub(super) fn plan(
    model: &Path,
    folder: &Path,
    data: &Dataset,
    (scale, interface): (usize, Wishes),
) -> Result<Option<Plan>, HardenError> {
    let images = folder.join("images");
    crate::files::create_output_folder(&images)?;
    for index in 0..CROPS {
        if let Some(crop) = data.middle(index, SIDE * scale) {
            save_png(&images.join(format!("{index}.png")), crop.view())?;
        }
    }
    let opened = [Kind::Ort, Kind::Tract].into_iter().find_map(|kind| runtime::open(kind).ok());
    let Some(runtime) = opened else { return Ok(None) };
    let settings = audit::Settings {
        interface,
        strength: Settings { iterations: 10, ..Settings::default() },
        ..audit::Settings::default()
    };
    Ok(Some(Plan {
        models: vec![model.to_owned()],
        images: ImageSource::Truth(images),
        crop: None,
        most_images: None,
        runtimes: vec![runtime.into()],
        settings,
    }))
}
