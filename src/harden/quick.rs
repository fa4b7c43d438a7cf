//! The audit at the end of a run: a few crops, one budget, few steps. A first answer, and the command
//! that repeats it; `temper audit` gives the whole one.

use std::path::Path;

use super::HardenError;
use super::data::Dataset;
use crate::attack::{Norm, Settings, parse_budgets};
use crate::audit::{Aim, Craft, Images, Plan};
use crate::image::save_png;
use crate::interface::Wishes;
use crate::oracle::Objective;
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
    scale: usize,
) -> Result<Option<Plan>, HardenError> {
    let images = folder.join("images");
    crate::files::create_output_folder(&images)?;
    for index in 0..CROPS {
        if let Some(crop) = data.middle(index, SIDE * scale) {
            save_png(&images.join(format!("{index}.png")), crop.view())?;
        }
    }
    let there = [Kind::Ort, Kind::Tract].into_iter().find(|kind| runtime::open(*kind).is_ok());
    let (Some(runtime), Ok(budgets), Ok(attack)) = (there, parse_budgets("4"), "ifgsm".parse()) else {
        return Ok(None);
    };
    Ok(Some(Plan {
        models: vec![model.to_owned()],
        wishes: Wishes::default(),
        images: Images::Truth(images),
        crop: None,
        attacks: vec![attack],
        objective: Objective::Distance,
        away_from: Aim::Clean,
        taps: Vec::new(),
        norm: Norm::Linf,
        region: None,
        budgets,
        settings: Settings { iterations: 10, ..Settings::default() },
        clever: None,
        seed: 0,
        memory: None,
        runtimes: vec![runtime],
        craft: Craft::All,
        most_images: None,
        time_limit: None,
        left_out: Vec::new(),
        preprocess: Vec::new(),
        certify: None,
    }))
}
