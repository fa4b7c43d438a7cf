//! `--adversarial`: the inputs, attacked, are compared as well.

use super::search::isolated;
use crate::cli::CliError;
use crate::cli::progress::Bar;
use crate::parity::{Adversarial, Input, Question, adversarial};

/// The flag.
#[derive(Clone, Debug, clap::Args)]
pub struct AdversarialArgs {
    /// Compare on adversarial inputs as well: every input, moved by at most LEVELS/255 of its range so that the first
    /// runtime's output changes most [default where it is given bare: 4]
    #[arg(long, value_name = "LEVELS", num_args = 0..=1, default_missing_value = "4", require_equals = true, value_parser = levels)]
    adversarial: Option<f32>,
}

fn levels(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| (0.0..=255.0).contains(number) && *number > 0.0);
    number.ok_or_else(|| format!("`{text}` is no number of 255ths above 0 and up to 255"))
}

impl AdversarialArgs {
    /// The attacked inputs of a pair, where they are asked for. Both sides run in processes of their own.
    pub fn find(
        &self,
        question: &Question<'_>,
        inputs: &[Input],
        seed: u64,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Adversarial>, CliError> {
        let Some(levels) = self.adversarial else { return Ok(Vec::new()) };
        let [reference, candidate] = [isolated(question.reference)?, isolated(question.candidate)?];
        let apart = Question { reference: &reference, candidate: &candidate, ..*question };
        let bar = Bar::new(inputs.len() as u64, "attacking", "inputs");
        let found = adversarial(&apart, inputs, levels, seed, &mut || bar.inc(1));
        let why = match found {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {
                "the model takes more than one input of floating point, or has no gradient".to_owned()
            }
            Err(error) => error.to_string(),
        };
        notes.push(format!("no adversarial inputs: {why}"));
        Ok(Vec::new())
    }
}
