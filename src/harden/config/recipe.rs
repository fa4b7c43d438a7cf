//! Everything that decides what a run computes: two runs of one recipe on the same images, device
//! and number of threads give the same file.

use std::path::PathBuf;

use clap::ArgAction::Set;
use serde::{Deserialize, Serialize};

use super::adversarial::{AttackStart, AttackTarget};
use super::parsers::{on_or_off, one_of};
use super::schedule::Schedule;
use crate::density::DensityShape;
use crate::harden::HardenError;
use crate::interface::Overrides;
use crate::onnx::Model;
use crate::zoo::{Arch, Loss, Network, Preset};

/// The settings of a run; the defaults are the paper's, for EDSR-baseline at scale 4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "What is computed")]
pub struct Recipe {
    /// Network to train
    #[arg(long, value_name = "NAME", value_parser = one_of::<Arch, _>(Arch::ALL.map(Arch::name)))]
    pub arch: Arch,
    /// Fine-tune this ONNX file instead: any network that libtorch can run here. The result is the same
    /// graph with new weights; arch, size, features, blocks and scale are then its own
    #[arg(long, value_name = "MODEL.onnx", conflicts_with = "arch")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// How that file is fed, as far as it is stated.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Overrides::is_empty")]
    pub interface: Overrides,
    /// Start with the weights of this file of the same network, and not with drawn ones; a generator that
    /// was trained as srresnet is what srgan starts from
    #[arg(long, value_name = "MODEL.onnx", conflicts_with = "from")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Its size: the original's, or a small one for tests and CPUs
    #[arg(long, value_name = "full|small", value_parser = one_of::<Preset, _>(["full", "small"]))]
    pub size: Preset,
    /// Channels of the network's feature maps [default: those of its size]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<usize>,
    /// Blocks of the network, of rcan in each group; carn has a fixed number [default: those of its size]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    /// Upscaling factor: 2, 3 or 4; srresnet and srgan: 2 or 4; of a file given by --from, where it is not
    /// to be found by probing
    #[arg(long, value_name = "N")]
    pub scale: usize,
    /// Training steps
    #[arg(long, value_name = "N")]
    pub steps: u64,
    /// Crops per step
    #[arg(long, value_name = "N")]
    pub batch: usize,
    /// Side of a crop in LR pixels
    #[arg(long, value_name = "PIXELS")]
    pub patch: usize,
    /// Learning rate of Adam at the first step
    #[arg(long = "lr", value_name = "RATE", allow_negative_numbers = true)]
    pub learning_rate: f64,
    /// How the learning rate falls: halved every --halve-every steps, or by a cosine to 0 at the last step
    #[arg(long, value_name = "step|cosine", value_parser = one_of::<Schedule, _>(["step", "cosine"]))]
    pub schedule: Schedule,
    /// The learning rate halves every so many steps, where the schedule is by steps
    #[arg(long, value_name = "STEPS")]
    pub halve_every: u64,
    /// Shorten gradients that are longer than this in L2; 0 for none
    #[arg(long, value_name = "LENGTH", allow_negative_numbers = true)]
    pub clip: f64,
    /// Export averaged weights, of which this share stays at every step, such as 0.999; 0 for none
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub ema: f64,
    /// Convolutions and matrix products in bfloat16 (mixed precision); weights stay float32
    #[arg(long)]
    pub amp: bool,
    /// Regularise the entropy of the features, eq. (1) to (11) of the paper; off with noise on is the
    /// ablation's case of noise alone
    #[arg(long, value_name = "on|off", value_parser = on_or_off, action = Set)]
    pub estimator: bool,
    /// Add noise to the features while training, eq. (12)
    #[arg(long, value_name = "on|off", value_parser = on_or_off, action = Set)]
    pub noise: bool,
    /// Weight of the entropy loss; 0 trains the plain network, without estimator and noise. Where neither
    /// flag nor file states it, 0.1 for srresnet and srgan
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    pub lambda: f64,
    /// Steps over which lambda rises linearly to its value; 0 for none
    #[arg(long, value_name = "STEPS")]
    pub lambda_ramp: u64,
    /// Width of the probability's bins, eq. (11), and of the noise, in units of the features
    #[arg(long, value_name = "WIDTH", allow_negative_numbers = true)]
    pub delta: f64,
    /// Width of the noise, eq. (12), where it is not that of the bins [default: --delta]
    #[arg(long, value_name = "WIDTH", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_width: Option<f64>,
    /// Hidden widths of the density estimator: K - 1 numbers
    #[arg(long, value_delimiter = ',', value_name = "N,N,...")]
    pub widths: Vec<usize>,
    /// Spread of the features that the estimator assumes at its start
    #[arg(long, value_name = "SPREAD", allow_negative_numbers = true)]
    pub init_scale: f64,
    /// The features that estimator and noise work on: last or first feature map, or the name of a value
    /// or node
    #[arg(long, value_name = "last|first|NAME")]
    pub tap: String,
    /// Train on every crop and on the same crop attacked by I-FGSM of this budget, in 1/255 (the paper's is 8);
    /// 0 for none
    #[arg(long, value_name = "BUDGET", allow_negative_numbers = true)]
    pub adversarial: f64,
    /// Steps of that attack: 1 is I-FGSM's of the whole budget, more are PGD's of 2.5 budgets together
    #[arg(long, value_name = "STEPS")]
    pub adversarial_steps: u32,
    /// Where it starts: anywhere in the ball, or at the crop but for noise of a fiftieth of the budget
    #[arg(long, value_name = "ball|crop", value_parser = one_of::<AttackStart, _>(["ball", "crop"]))]
    pub adversarial_start: AttackStart,
    /// What the output for the attacked crop is compared with: the ground truth, or the output for the crop
    /// itself, as TRADES does
    #[arg(long, value_name = "truth|output", value_parser = one_of::<AttackTarget, _>(["truth", "output"]))]
    pub adversarial_target: AttackTarget,
    /// How much the attacked crop counts beside the crop, whose loss counts 1
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    pub adversarial_weight: f64,
    /// SRGAN: compare outputs by features of this VGG network, an ONNX file fed as torchvision's are
    /// (RGB, ImageNet's mean and deviation), and not by pixels
    #[arg(long, value_name = "FILE", requires = "vgg_tap")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vgg: Option<PathBuf>,
    /// SRGAN: the feature map of --vgg to compare, by the name of a value that a node writes
    #[arg(long, value_name = "NAME", requires = "vgg")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vgg_tap: Option<String>,
    /// Decides initial weights, crops and noise
    #[arg(long, value_name = "N")]
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        let density = DensityShape::default();
        Self {
            arch: Arch::Edsr,
            from: None,
            interface: Overrides::default(),
            weights: None,
            size: Preset::Full,
            features: None,
            blocks: None,
            scale: 4,
            steps: 300_000,
            batch: 16,
            patch: 48,
            learning_rate: 1e-4,
            halve_every: 200_000,
            schedule: Schedule::Step,
            clip: 0.0,
            ema: 0.0,
            amp: false,
            estimator: true,
            noise: true,
            lambda: 1.0,
            lambda_ramp: 0,
            delta: 1.0,
            noise_width: None,
            widths: density.hidden,
            init_scale: density.init_scale,
            tap: LAST.to_owned(),
            adversarial: 0.0,
            adversarial_steps: 1,
            adversarial_start: AttackStart::Ball,
            adversarial_target: AttackTarget::Truth,
            adversarial_weight: 1.0,
            vgg: None,
            vgg_tap: None,
            seed: 0,
        }
    }
}

/// The tap that is the last feature map before upsampling.
pub(in crate::harden) const LAST: &str = "last";

impl Recipe {
    /// The paper's settings for a network.
    pub fn of(arch: Arch) -> Self {
        Self { arch, lambda: arch.lambda(), ..Self::default() }
    }

    /// The network with its initial weights.
    ///
    /// # Errors
    /// [`HardenError::Network`] where there is none of these settings.
    pub fn network(&self) -> Result<Model, HardenError> {
        let Self { arch, size, features, blocks, scale, .. } = *self;
        Ok(Network { arch, preset: size, features, blocks, scale }.build(self.seed)?)
    }

    /// L_r of eq. (2); that of EDSR for a stranger's file.
    pub fn loss(&self) -> Loss {
        if self.from.is_some() { Loss::L1 } else { self.arch.loss() }
    }

    /// The same recipe with the network's features and blocks in numbers, as files state it.
    pub fn spelled_out(&self) -> Self {
        let Self { arch, size, .. } = *self;
        Self {
            features: self.features.or(Some(arch.features(size))),
            blocks: self.blocks.or(arch.blocks(size)),
            ..self.clone()
        }
    }

    /// Whether the entropy is regularised.
    pub fn estimated(&self) -> bool {
        self.estimator && self.lambda > 0.0
    }

    /// Whether noise is added. Without the estimator lambda has no other say, so that `estimator`
    /// off is the ablation's case of noise alone.
    pub fn noisy(&self) -> bool {
        self.noise && self.lambda > 0.0
    }

    /// The shape of the estimator's networks.
    pub fn density(&self) -> DensityShape {
        DensityShape { hidden: self.widths.clone(), init_scale: self.init_scale }
    }

    /// The width of the noise, eq. (12), in units of the features.
    pub fn noise_width(&self) -> f64 {
        self.noise_width.unwrap_or(self.delta)
    }

    /// Lambda at a step, counted from 0: it reaches its value at the last step of the ramp.
    pub fn lambda_at(&self, step: u64) -> f64 {
        let done = step.saturating_add(1);
        if done >= self.lambda_ramp {
            self.lambda
        } else {
            self.lambda * done as f64 / self.lambda_ramp as f64
        }
    }

    /// The learning rate of a step, counted from 0.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        self.learning_rate * self.schedule.factor(step, self.halve_every, self.steps)
    }

    /// Whether a checkpoint of `other` may be continued under this recipe: all but the number of
    /// steps must agree, and that too where the learning rate depends on it.
    pub fn continues(&self, other: &Self) -> bool {
        let bound = self.schedule == Schedule::Cosine && self.steps != other.steps;
        !bound && self.spelled_out() == Self { steps: self.steps, ..other.spelled_out() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_papers() {
        let recipe = Recipe::default();
        recipe.check().unwrap();
        assert_eq!((recipe.lambda, recipe.delta, recipe.widths.as_slice()), (1.0, 1.0, &[3, 3, 3][..]));
        assert_eq!(crate::zoo::parameter_count(&recipe.network().unwrap()), 1_517_571);
    }

    #[test]
    fn a_file_states_the_size_in_numbers() {
        let states = |recipe: Recipe| {
            let json = serde_json::to_value(recipe.spelled_out()).unwrap();
            ["arch", "size", "features", "blocks"].map(|key| json.get(key).map(ToString::to_string))
        };
        let some = |text: &str| Some(text.to_owned());
        let edsr = states(Recipe { features: Some(16), ..Recipe::default() });
        assert_eq!(edsr, [some("\"edsr\""), some("\"full\""), some("16"), some("16")]);
        let carn = states(Recipe { size: Preset::Small, ..Recipe::of(Arch::Carn) });
        assert_eq!(carn, [some("\"carn\""), some("\"small\""), some("16"), None]);
        assert_eq!(Recipe::of(Arch::SrResNet).lambda, 0.1);
    }

    #[test]
    fn the_learning_rate_halves_on_schedule() {
        let recipe = Recipe::default();
        assert_eq!(recipe.learning_rate_at(199_999), 1e-4);
        assert_eq!(recipe.learning_rate_at(200_000), 5e-5);
        assert_eq!(recipe.learning_rate_at(400_000), 2.5e-5);
        assert_eq!(recipe.learning_rate_at(u64::MAX), 0.0);
    }

    #[test]
    fn lambda_rises_to_its_value_over_the_ramp() {
        let recipe = Recipe { lambda: 2.0, lambda_ramp: 4, ..Recipe::default() };
        assert_eq!(
            [0, 1, 2, 3, 4, u64::MAX].map(|step| recipe.lambda_at(step)),
            [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
        );
        assert_eq!(Recipe::default().lambda_at(0), 1.0);
        assert_eq!(Recipe { noise_width: Some(30.0), ..Recipe::default() }.noise_width(), 30.0);
        assert_eq!(Recipe { delta: 0.1, ..Recipe::default() }.noise_width(), 0.1);
    }

    #[test]
    fn a_recipe_survives_its_json_and_unknown_keys_do_not() {
        let recipe = Recipe { lambda: 0.1, widths: vec![2], ..Recipe::default() };
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
        assert!(serde_json::from_str::<Recipe>(r#"{"lamda": 1}"#).is_err());
    }

    #[test]
    fn only_the_number_of_steps_may_change_on_resuming() {
        let recipe = Recipe::default();
        assert!(Recipe { steps: 1, ..recipe.clone() }.continues(&recipe));
        assert!(Recipe { features: Some(64), ..recipe.clone() }.continues(&recipe));
        assert!(!Recipe { seed: 1, ..recipe.clone() }.continues(&recipe));
        let cosine = Recipe { schedule: Schedule::Cosine, ..recipe };
        assert!(cosine.continues(&cosine));
        assert!(!Recipe { steps: 1, ..cosine.clone() }.continues(&cosine));
    }
}
