//! What was audited, on what: runtimes, models and images.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;

/// A runtime that died on a model, in a process of its own, so that the audit went on without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostRuntime {
    /// The runtime.
    pub runtime: String,
    /// The model that it ran; null where it had none yet.
    pub model: Option<String>,
    /// How it ended, in one line.
    pub reason: String,
}

/// A runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How images are cut for a model, in LR pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TilesInfo {
    /// Height and width of a tile.
    pub size: [usize; 2],
    /// By how much a tile outreaches what is kept of it: how far the model looks, measured.
    pub margin: usize,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The last feature map before upsampling, as the file says or as its graph shows: what fda disrupts where
    /// nothing is named; null where there is none.
    pub tap: Option<String>,
    /// The standard operator set it is written in.
    pub opset: i64,
    /// What the file says of itself: see [`embedded`].
    pub metadata: IndexMap<String, serde_json::Value>,
    /// What of its metadata the file itself contradicts, in words.
    #[serde(default)]
    pub metadata_ignored: Vec<String>,
    /// Whether images of other sizes run other operators: an `If` was settled by the size.
    #[serde(default)]
    pub branches_on_size: bool,
    /// How images larger than a tile are cut, for want of memory or because it was asked for; null where all go
    /// through whole.
    #[serde(default)]
    pub tiles: Option<TilesInfo>,
    /// Nodes through which only a zero gradient passes, so that an attack does not see what they do.
    pub stopped: Vec<StoppedNode>,
    /// What images pass before it; null for nothing.
    pub preprocess: Option<PreprocessInfo>,
}

/// A pre-processing before a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreprocessInfo {
    /// Its name, as the flag takes it.
    pub name: String,
    /// What the same model is called without it.
    pub of: String,
    /// What it does.
    pub how: Word,
    /// Draws of its randomness that every number is taken over; 1 where there is none.
    pub draws: usize,
    /// Whether gradients pass straight through it, for want of a derivative.
    pub straight_through: bool,
}

/// How a model is fed and read, as stated or found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceInfo {
    /// The input that takes the image.
    pub input: String,
    /// The output that gives it.
    pub output: String,
    /// The element type of the image. Gradients of a float16 model are computed in float32, and so are
    /// its forward runs on a runtime that does not serve float16.
    pub dtype: Word,
    /// The order of the input's axes.
    pub layout: Word,
    /// The order of the output's axes.
    pub output_layout: Word,
    /// 3 for RGB, 1 for luma.
    pub channels: usize,
    /// The range of values at the input.
    pub range: Word,
    /// The range of values at the output.
    pub output_range: Word,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoppedNode {
    /// The operator and the node's name.
    pub node: String,
    /// Why.
    pub reason: Word,
}

/// A string of a model's metadata: an object where it is one in JSON, as our own recipes are.
pub fn embedded(text: &str) -> serde_json::Value {
    match serde_json::from_str(text) {
        Ok(object @ serde_json::Value::Object(_)) => object,
        _ => text.into(),
    }
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
