//! The flags that say how `temper audit` attacks. What their help says of attacks is asked of the table.

mod help;

use std::path::PathBuf;
use std::str::FromStr;

use super::CliError;
use super::preset::Preset;
use crate::attack::{Attack, Norm, Region, Settings};
use crate::audit::{MaskPicture, Objective, TargetPicture};
use crate::report::{LEAST_QUERIES, LEAST_STEPS};
use crate::suggest::no_such;

/// Attacks, what they maximise, and how hard they try.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Attacks")]
pub struct AttackArgs {
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',', help = help::attacks(), long_help = help::every_attack())]
    attack: Vec<Attack>,
    /// What they drive the output away from: l2, l1, luma or cosine distance to the unattacked output, l2
    /// distance to the ground truth (truth), toward another image (targeted), or away from what the next
    /// runtime gives (runtimes)
    #[arg(long, value_name = "NAME", default_value = "l2")]
    objective: ObjectiveName,
    /// The image that `targeted` goes toward
    #[arg(long, value_name = "IMAGE")]
    toward: Option<PathBuf>,
    /// Feature maps that fda disrupts, by the names of their values or nodes [default: the last before upsampling]
    #[arg(long = "tap", value_name = "NODE,NODE,...", value_delimiter = ',')]
    pub taps: Vec<String>,
    /// Norm of the budgets: linf, the largest change of a value; l2, the root mean square of the changes
    #[arg(long, value_name = "NORM", default_value = "linf")]
    pub norm: Norm,
    /// Attack these LR pixels alone, counted from the top left
    #[arg(long, value_name = "X,Y,W,H", allow_hyphen_values = true)]
    pub region: Option<Region>,
    /// Attack the bright pixels of this picture alone, which has the size of the LR images
    #[arg(long, value_name = "IMAGE", conflicts_with = "region")]
    mask: Option<PathBuf>,
    /// Gradient steps per attack [default: 50]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    iterations: Option<u32>,
    #[arg(long, value_name = "N", default_value_t = 1, help = help::restarts(), value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    restarts: u32,
    #[arg(long, value_name = "N", help = help::queries(), value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    queries: Option<u32>,
    /// Images of one size, or points of a search, that go through a model at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    batch: u32,
    /// End an attack once the SR PSNR is at or below this, in dB; cw looks for the smallest perturbation that
    /// gets there [default for cw: 30]
    #[arg(long, value_name = "DB", value_parser = parse_decibels, allow_negative_numbers = true)]
    target_psnr: Option<f64>,
}

/// An objective as a flag names it; `targeted` takes a picture beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ObjectiveName {
    L2,
    L1,
    Luma,
    Cosine,
    Targeted,
    Truth,
    Runtimes,
}

const OBJECTIVES: [(&str, ObjectiveName); 7] = [
    ("l2", ObjectiveName::L2),
    ("l1", ObjectiveName::L1),
    ("luma", ObjectiveName::Luma),
    ("cosine", ObjectiveName::Cosine),
    ("targeted", ObjectiveName::Targeted),
    ("truth", ObjectiveName::Truth),
    ("runtimes", ObjectiveName::Runtimes),
];

impl FromStr for ObjectiveName {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if let Some((_, name)) = OBJECTIVES.iter().find(|(name, _)| *name == given) {
            return Ok(*name);
        }
        Err(no_such("objective", given, OBJECTIVES.iter().map(|(name, _)| *name)))
    }
}

/// A number of dB above 0.
pub fn parse_decibels(text: &str) -> Result<f64, String> {
    let decibels = text.parse::<f64>().ok().filter(|decibels| *decibels > 0.0 && decibels.is_finite());
    decibels.ok_or_else(|| format!("`{text}` is no number of dB above 0; give one, such as 30"))
}

impl AttackArgs {
    /// Whether anything is said of which attacks there are and how hard they try.
    pub fn are_chosen(&self) -> bool {
        !self.attack.is_empty() || self.iterations.is_some() || self.queries.is_some() || self.restarts > 1
    }

    /// Whether the steps or the tries that they ask for are too few for a verdict.
    pub fn are_too_few(&self) -> bool {
        let below = |asked: Option<u32>, least: usize| asked.is_some_and(|asked| (asked as usize) < least);
        below(self.iterations, LEAST_STEPS) || below(self.queries, LEAST_QUERIES)
    }

    /// The attacks in order, each once.
    pub fn attacks(&self, preset: &Preset) -> Result<Vec<Attack>, CliError> {
        if self.attack.is_empty() {
            return Ok(preset.attacks.to_vec());
        }
        for (index, attack) in self.attack.iter().enumerate() {
            if self.attack[..index].contains(attack) {
                let name = attack.name();
                return Err(CliError::usage(format!("the attack {name} is given twice; give each once")));
            }
        }
        Ok(self.attack.clone())
    }

    /// What they maximise.
    pub fn objective(&self) -> Result<Objective, CliError> {
        Ok(match (self.objective, &self.toward) {
            (ObjectiveName::Targeted, Some(image)) => {
                Objective::Toward(TargetPicture::read(image).map_err(CliError::usage)?)
            }
            (ObjectiveName::Targeted, None) => {
                let what = "the objective `targeted` goes toward an image; give it with --toward";
                return Err(CliError::usage(what));
            }
            (_, Some(_)) => {
                let what = "--toward is for --objective targeted; leave one of them out";
                return Err(CliError::usage(what));
            }
            (ObjectiveName::L2, None) => Objective::L2,
            (ObjectiveName::L1, None) => Objective::L1,
            (ObjectiveName::Luma, None) => Objective::Luma,
            (ObjectiveName::Cosine, None) => Objective::Cosine,
            (ObjectiveName::Truth, None) => Objective::Truth,
            (ObjectiveName::Runtimes, None) => Objective::Runtimes,
        })
    }

    /// Where they may change an image, as a picture.
    pub fn mask(&self) -> Result<Option<MaskPicture>, CliError> {
        self.mask.as_deref().map(MaskPicture::read).transpose().map_err(CliError::usage)
    }

    /// How hard they try.
    pub fn settings(&self, preset: &Preset) -> Settings {
        Settings {
            iterations: self.iterations.map_or(preset.iterations, |steps| steps as usize),
            restarts: self.restarts as usize,
            queries: self.queries.map_or(preset.queries, |passes| passes as usize),
            target_psnr: self.target_psnr,
            batch: self.batch as usize,
            ..Settings::default()
        }
    }
}
