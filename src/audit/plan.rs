//! What is asked of an audit, as values. Deliberately absent: flags, and anything worked out.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ndarray::{Array2, Axis};
use sha2::{Digest, Sha256};

use crate::attack::{Attack, Budget, Norm, Region, Settings};
use crate::audit::inputs::images::Images;
use crate::audit::inputs::model::hex;
use crate::audit::measure::certificate::Smoothing;
use crate::audit::preprocess::Preprocessing;
use crate::image::{ImageError, load};
use crate::interface::Wishes;
use crate::oracle::Objective;
use crate::runtime::Kind;

/// What is asked of an audit.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model files.
    pub models: Vec<PathBuf>,
    /// What is stated of the models' interface; the rest is found.
    pub wishes: Wishes,
    /// The images.
    pub images: Images,
    /// The most LR pixels a side that are kept of an image; all where `None`.
    pub crop: Option<usize>,
    /// The attacks.
    pub attacks: Vec<Attack>,
    /// What all of them maximise, but for those that have an objective of their own.
    pub objective: Objective,
    /// What it compares the output with.
    pub away_from: Target,
    /// The values that FDA disrupts; the model's own tap where there is none.
    pub taps: Vec<String>,
    /// The norm of the budgets.
    pub norm: Norm,
    /// The LR pixels that may change; all where `None`.
    pub region: Option<Region>,
    /// The same as a picture.
    pub mask: Option<MaskPicture>,
    /// The budgets.
    pub budgets: Vec<Budget>,
    /// How the attacks are carried out.
    pub settings: Settings,
    /// Gradients per image that CLEVER is taken from; it is not taken where `None`.
    pub clever: Option<usize>,
    /// The loss of PSNR against the ground truth, in dB, whose smallest budget is looked for.
    pub cost: Option<f64>,
    /// Whether one perturbation for all images is looked for as well.
    pub universal: bool,
    /// The seed of everything random.
    pub seed: u64,
    /// The most bytes that a gradient step may need; what the machine has free where `None`.
    pub memory: Option<u64>,
    /// The runtimes that judge, and craft where `craft` lets them.
    pub runtimes: Vec<Kind>,
    /// Who crafts.
    pub craft: Craft,
    /// The most images, evenly picked; all where `None`.
    pub most_images: Option<usize>,
    /// The part of the images that is attacked; all where `None`.
    pub shard: Option<Shard>,
    /// How long it may take; as long as it takes where `None`.
    pub time_limit: Option<Duration>,
    /// The folder that keeps what was worked out; it is kept for this audit alone where `None`.
    pub cache: Option<PathBuf>,
    /// Every model is audited behind each of these, too.
    pub preprocess: Vec<Preprocessing>,
    /// What a certificate is taken with; none is where `None`.
    pub certify: Option<Smoothing>,
    /// What whoever made the plan left out already, in words.
    pub left_out: Vec<String>,
}

impl Plan {
    /// I-FGSM on every image in full, at the budgets given.
    pub fn new(models: Vec<PathBuf>, images: Images, runtimes: Vec<Kind>, budgets: Vec<Budget>) -> Self {
        Self {
            models,
            wishes: Wishes::default(),
            images,
            crop: None,
            attacks: vec![Attack::IFGSM],
            objective: Objective::Distance,
            away_from: Target::Clean,
            taps: Vec::new(),
            norm: Norm::Linf,
            region: None,
            mask: None,
            budgets,
            settings: Settings::default(),
            clever: None,
            cost: None,
            universal: false,
            seed: 0,
            memory: None,
            runtimes,
            craft: Craft::All,
            most_images: None,
            shard: None,
            time_limit: None,
            cache: None,
            preprocess: Vec::new(),
            certify: None,
            left_out: Vec::new(),
        }
    }
}

/// The runtimes that attacks are crafted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Craft {
    /// All that judge.
    #[default]
    All,
    /// The fastest with a trusted gradient.
    Fastest,
    /// This one, which is among those that judge.
    On(Kind),
}

/// What an objective compares the output with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// S(x0).
    #[default]
    Clean,
    /// The ground truth.
    Truth,
    /// What the next runtime gives for the same image: drives the two apart.
    Runtimes,
    /// An image of the output's size, or that is scaled to it.
    Image(PathBuf),
}

impl Target {
    /// Its name, for keys.
    pub fn name(&self) -> &'static str {
        match self {
            Target::Clean => "clean",
            Target::Truth => "truth",
            Target::Runtimes => "runtimes",
            Target::Image(_) => "image",
        }
    }
}

/// One part of the images, of several that together are all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    index: usize,
    of: usize,
}

impl Shard {
    /// Whether the image at this place, from 0, is in it.
    pub fn holds(self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("`{text}` is no shard; give i/n, such as 1/4 for the first of four")),
        }
    }
}

/// A picture whose bright pixels are those that an attack may change.
#[derive(Clone, Debug)]
pub struct MaskPicture {
    /// Its brightest channel on [0, 1], height x width.
    pub brightness: Array2<f32>,
    /// SHA-256 of that, as float32.
    pub sha256: String,
}

impl MaskPicture {
    /// Reads one.
    ///
    /// # Errors
    /// Those of an image.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let pixels = load(path)?.pixels;
        let brightness = pixels.fold_axis(Axis(0), 0.0_f32, |brightest, value| brightest.max(*value));
        let mut hash = Sha256::new();
        brightness.iter().for_each(|value| hash.update(value.to_le_bytes()));
        Ok(Self { brightness, sha256: hex(&hash.finalize()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_together_hold_every_image_once() {
        let shards = ["1/3", "2/3", "3/3"].map(|text| text.parse::<Shard>().unwrap());
        for place in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.holds(place)).count(), 1);
        }
        assert_eq!(shards[1].to_string(), "2/3");
        for wrong in ["", "1", "0/3", "4/3", "a/b", "1/0", "-1/3", "1/3/3"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("is no shard"), "{wrong}");
        }
    }
}
