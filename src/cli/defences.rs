//! The flags that put something before every model.

use super::CliError;
use crate::audit::{Preprocessing, Smoothing};

/// What images pass before a model.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Defences")]
pub struct DefenceArgs {
    /// Audit every model behind these, too, beside the bare model: jpeg=QUALITY, resize=LEAST (a random
    /// share of the sides and back), bits=N; attacks know of them
    #[arg(long, value_name = "NAME=VALUE,...", value_delimiter = ',')]
    preprocess: Vec<Preprocessing>,
    /// Certify every image by median smoothing as well: the SR PSNR that at least half of all outputs keep
    /// under Gaussian noise of this deviation on the input, in 1/255, whatever an attack within an L2 radius
    /// does
    #[arg(long, value_name = "SIGMA", value_parser = parse_sigma, allow_negative_numbers = true)]
    certify: Option<f64>,
    /// Draws of that noise per image and runtime
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), requires = "certify", allow_negative_numbers = true)]
    certify_draws: u32,
}

fn parse_sigma(text: &str) -> Result<f64, String> {
    let sigma = text.parse::<f64>().ok().filter(|sigma| *sigma > 0.0 && *sigma <= 255.0);
    sigma.ok_or_else(|| {
        format!(
            "`{text}` is no deviation; give a number above 0 and up to 255, in levels of 1/255, such as 4"
        )
    })
}

impl DefenceArgs {
    /// What a certificate is taken with.
    pub fn certify(&self) -> Option<Smoothing> {
        self.certify.map(|sigma| Smoothing { sigma, samples: self.certify_draws as usize })
    }

    /// The pre-processings in order, each once.
    pub fn preprocess(&self) -> Result<Vec<Preprocessing>, CliError> {
        for (index, front) in self.preprocess.iter().enumerate() {
            if self.preprocess[..index].contains(front) {
                return Err(CliError::usage(format!(
                    "the pre-processing {front} is given twice; give each once"
                )));
            }
        }
        Ok(self.preprocess.clone())
    }
}
