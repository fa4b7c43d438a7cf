//! The flags that put something before every model.

use super::CliError;
use crate::audit::Preprocessing;

/// What images pass before a model.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Defences")]
pub struct DefenceArgs {
    /// Audit every model behind these, too, beside the bare model: jpeg=QUALITY, resize=LEAST (a random
    /// share of the sides and back), bits=N; attacks know of them
    #[arg(long, value_name = "NAME=VALUE,...", value_delimiter = ',')]
    preprocess: Vec<Preprocessing>,
}

impl DefenceArgs {
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
