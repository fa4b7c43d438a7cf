//! `--search`: the input on which two sides differ most.

use std::sync::Arc;
use std::time::Duration;

use crate::cli::CliError;
use crate::cli::progress::Bar;
use crate::limits::Limit;
use crate::parity::{Answer, Found, Input, Question, SearchSettings, Side, search};
use crate::runtime::{Confinement, Isolated, Runtime};

/// The flags of a search.
#[derive(Clone, Debug, clap::Args)]
pub struct SearchArgs {
    /// Search, in so many runs of every pair, for the input on which it differs most; compared beside the others
    #[arg(long, value_name = "RUNS", num_args = 0..=1, default_missing_value = "400", require_equals = true, value_parser = clap::value_parser!(u32).range(1..))]
    search: Option<u32>,
    /// The most that the search may change an element of an input by [default: to the ends of the input's range and
    /// of 0 to 1]
    #[arg(long, value_name = "E", requires = "search", value_parser = positive)]
    search_ball: Option<f32>,
}

fn positive(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("`{text}` is no number above 0"))
}

impl SearchArgs {
    /// The worst input of a pair, where one is asked for. Both sides run in processes of their own.
    pub fn find(
        &self,
        question: &Question<'_>,
        inputs: &[Input],
        answers: [&[Answer]; 2],
        seed: u64,
        notes: &mut Vec<String>,
    ) -> Result<Option<Found>, CliError> {
        let Some(runs) = self.search else { return Ok(None) };
        let settings = SearchSettings { runs: runs as usize, ball: self.search_ball, seed };
        let [reference, candidate] = [isolated(question.reference)?, isolated(question.candidate)?];
        let apart = Question { reference: &reference, candidate: &candidate, ..*question };
        let bar = Bar::new(runs.into(), "searching", "runs");
        let mut on_run = |run: usize, strain: f64| {
            bar.set_position(run as u64);
            bar.set_message(format!("{strain:.2} of the tolerance"));
        };
        match search(&apart, inputs, answers, &settings, &mut on_run) {
            Ok(Some(found)) => Ok(Some(found)),
            Ok(None) => {
                notes
                    .push("no search: no input can be moved, or all are no finite number on one side".into());
                Ok(None)
            }
            Err(error) => {
                notes.push(format!("no search: {error}"));
                Ok(None)
            }
        }
    }
}

/// A side in a process of its own.
pub fn isolated(side: &Side) -> Result<Side, CliError> {
    let confinement = Confinement {
        program: std::env::current_exe().map_err(CliError::usage)?,
        memory: None,
        time: Duration::from_secs(Limit::RunSeconds.get()),
    };
    let runtime: Arc<dyn Runtime> =
        Arc::new(Isolated::open(side.runtime.kind(), confinement).map_err(CliError::failed)?);
    Ok(Side { program: side.program.clone(), runtime })
}
