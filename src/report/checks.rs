//! What was checked of a model before it was attacked: its gradient, and whether it is an SR network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;
use super::null::number;

/// The check of a gradient on one runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GradientCheck {
    /// The model.
    pub model: String,
    /// The runtime.
    pub runtime: String,
    /// Whether gradients come from the runtime itself or from a gradient graph.
    pub source: Word,
    /// Slope along a direction near the gradient's, by finite difference on the same runtime.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub slope: f64,
    /// The same slope by the gradient.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub gradient_slope: f64,
    /// The same two slopes of every other objective that attacks maximise.
    #[serde(default)]
    pub other_slopes: Vec<Slope>,
    /// The step of the first difference, in 1/255.
    #[serde(with = "number", default)]
    #[schemars(with = "Option<f64>")]
    pub step: f64,
    /// The largest error of the gradient's slope along random signs, as a share of its length.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub random_error: f64,
    /// Share of gradient entries that are exactly zero.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub zero_share: f64,
    /// Whether it takes the roundings of a quantised model, or of a pre-processing, for what they round: an
    /// estimate, no derivative.
    pub straight_through: bool,
    /// Relative distance to the first runtime's gradient.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub disagreement: f64,
    /// The rise that the gradient promises over whole budgets, against the rise achieved.
    #[serde(default)]
    pub reach: Vec<Reach>,
    /// Draws of a random pre-processing that each gradient is the mean over; 1 where nothing is random. The
    /// numbers above are the bare model's.
    pub draws: usize,
    /// Whether an attack may use it.
    pub trusted: bool,
    /// Why not; null where it may.
    pub problem: Option<String>,
}

/// The slope of an objective at one point, along one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slope {
    /// The objective's formula.
    pub objective: String,
    /// By finite difference.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub slope: f64,
    /// By the gradient.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub gradient_slope: f64,
}

/// How far a gradient leads from one point: the objective's rise over a step of a whole budget along its sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// The image, or what was made of it.
    pub image: String,
    /// The step in 1/255.
    pub budget: f64,
    /// What the gradient promises, to first order.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub promised: f64,
    /// What the output as it is served, clipped to [0, 1], rises by.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub achieved: f64,
    /// Whether the point was made of the image, by darkening it for instance.
    pub synthetic: bool,
    /// Whether it is a central difference around the point, of the output's projection: within the rounding of
    /// 8 bits.
    pub below_a_level: bool,
    /// Share of gradient entries that are exactly zero there.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub zero_share: f64,
}

/// Whether a model behaves as an SR network on one image, and twice as the same one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkCheck {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The runtime.
    pub runtime: String,
    /// The largest difference between two runs on the image, on [0, 1].
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub repeat_difference: f64,
    /// How far the output moves, in L2, when the image gives place to its negative, over how far a bicubic upscale
    /// does: 0 for an output that does not depend on the image, about 1 for an upscale.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub response: f64,
    /// The output's correlation with a bicubic upscale.
    #[serde(with = "number")]
    #[schemars(with = "Option<f64>")]
    pub correlation: f64,
    /// How far apart what noise does to the output of the crop and of the whole image is, in the middle of the crop, over
    /// the larger of both: 0 where the crop gets the network that the whole image gets, about 1 for another. Taken of
    /// the largest image that was cut, on the first runtime; null elsewhere, and where the whole takes too much memory.
    #[serde(default)]
    pub size_difference: Option<f64>,
}
