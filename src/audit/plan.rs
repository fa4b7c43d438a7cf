//! What is asked of an audit, as values. Deliberately absent: flags, and anything worked out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::attack::{self, Attack, Budget, Norm, Region};
use crate::audit::inputs::images::ImageSource;
use crate::audit::inputs::picture::{MaskPicture, TargetPicture};
use crate::audit::preprocess::Preprocessing;
use crate::interface::Overrides;
use crate::oracle;
use crate::report::Shard;
use crate::runtime::{Kind, Runtime};

/// Files to audit, and what is measured of them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model files.
    pub models: Vec<PathBuf>,
    /// Where the images come from.
    pub images: ImageSource,
    /// The most LR pixels a side that are kept of an image, from its middle; all where `None`.
    pub crop: Option<usize>,
    /// The most images, evenly picked; all where `None`.
    pub most_images: Option<usize>,
    /// The runtimes that judge, and craft where [`Settings::craft`] lets them.
    pub runtimes: Vec<Arc<dyn Runtime>>,
    /// What is measured.
    pub settings: Settings,
}

/// What is measured of every model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// What is stated of the models' interface; the rest is found by probing.
    pub interface: Overrides,
    /// The attacks.
    pub attacks: Vec<Attack>,
    /// What they maximise, but for attacks that have an objective of their own.
    pub objective: Objective,
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
    /// How hard each attack tries.
    pub strength: attack::Settings,
    /// Gradients per image that CLEVER is taken from; it is not taken where `None`.
    pub clever: Option<usize>,
    /// The loss of PSNR against the ground truth, in dB, whose minimal budget is looked for.
    pub cost: Option<f64>,
    /// Whether one perturbation for all images is looked for as well.
    pub universal: bool,
    /// The seed of everything random.
    pub seed: u64,
    /// The most bytes that a gradient step may need; what the machine has free where `None`.
    pub memory: Option<u64>,
    /// Side of the tiles that larger images are cut into, in LR pixels; where `None`, those that memory asks for.
    pub tile: Option<usize>,
    /// Who crafts.
    pub craft: Craft,
    /// The part of the images that is attacked; all where `None`.
    pub shard: Option<Shard>,
    /// How long it may take; as long as it takes where `None`.
    pub time_limit: Option<Duration>,
    /// The folder that keeps what was worked out; it is kept for this audit alone where `None`.
    pub cache: Option<PathBuf>,
    /// The folder that pictures of every attack are written to; none are where `None`.
    pub save_images: Option<PathBuf>,
    /// The folder that the worst attacks are drawn to, in part, for the report's page; they are not where `None`.
    pub pictures: Option<PathBuf>,
    /// Every model is audited behind each of these, too.
    pub preprocess: Vec<Preprocessing>,
    /// What a certificate is taken with; none is where `None`.
    pub certify: Option<Smoothing>,
    /// What whoever made the settings left out already, in words.
    pub left_out: Vec<String>,
}

/// I-FGSM of 50 steps at 4/255 on every image in full.
impl Default for Settings {
    fn default() -> Self {
        Self {
            interface: Overrides::default(),
            attacks: vec![Attack::IFGSM],
            objective: Objective::L2,
            taps: Vec::new(),
            norm: Norm::Linf,
            region: None,
            mask: None,
            budgets: vec![Budget::new(4.0).expect("4 lies between 0 and 255")],
            strength: attack::Settings::default(),
            clever: None,
            cost: None,
            universal: false,
            seed: 0,
            memory: None,
            tile: None,
            craft: Craft::All,
            shard: None,
            time_limit: None,
            cache: None,
            save_images: None,
            pictures: None,
            preprocess: Vec::new(),
            certify: None,
            left_out: Vec::new(),
        }
    }
}

/// What attacks maximise: a distance, and what the output's distance is taken to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Objective {
    /// ||S(x) - S(x0)||_2.
    #[default]
    L2,
    /// ||S(x) - S(x0)||_1.
    L1,
    /// The L2 distance of the luma to that of S(x0).
    Luma,
    /// Squared distances to S(x0), weighted by the cosine between colours.
    Cosine,
    /// The L2 distance to the ground truth.
    Truth,
    /// Minus the L2 distance to a picture, scaled to the output's size.
    Toward(TargetPicture),
    /// The L2 distance to what the next runtime gives for the same image: drives the two apart.
    Runtimes,
}

impl Objective {
    /// What an oracle answers for.
    pub fn function(&self) -> oracle::Objective {
        match self {
            Self::L2 | Self::Truth | Self::Runtimes => oracle::Objective::Distance,
            Self::L1 => oracle::Objective::L1,
            Self::Luma => oracle::Objective::Luma,
            Self::Cosine => oracle::Objective::Cosine,
            Self::Toward(_) => oracle::Objective::Targeted,
        }
    }

    /// All that tells it from others, for keys of results.
    pub fn identity(&self) -> (&'static str, &str) {
        match self {
            Self::L2 => ("l2", ""),
            Self::L1 => ("l1", ""),
            Self::Luma => ("luma", ""),
            Self::Cosine => ("cosine", ""),
            Self::Truth => ("truth", ""),
            Self::Toward(picture) => ("toward", &picture.sha256),
            Self::Runtimes => ("runtimes", ""),
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

/// Noise and samples of a certificate; see `super::measure::certificate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Standard deviation of the noise, in 1/255.
    pub sigma: f64,
    /// Draws of it per image.
    pub samples: usize,
}
