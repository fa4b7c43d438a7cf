//! Pre-processing defences: what a service may do to an LR image before the network sees it, and how an
//! attack that knows of it takes its gradient.
//!
//! Each is a value with a name that flags and reports share. Deliberately absent: networks that purify.

mod bits;
mod jpeg;
mod resize;

use std::fmt;
use std::str::FromStr;

use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis, concatenate};
use rand::RngExt;

use crate::attack::{Attack, Budget, seeded};
use crate::oracle::{Oracle, OracleError, Preprocess};
use crate::report::PreprocessInfo;
use crate::suggest::{no_such, suggest};

/// Draws of a random one that attacks and judges average over.
const DRAWS: usize = 8;

/// What the numbers behind a pre-processing need said.
pub const CONVENTION: (&str, &str) = (
    "preprocess",
    "a model behind a pre-processing is audited as one more model; budgets bound the image before it. Attacks know it: gradients pass straight through jpeg and bits (BPDA), or through the bare model where they changed nothing, and are exact through resize, whose size each attack step draws 8 times anew (EOT). Judged: resize at 8 draws of its own, which no attack has seen, the same for S(x0) and S(attacked); sr_psnr is over the pixels of all of them, sr_ssim and clean are means. The gradient check is that of the bare model, and CLEVER is the bare model's alone",
);

/// A pre-processing of LR images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Preprocessing {
    /// Through JPEG at a quality from 1 to 100.
    Jpeg(u8),
    /// Scaled to a random size, at least this share of each side, and back.
    Resize(f64),
    /// Rounded to so many bits per channel, 1 to 8.
    Bits(u8),
}

/// Names on the command line and in reports, with what their value is.
const NAMES: [(&str, &str); 3] = [
    ("jpeg", "a quality from 1 to 100, such as jpeg=75"),
    ("resize", "the least share of the sides, above 0 and below 1, such as resize=0.9"),
    ("bits", "bits per channel from 1 to 8, such as bits=5"),
];

impl Preprocessing {
    /// What a report says of it, before the model `of`.
    pub fn info(self, of: &str) -> PreprocessInfo {
        PreprocessInfo {
            name: self.to_string(),
            of: of.to_owned(),
            how: match self {
                Self::Jpeg(_) => "rounded to 8 bits, encoded as baseline JPEG with full chroma and decoded",
                Self::Resize(_) => {
                    "scaled bilinearly to a random share of both sides, the same for both, and back"
                }
                Self::Bits(_) => "every value rounded to the nearest level",
            }
            .into(),
            draws: self.draws(),
            straight_through: !self.has_derivative(),
        }
    }
}

impl Preprocess for Preprocessing {
    fn apply(&self, x: ArrayView3<'_, f32>, draw: u64) -> Array3<f32> {
        match *self {
            Self::Jpeg(quality) => jpeg::apply(x, quality),
            Self::Resize(least) => resize::apply(x, resize::share(least, draw)),
            Self::Bits(bits) => bits::apply(x, bits),
        }
    }

    fn pull_back(&self, gradient: ArrayView3<'_, f32>, draw: u64) -> Array3<f32> {
        match *self {
            Self::Resize(least) => resize::pull_back(gradient, resize::share(least, draw)),
            Self::Jpeg(_) | Self::Bits(_) => gradient.to_owned(),
        }
    }

    fn has_derivative(&self) -> bool {
        matches!(self, Self::Resize(_))
    }

    fn draws(&self) -> usize {
        if matches!(self, Self::Resize(_)) { DRAWS } else { 1 }
    }
}

/// The draws at which an image and what attacks made of it are judged: none that an attack was at.
pub fn judging_draws(seed: u64, image: &str) -> impl Iterator<Item = u64> {
    let judging = format!("{image}, judged behind a pre-processing");
    let mut rng = seeded(seed, &judging, Attack::RANDOM, Budget::default());
    std::iter::repeat_with(move || rng.random())
}

/// The outputs for an image at so many of these draws as there should be, behind one another.
pub fn drawn(
    oracle: &mut Oracle,
    x: ArrayView4<'_, f32>,
    draws: impl Iterator<Item = u64>,
) -> Result<Array4<f32>, OracleError> {
    let mut outputs = Vec::with_capacity(oracle.draws());
    for draw in draws.take(oracle.draws()) {
        oracle.at_draw(draw);
        outputs.push(oracle.forward(x)?);
    }
    let views: Vec<_> = outputs.iter().map(|output| output.view()).collect();
    Ok(concatenate(Axis(0), &views).expect("outputs of one model for one image stack"))
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jpeg(quality) => write!(f, "jpeg={quality}"),
            Self::Resize(least) => write!(f, "resize={least}"),
            Self::Bits(bits) => write!(f, "bits={bits}"),
        }
    }
}

impl FromStr for Preprocessing {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (name, value) = given.split_once('=').unwrap_or((given, ""));
        let Some((_, takes)) = NAMES.iter().find(|(known, _)| *known == name) else {
            let near = suggest(name, NAMES.iter().map(|(known, _)| *known));
            let near = NAMES.iter().find(|(known, _)| Some(*known) == near);
            let takes = near.map(|(_, takes)| format!(" It takes {takes}")).unwrap_or_default();
            return Err(no_such("pre-processing", name, NAMES.iter().map(|(known, _)| *known)) + &takes);
        };
        let whole = |most: u8| value.parse().ok().filter(|value| (1..=most).contains(value));
        let share = || value.parse().ok().filter(|value| *value > 0.0 && *value < 1.0);
        let found = match name {
            "jpeg" => whole(100).map(Self::Jpeg),
            "resize" => share().map(Self::Resize),
            _ => whole(8).map(Self::Bits),
        };
        found.ok_or_else(|| format!("`{given}`: {name} takes {takes}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for name in ["jpeg=75", "jpeg=1", "jpeg=100", "resize=0.9", "bits=1", "bits=8"] {
            assert_eq!(name.parse::<Preprocessing>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_cannot_be_is_said_with_what_can() {
        let refused = |given: &str| given.parse::<Preprocessing>().unwrap_err();
        for given in ["jpeg=0", "jpeg=101", "jpeg", "jpeg=", "jpeg=7.5", "jpeg=-1"] {
            assert!(refused(given).ends_with("a quality from 1 to 100, such as jpeg=75"), "{given}");
        }
        for given in ["resize=1.5", "resize=0", "resize=1", "resize=nan", "resize=-0.5"] {
            assert!(refused(given).contains("above 0 and below 1"), "{given}");
        }
        for given in ["bits=0", "bits=9", "bits=x"] {
            assert!(refused(given).contains("from 1 to 8"), "{given}");
        }
        assert!(refused("jpg=75").contains("there is no pre-processing `jpg`; did you mean `jpeg`?"));
        assert!(refused("rezise=0.9").contains("did you mean `resize`?"));
    }
}
