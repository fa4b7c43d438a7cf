//! The plan of the audit at the end of a run: three crops of training images, one budget, ten steps. It is
//! quick; `temper audit` gives the whole answer.

use std::path::Path;

use crate::attack::Settings;
use crate::audit::{self, ImageSource, Plan};
use crate::harden::HardenError;
use crate::harden::config::Recipe;
use crate::harden::data::Dataset;
use crate::image::save_png;
use crate::runtime;

/// Crops, and their side in LR pixels.
const CROPS: usize = 3;
const SIDE: usize = 32;

/// Writes crops of the first images to `folder` and plans an audit of `model` on them; `None` where
/// no runtime is there.
pub(in crate::harden) fn plan(
    model: &Path,
    folder: &Path,
    data: &Dataset,
    recipe: &Recipe,
) -> Result<Option<Plan>, HardenError> {
    let images = folder.join("images");
    crate::files::create_output_folder(&images)?;
    for index in 0..CROPS {
        if let Some(crop) = data.middle(index, SIDE * recipe.scale) {
            save_png(&images.join(format!("{index}.png")), crop.view())?;
        }
    }
    let opened = runtime::audited_by_default().find_map(|kind| runtime::open(kind).ok());
    let Some(runtime) = opened else { return Ok(None) };
    let settings = audit::Settings {
        interface: recipe.interface.clone(),
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
