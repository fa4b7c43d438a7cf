//! What was measured, one structure per kind of number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::null::{decibels, number};
use crate::attack::{AttackKind, Member, ObjectiveKind};

/// Quality without attack, next to bicubic's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clean {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The runtime that upscaled.
    pub runtime: String,
    /// PSNR on luma in dB.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub psnr: f64,
    /// SSIM on luma.
    pub ssim: f64,
    /// PSNR of a bicubic upscale.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub bicubic_psnr: f64,
    /// SSIM of a bicubic upscale.
    pub bicubic_ssim: f64,
}

/// An attacked image rounded to 8 bits inside its budget, as a file can carry it, and what a model makes of
/// that. A PSNR of null: the output did not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EightBit {
    /// PSNR of its output against S(x0), in dB; 0, the least there is, where the output holds values that are
    /// not finite numbers.
    #[serde(rename = "sr_psnr_8bit", with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
    /// As [`Row::amplification`].
    #[serde(rename = "amplification_8bit")]
    pub amplification: Option<f64>,
    /// As [`Row::bicubic_amplification`].
    #[serde(rename = "bicubic_amplification_8bit")]
    pub bicubic_amplification: Option<f64>,
    /// The window of 16 x 16 output pixels with the least PSNR; null where the output is not finite.
    pub worst_window: Option<WorstWindow>,
    /// The output value that changed most; null where the output is not finite.
    pub output_linf: Option<OutputLinf>,
}

/// A window of an output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorstWindow {
    /// PSNR inside it, in dB.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
    /// Its left column.
    pub x: usize,
    /// Its top row.
    pub y: usize,
}

/// The largest change of an output value, which is the L-infinity norm of the output's change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutputLinf {
    /// In 1/255.
    pub linf: f64,
    /// Its column.
    pub x: usize,
    /// Its row.
    pub y: usize,
}

/// What was no finite number where an attack met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NonFinite {
    /// The output: the worst result there is, counted as 0 dB.
    Output,
    /// The objective or its gradient: the attack ended there.
    Gradient,
}

/// One attacked image, judged once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The attack.
    pub attack: String,
    /// What evidence its numbers are.
    pub kind: AttackKind,
    /// The budget in 1/255.
    pub budget: f64,
    /// Gradient steps, or forward passes of an attack without gradients.
    pub iterations: usize,
    /// The runtime whose gradients or outputs made the attack.
    pub crafted_on: String,
    /// The runtime that upscaled the attacked image.
    pub judged_on: String,
    /// PSNR of the attacked image against x0, in dB; null where they are equal.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub lr_psnr: f64,
    /// PSNR of S(attacked) against S(x0), in dB; null where they are equal.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
    /// What a file can carry of it.
    #[serde(flatten)]
    pub eight_bit: EightBit,
    /// What was no finite number under attack; null for nothing. The audit went on.
    pub non_finite: Option<NonFinite>,
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
    /// The share of the objective that the best of several random starts won over the first: large where
    /// starts matter, and more of them would win more; null for one start.
    pub restart_gain: Option<f64>,
    /// The largest change of a value, in 1/255.
    pub linf: f64,
    /// The root mean square of the changes over the whole image, in 1/255.
    pub l2: f64,
    /// What the attack maximised, as a formula for people.
    pub objective: String,
    /// What that compares the output with.
    pub objective_kind: ObjectiveKind,
    /// The objective at the first point.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub objective_start: f64,
    /// The objective at the result, or before the last step where the last point is the result.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub objective_end: f64,
    /// Whether the target SR PSNR was reached; null where none was set.
    pub reached: Option<bool>,
    /// What each member of an ensemble left, on the runtime that crafted; empty for a single attack.
    pub members: Vec<Member>,
    /// Whether the plain gradient promised a rise that did not come; null for a single attack.
    pub rugged: Option<bool>,
    /// The share of the output's squared change that clipping to the output's range removes; null where it was
    /// not measured.
    pub overshoot: Option<f64>,
    /// The seed.
    pub seed: u64,
    /// The model file's SHA-256.
    pub model_sha256: String,
}

impl Row {
    /// Whether it was made within a budget: a minimal attack goes as far as its target is.
    pub fn is_budgeted(&self) -> bool {
        self.kind != AttackKind::Minimal
    }

    /// Whether the attack drove the output away from what it should be, and not toward another image or
    /// away from another runtime's.
    pub fn drives_away(&self) -> bool {
        self.is_budgeted() && matches!(self.objective_kind, ObjectiveKind::Away | ObjectiveKind::Features)
    }
}

/// An image under noise of a budget: every value moved by all of it, up or down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
}

/// CLEVER at one image: the largest L1 norm of the gradient of ||S(x) - S(x0)||_2 at points within 1/255.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clever {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The runtime whose gradients were taken.
    pub runtime: String,
    /// Points.
    pub samples: usize,
    /// The largest norm; both images on [0, 1]. Null where no point had a finite one.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub index: f64,
    /// What was not finite at some of the points, which count for nothing; null where all was.
    #[serde(default)]
    pub non_finite: Option<NonFinite>,
    /// What the largest norm tends to with more points; null where there is too little to say.
    pub extreme: Option<Extreme>,
}

/// A reverse Weibull distribution, fitted to the maxima of 32 norms each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// One image, attacked for one model and judged on another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    /// The model that judged.
    pub model: String,
    /// The model whose gradients or outputs made the attack.
    pub crafted_for: String,
    /// The image.
    pub image: String,
    /// The attack.
    pub attack: String,
    /// What evidence its numbers are.
    pub kind: AttackKind,
    /// The budget in 1/255.
    pub budget: f64,
    /// The runtime that the attack was crafted on.
    pub crafted_on: String,
    /// The runtime that upscaled the attacked image.
    pub judged_on: String,
    /// PSNR of S(attacked) against S(x0), both of the model that judged, in dB; null where they are equal.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
    /// What a file can carry of it.
    #[serde(flatten)]
    pub eight_bit: EightBit,
    /// What was no finite number; null for nothing.
    pub non_finite: Option<NonFinite>,
}

/// The smallest budget at which an attack costs so many dB of PSNR against the ground truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MinimalBudget {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The runtime that crafted and judged.
    pub runtime: String,
    /// The attack.
    pub attack: String,
    /// The loss that was asked about, in dB on luma.
    pub cost: f64,
    /// The smallest budget found that costs as much, in 1/255; null where none that was tried does.
    pub budget: Option<f64>,
    /// The largest budget tried that costs less, in 1/255: the true border lies between the two.
    pub below: f64,
    /// The PSNR against the ground truth there, in dB on luma; without attack where `budget` is null.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub psnr: f64,
}

/// What one perturbation does to one of the images that it was judged on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Universal {
    /// The model.
    pub model: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// The runtime that it was found on.
    pub crafted_on: String,
    /// The runtime that upscaled.
    pub judged_on: String,
    /// The images that it was found with.
    pub found_with: usize,
    /// The image.
    pub image: String,
    /// Whether it was found with this image among others.
    pub seen: bool,
    /// PSNR of S(perturbed) against S(x0), in dB; null where they are equal.
    #[serde(with = "decibels")]
    #[schemars(with = "Option<f64>")]
    pub sr_psnr: f64,
}
