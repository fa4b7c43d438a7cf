//! What an audit found, as data, as JSON and as a table.
//!
//! Deliberately absent: runtimes, models and how anything was measured. The fields of `report.json`
//! are the fields of these structures; later versions add fields and keep these.

mod certificate;
mod defences;
#[cfg(test)]
mod example;
mod findings;
mod interval;
mod summary;
mod table;
mod threshold;

use std::path::Path;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

pub use certificate::{Certificate, CertifiedBound};
pub use findings::{Finding, Level, findings};
pub use interval::Interval;
pub use summary::{Summary, Worst, summarise, worst};
pub use table::table;
pub use threshold::LeastSrPsnr;

use crate::files::{FileError, write_atomically};

/// The version of the form of `report.json`.
pub const SCHEMA: u32 = 1;

/// A whole audit.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// The temper that made it.
    pub temper: &'static str,
    /// How every number was taken.
    pub conventions: Vec<Convention>,
    /// What was asked for.
    pub settings: Settings,
    /// The runtimes, with their versions.
    pub runtimes: Vec<RuntimeInfo>,
    /// The models.
    pub models: Vec<ModelInfo>,
    /// The images.
    pub images: Vec<ImageInfo>,
    /// Whether the gradients can be trusted.
    pub trust: Vec<Trust>,
    /// Quality without attack, where ground truth was given.
    pub clean: Vec<Clean>,
    /// One row per image and cell.
    pub rows: Vec<Row>,
    /// What signed noise of the whole budget does, for comparison.
    pub noise: Vec<Noise>,
    /// CLEVER, where it was asked for.
    pub clever: Vec<Clever>,
    /// The rows averaged over images.
    pub summary: Vec<Summary>,
    /// What is left under the worst of all attacks.
    pub worst: Vec<Worst>,
    /// What speaks against taking the numbers at their word.
    pub findings: Vec<Finding>,
    /// What no attack within a radius can do under noise, where it was asked for.
    pub certificates: Vec<Certificate>,
    /// The only part that differs between two runs of the same audit.
    pub timing: Timing,
}

impl Report {
    /// Writes `report.json`, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        write_atomically(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
    }
}

/// A number's name and how it was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Convention {
    /// The field.
    pub name: &'static str,
    /// In words.
    pub how: &'static str,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// The attacks, separated by commas.
    pub attack: String,
    /// What they maximise, but for those that have an objective of their own.
    pub objective: String,
    /// The values whose features are disrupted, where they were named.
    pub taps: Vec<String>,
    /// The norm of the budgets: linf or l2.
    pub norm: &'static str,
    /// The LR pixels that may change, as x, y, width and height; null for all.
    pub region: Option<[usize; 4]>,
    /// Budgets in 1/255.
    pub budgets: Vec<f64>,
    /// Gradient steps per attack and start.
    pub iterations: usize,
    /// Random starts per attack that has any, and draws of random noise.
    pub restarts: usize,
    /// Forward passes per attack without gradients.
    pub queries: usize,
    /// The SR PSNR in dB at which an attack ends; null for none.
    pub target_psnr: Option<f64>,
    /// The seed of everything random.
    pub seed: u64,
    /// The most LR pixels a side that were kept of an image, from its middle; null for all.
    pub crop: Option<usize>,
    /// What was left out, and why, in words.
    pub left_out: Vec<String>,
    /// The pre-processings behind which every model was audited, too.
    pub preprocess: Vec<String>,
}

/// A runtime.
#[derive(Clone, Debug, Serialize)]
pub struct RuntimeInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelInfo {
    /// The shortest end of its path that no other model shares.
    pub name: String,
    /// The path as it was given.
    pub path: String,
    /// SHA-256 of the file, and of the tensors it keeps in files beside it where there are any.
    pub sha256: String,
    /// Trained numbers in it.
    pub parameters: usize,
    /// Output side over input side.
    pub scale: usize,
    /// How it is fed and read.
    pub interface: InterfaceInfo,
    /// The most bytes that attacks on the largest image were allowed for.
    pub memory_bound: u64,
    /// The standard operator set it is written in.
    pub opset: i64,
    /// What the file says of itself: see [`embedded`].
    pub metadata: IndexMap<String, serde_json::Value>,
    /// Nodes through which only a zero gradient passes, so that an attack does not see what they do.
    pub stopped: Vec<StoppedNode>,
    /// What images pass before it; null for nothing.
    pub preprocess: Option<PreprocessInfo>,
}

/// A pre-processing before a model.
#[derive(Clone, Debug, Serialize)]
pub struct PreprocessInfo {
    /// Its name, as the flag takes it.
    pub name: String,
    /// What the same model is called without it.
    pub of: String,
    /// What it does.
    pub how: &'static str,
    /// Draws of its randomness that every number is taken over; 1 where there is none.
    pub draws: usize,
    /// Whether gradients pass straight through it, for want of a derivative.
    pub straight_through: bool,
}

/// How a model is fed and read, as stated or found.
#[derive(Clone, Debug, Serialize)]
pub struct InterfaceInfo {
    /// The input that takes the image.
    pub input: String,
    /// The output that gives it.
    pub output: String,
    /// The element type of the image. Gradients of a float16 model are computed in float32, and so are
    /// its forward runs on a runtime that does not serve float16.
    pub dtype: &'static str,
    /// The order of the input's axes.
    pub layout: &'static str,
    /// The order of the output's axes.
    pub output_layout: &'static str,
    /// 3 for RGB, 1 for luma.
    pub channels: usize,
    /// The range of values at the input.
    pub range: &'static str,
    /// The range of values at the output.
    pub output_range: &'static str,
    /// Pixels of the output that are missing on every side, for want of padding.
    pub margin: usize,
    /// The one size that is taken, height and width, where there is only one.
    pub fixed: Option<[usize; 2]>,
    /// Height and width must be multiples of this.
    pub multiple: usize,
    /// Inputs beside the image, which were given a value.
    pub fed: Vec<String>,
    /// PSNR in dB between its upscale of a test picture and the bicubic one.
    pub bicubic_agreement: f64,
}

/// A node through which only a zero gradient passes.
#[derive(Clone, Debug, Serialize)]
pub struct StoppedNode {
    /// The operator and the node's name.
    pub node: String,
    /// Why.
    pub reason: &'static str,
}

/// A string of a model's metadata: an object where it is one in JSON, as our own recipes are.
pub fn embedded(text: &str) -> serde_json::Value {
    match serde_json::from_str(text) {
        Ok(object @ serde_json::Value::Object(_)) => object,
        _ => text.into(),
    }
}

/// An image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageInfo {
    /// The file's name.
    pub name: String,
    /// Whether the LR image was made from ground truth by bicubic.
    pub made_from_truth: bool,
    /// The SHA-256 of the LR pixels as float32.
    pub sha256: String,
    /// Height and width of the LR image.
    pub size: [usize; 2],
    /// 3 for RGB, 1 for luma.
    pub channels: usize,
    /// What was done to its size because of the model; null for nothing.
    pub fitted: Option<String>,
    /// The scale it was made for.
    pub scale: usize,
}

/// A gradient's self-test on one runtime.
#[derive(Clone, Debug, Serialize)]
pub struct Trust {
    /// The model.
    pub model: String,
    /// The runtime.
    pub runtime: String,
    /// Whether gradients come from the runtime itself or from a gradient graph.
    pub source: &'static str,
    /// Slope along a direction near the gradient's, by finite difference on the same runtime.
    pub slope: f64,
    /// The same slope by the gradient.
    pub gradient_slope: f64,
    /// The largest error of the gradient's slope along random signs, as a share of its length.
    pub random_error: f64,
    /// Share of gradient entries that are exactly zero.
    pub zero_share: f64,
    /// Whether it takes the roundings of a quantised model, or of a pre-processing, for what they round: an
    /// estimate, no derivative.
    pub straight_through: bool,
    /// Relative distance to the first runtime's gradient.
    pub disagreement: f64,
    /// Whether an attack may use it.
    pub trusted: bool,
    /// Why not; null where it may.
    pub problem: Option<String>,
    /// Draws of a random pre-processing that each gradient is the mean over; 1 where nothing is random. The
    /// numbers above are the bare model's.
    pub draws: usize,
}

/// Quality without attack, next to bicubic's.
#[derive(Clone, Debug, Serialize)]
pub struct Clean {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The runtime that upscaled.
    pub runtime: String,
    /// PSNR on luma in dB.
    #[serde(serialize_with = "decibels")]
    pub psnr: f64,
    /// SSIM on luma.
    pub ssim: f64,
    /// PSNR of a bicubic upscale.
    #[serde(serialize_with = "decibels")]
    pub bicubic_psnr: f64,
    /// SSIM of a bicubic upscale.
    pub bicubic_ssim: f64,
}

/// One attacked image, judged once.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The attack.
    pub attack: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// Gradient steps, or forward passes of an attack without gradients.
    pub iterations: usize,
    /// The runtime whose gradients or outputs made the attack.
    pub crafted_on: String,
    /// The runtime that upscaled the attacked image.
    pub judged_on: String,
    /// PSNR of the attacked image against x0, in dB; null where they are equal.
    #[serde(serialize_with = "decibels")]
    pub lr_psnr: f64,
    /// PSNR of S(attacked) against S(x0), in dB; null where they are equal.
    #[serde(serialize_with = "decibels")]
    pub sr_psnr: f64,
    /// SSIM of S(attacked) against S(x0), on luma; null for images smaller than its window.
    pub sr_ssim: Option<f64>,
    /// How many times larger the output's change is than the input's, both as root mean squares on
    /// [0, 1] after clipping: 10^((lr_psnr - sr_psnr) / 20); null where the input did not change.
    pub amplification: Option<f64>,
    /// The same for a bicubic upscale of the same two images.
    pub bicubic_amplification: Option<f64>,
    /// The share of the objective's end that the last fifth of the steps won: large where more steps
    /// would have won more; null where the steps do not tell.
    pub late_gain: Option<f64>,
    /// The largest change of a value, in 1/255.
    pub linf: f64,
    /// The root mean square of the changes over the whole image, in 1/255.
    pub l2: f64,
    /// What the attack maximised.
    pub objective: String,
    /// The objective at the first point.
    pub objective_start: f64,
    /// The objective at the result, or before the last step where the last point is the result.
    pub objective_end: f64,
    /// Whether the target SR PSNR was reached; null where none was set.
    pub reached: Option<bool>,
    /// The seed.
    pub seed: u64,
    /// The model file's SHA-256.
    pub model_sha256: String,
}

impl Row {
    /// Whether it was made within a budget: `cw` goes as far as its target is.
    pub fn is_budgeted(&self) -> bool {
        self.attack != "cw"
    }

    /// Whether the attack drove the output away from what it should be, and not toward another image or
    /// away from another runtime's.
    pub fn drives_away(&self) -> bool {
        self.is_budgeted() && !(self.objective.starts_with('-') || self.objective.starts_with("||A(x)"))
    }
}

/// An image under noise of a budget: every value moved by all of it, up or down.
#[derive(Clone, Debug, Serialize)]
pub struct Noise {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// The runtime that upscaled.
    pub runtime: String,
    /// PSNR of S(noisy) against S(x0), in dB; null where they are equal.
    #[serde(serialize_with = "decibels")]
    pub sr_psnr: f64,
}

/// CLEVER at one image: the largest L1 norm of the gradient of ||S(x) - S(x0)||_2 at points within 1/255.
#[derive(Clone, Debug, Serialize)]
pub struct Clever {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The runtime whose gradients were taken.
    pub runtime: String,
    /// Points.
    pub samples: usize,
    /// The largest norm; both images on [0, 1].
    pub index: f64,
    /// What the largest norm tends to with more points; null where there is too little to say.
    pub extreme: Option<Extreme>,
}

/// A reverse Weibull distribution, fitted to the maxima of 32 norms each.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Extreme {
    /// The largest norm that can occur.
    pub bound: f64,
    /// How far below it maxima lie.
    pub scale: f64,
    /// How they are spread.
    pub shape: f64,
    /// The Kolmogorov-Smirnov distance of the fit.
    pub distance: f64,
    /// The share of samples from the fit itself that lie farther: a small one says not to use the bound.
    pub p_value: f64,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Timing {
    /// The whole audit, in seconds.
    pub seconds: f64,
    /// Inside the runtimes.
    pub inside_runtimes: f64,
    /// Gradient steps taken.
    pub gradient_steps: u64,
    /// Forward runs.
    pub forward_runs: u64,
    /// The most bytes that the process held; null where the system does not say.
    pub peak_memory: Option<u64>,
}

/// JSON knows no infinity: equal images give null.
fn decibels<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() { serializer.serialize_some(value) } else { serializer.serialize_none() }
}
