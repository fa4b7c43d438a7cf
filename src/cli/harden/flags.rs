//! The flags of `temper harden`, as a file of settings would state them.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::cli::interface::FormArgs;
use crate::interface::Overrides;
use crate::zoo::Arch;

/// The flags of where and how often; a flag that is not given is no part of the table.
#[derive(Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Files, device and intervals")]
pub(super) struct RunFlags {
    /// Folder of HR images to train on (PNG, JPEG, BMP, TIFF, WebP, PNM), or of DIV2K
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Folder of LR images, matched to the HR images by name [default: made by bicubic]
    #[arg(long = "lr-data", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lr: Option<PathBuf>,
    /// Folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<PathBuf>,
    /// Where to compute: cpu, cuda, cuda:N, or auto (a GPU if there is one) [default: auto]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Steps per line of train.jsonl [default: 10]
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_every: Option<u64>,
    /// Steps per checkpoint [default: 1000]
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    save_every: Option<u64>,
    /// Folder of HR images to validate on: PSNR and SSIM on luma, SR PSNR under a short attack
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validate: Option<PathBuf>,
    /// Steps per validation [default: 1000]
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validate_every: Option<u64>,
    /// Leave out the audit at the end
    #[arg(long = "no-audit", action = clap::ArgAction::SetFalse)]
    #[serde(skip_serializing_if = "Clone::clone")]
    audit: bool,
    /// Write float16 weights and arithmetic; images stay float32
    #[arg(long, help_heading = WRITTEN)]
    #[serde(skip_serializing_if = "is_off")]
    fp16: bool,
    /// Write a file for one image of this LR size, height x width, such as 48x64 [default: any]
    #[arg(long, value_name = "HxW", help_heading = WRITTEN, allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
    /// Fold BatchNormalization into the convolution before it
    #[arg(long, help_heading = WRITTEN)]
    #[serde(skip_serializing_if = "is_off")]
    fold_batchnorm: bool,
}

const WRITTEN: &str = "The written model";

/// The flags of a recipe; their names are the keys of its table.
#[derive(Debug, Serialize, clap::Args)]
#[command(next_help_heading = "What is computed")]
pub(super) struct RecipeFlags {
    /// Network to train [default: edsr]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Arch::ALL.map(Arch::name)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    /// Fine-tune this ONNX file instead: any network that libtorch can run here. The result is the same
    /// graph with new weights
    #[arg(long, value_name = "MODEL.onnx", conflicts_with = "arch")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<PathBuf>,
    /// Start with the weights of this file of the same network, and not with drawn ones; a generator that
    /// was trained as srresnet is what srgan starts from
    #[arg(long, value_name = "MODEL.onnx", conflicts_with = "from")]
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<PathBuf>,
    /// Its size: the original's, or a small one for tests and CPUs
    #[arg(long, value_name = "full|small", value_parser = PossibleValuesParser::new(["full", "small"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    /// Channels of the network's feature maps
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<usize>,
    /// Blocks of the network, of rcan in each group; carn has a fixed number
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<usize>,
    /// Upscaling factor: 2, 3 or 4; srresnet and srgan: 2 or 4; of a file given by --from, where it is not
    /// to be found by probing
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<usize>,
    /// Training steps
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    /// Crops per step
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    /// Side of a crop in LR pixels
    #[arg(long, value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<usize>,
    /// Learning rate of Adam at the start
    #[arg(long = "lr", value_name = "RATE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// How the learning rate falls: halved every --halve-every steps, or by a cosine to 0
    #[arg(long, value_name = "step|cosine", value_parser = PossibleValuesParser::new(["step", "cosine"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// The learning rate halves every so many steps
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    halve_every: Option<u64>,
    /// Shorten gradients that are longer than this in L2; 0 for none
    #[arg(long, value_name = "LENGTH", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    clip: Option<f64>,
    /// Export averaged weights, of which this share stays at every step, such as 0.999; 0 for none
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ema: Option<f64>,
    /// Convolutions in bfloat16 (mixed precision); weights stay float32
    #[arg(long)]
    #[serde(skip_serializing_if = "is_off")]
    amp: bool,
    /// Regularise the entropy of the features; off with noise on is the ablation's case of noise alone
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    #[serde(skip_serializing_if = "Option::is_none")]
    estimator: Option<bool>,
    /// Add noise to the features while training
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<bool>,
    /// Weight of the entropy loss; 0 trains the plain network, without estimator and noise
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    lambda: Option<f64>,
    /// Width of the probability's bins and of the noise, in units of the features
    #[arg(long, value_name = "WIDTH", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<f64>,
    /// Hidden widths of the density estimator: K - 1 numbers
    #[arg(long, value_delimiter = ',', value_name = "N,N,...")]
    #[serde(skip_serializing_if = "Option::is_none")]
    widths: Option<Vec<usize>>,
    /// The features that estimator and noise work on: last or first feature map, or the name of a value
    /// or node
    #[arg(long, value_name = "last|first|NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tap: Option<String>,
    /// Train on every crop and on the same crop attacked by one step of I-FGSM of this budget, in 1/255
    /// (the paper's is 8); 0 for none
    #[arg(long, value_name = "BUDGET", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    adversarial: Option<f64>,
    /// SRGAN: compare outputs by features of this VGG network, an ONNX file fed as torchvision's are
    /// (RGB, ImageNet's mean and deviation), and not by pixels
    #[arg(long, value_name = "FILE", requires = "vgg_tap")]
    #[serde(skip_serializing_if = "Option::is_none")]
    vgg: Option<PathBuf>,
    /// The feature map of --vgg to compare: the name of a value that a node writes
    #[arg(long, value_name = "NAME", requires = "vgg")]
    #[serde(skip_serializing_if = "Option::is_none")]
    vgg_tap: Option<String>,
    /// Decides initial weights, crops and noise
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("say on or off".to_owned()),
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_off(flag: &bool) -> bool {
    !flag
}

/// The flags as a file would state them.
#[derive(Serialize)]
pub(super) struct Flags<'a> {
    recipe: WithInterface<'a>,
    run: &'a RunFlags,
}

impl<'a> Flags<'a> {
    /// What is computed, how a file is fed, and where and how often.
    pub fn new(recipe: &'a RecipeFlags, form: &FormArgs, run: &'a RunFlags) -> Self {
        Self { recipe: WithInterface { flags: recipe, interface: form.overrides(recipe.scale) }, run }
    }
}

#[derive(Serialize)]
struct WithInterface<'a> {
    #[serde(flatten)]
    flags: &'a RecipeFlags,
    #[serde(skip_serializing_if = "Overrides::is_empty")]
    interface: Overrides,
}
