//! What an audit found, as data, as JSON and as a table.
//!
//! Deliberately absent: runtimes, models and how anything was measured. The fields of `report.json`
//! are the fields of these structures; later versions add fields and keep these.

mod certificate;
mod checks;
mod compare;
#[cfg(test)]
mod example;
pub mod export;
mod findings;
mod gate;
pub mod html;
mod interval;
mod measured;
mod measures;
mod merge;
mod notes;
mod null;
mod schema;
mod shard;
mod subjects;
mod summary;
mod table;
mod threshold;
mod verdict;
mod words;

use std::borrow::Cow;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use certificate::{Certificate, CertifiedBound};
pub use checks::{GradientCheck, NetworkCheck, Reach, Slope};
pub use compare::{Change, Comparison, compare};
pub use findings::{Finding, Level, findings};
pub use gate::{Code, Gate};
pub use interval::Interval;
pub use measured::Measured;
pub use measures::{
    Clean, Clever, EightBit, Extreme, MinimalBudget, Noise, NonFinite, OutputLinf, Row, Transfer, Universal,
    WorstWindow,
};
pub use merge::{MergeError, merge};
pub use null::{decibels, number};
pub use schema::schema;
pub use shard::Shard;
pub use subjects::{
    ImageInfo, InterfaceInfo, LostRuntime, ModelInfo, PreprocessInfo, RuntimeInfo, StoppedNode, TilesInfo,
    embedded,
};
pub use summary::{Summary, Worst, summarise, worst};
pub use table::table;
pub use threshold::{LeastSrPsnr, Missed};
pub use verdict::{LEAST_QUERIES, LEAST_STEPS, Verdict, VerdictLevel, verdicts};

use crate::attack::AttackKind;
use crate::digest;
use crate::files::{FileError, read_bounded, write_atomically};

/// The version of the form of `report.json`.
pub const SCHEMA: u32 = 1;
/// The largest report that is read: some hundred thousand rows.
const MOST_BYTES: u64 = 1 << 29;

/// A word of ours, or one that was read from a report.
pub type Word = Cow<'static, str>;

/// Why a report could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error("{path}: is no report of `temper audit`: {reason}; give its report.json")]
    Form {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong, and where.
        reason: serde_json::Error,
    },
    /// A form of another version.
    #[error(
        "{path}: is a report of schema {found}, and this temper reads {SCHEMA}; read it with the temper that wrote it"
    )]
    Schema {
        /// The file.
        path: std::path::PathBuf,
        /// The version that it states.
        found: u32,
    },
    /// What it holds is not what was written.
    #[error(
        "{path}: was changed after `temper audit` wrote it: its numbers do not match their checksum; take the original"
    )]
    Changed {
        /// The file.
        path: std::path::PathBuf,
    },
}

/// A whole audit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// How robust every model is at every budget.
    #[serde(skip_deserializing)]
    pub verdicts: Vec<Verdict>,
    /// The version of this form.
    pub schema: u32,
    /// The temper that made it.
    pub temper: Word,
    /// How every number was taken.
    pub conventions: Vec<Convention>,
    /// What was asked for.
    pub settings: Settings,
    /// The runtimes, with their versions.
    pub runtimes: Vec<RuntimeInfo>,
    /// Runtimes that died, and of which there are no numbers.
    #[serde(default)]
    pub lost_runtimes: Vec<LostRuntime>,
    /// The models.
    pub models: Vec<ModelInfo>,
    /// The images.
    pub images: Vec<ImageInfo>,
    /// What was measured.
    #[serde(flatten)]
    pub measured: Measured,
    /// The rows averaged over images.
    #[serde(skip_deserializing)]
    pub summary: Vec<Summary>,
    /// What is left under the worst of all attacks.
    #[serde(skip_deserializing)]
    pub worst: Vec<Worst>,
    /// What speaks against taking the numbers at their word.
    #[serde(skip_deserializing)]
    pub findings: Vec<Finding>,
    /// SHA-256 of all above that was not worked out from it; empty until it is written. It tells an accident or a
    /// careless edit, not a forger.
    #[serde(default)]
    pub checksum: String,
    /// The only part that differs between two runs of the same audit.
    pub timing: Timing,
}

impl Report {
    /// Reads a `report.json`, its numbers to the last bit; what follows from them is worked out anew.
    ///
    /// # Errors
    /// A file that is not there, too large, or no report.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let bytes = read_bounded(path, MOST_BYTES)?;
        let form = |reason| ReadError::Form { path: path.to_owned(), reason };
        let mut report: Report = serde_json::from_slice(&bytes).map_err(form)?;
        if report.schema != SCHEMA {
            return Err(ReadError::Schema { path: path.to_owned(), found: report.schema });
        }
        let stated = std::mem::take(&mut report.checksum);
        report.conclude();
        if stated != report.digest() && !cfg!(fuzzing) {
            return Err(ReadError::Changed { path: path.to_owned() });
        }
        Ok(report)
    }

    /// Puts the rows in order, by model and image, and works out what follows from them.
    pub fn conclude(&mut self) {
        let models: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        let images: Vec<&str> = self.images.iter().map(|image| image.name.as_str()).collect();
        self.measured.sort(&models, &images);
        self.summary = summarise(&self.measured.rows);
        self.worst = worst(&self.measured.rows, &self.measured.transfers);
        self.findings = findings(self);
        self.verdicts = verdicts(self);
    }

    /// SHA-256, in hexadecimal, of all that decides the report but for the time that it took.
    fn digest(&self) -> String {
        let decides = (self.schema, &self.temper, &self.settings, &self.runtimes, &self.lost_runtimes);
        let decides = (decides, &self.models, &self.images, &self.measured);
        // Structures of strings and numbers; there is nothing in them that JSON cannot say.
        let bytes = serde_json::to_vec(&decides).unwrap_or_default();
        digest::of_bytes(&bytes)
    }

    /// The report with the checksum of what it holds now, as it is written and printed.
    #[must_use]
    pub fn sealed(&self) -> Self {
        Self { checksum: self.digest(), ..self.clone() }
    }

    /// Writes `report.json` with its checksum, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let sealed = self.sealed();
        write_atomically(path, |file| {
            serde_json::to_writer_pretty(&mut *file, &sealed)?;
            file.write_all(b"\n")
        })
    }
}

/// A number's name and how it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Convention {
    /// The field.
    pub name: Word,
    /// In words.
    pub how: Word,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The attacks.
    pub attacks: Vec<AskedAttack>,
    /// What they maximise, but for those that have an objective of their own.
    pub objective: String,
    /// The values whose features are disrupted, where they were named.
    pub taps: Vec<String>,
    /// The norm of the budgets: linf or l2.
    pub norm: Word,
    /// The LR pixels that may change, as x, y, width and height; null for all.
    pub region: Option<[usize; 4]>,
    /// The SHA-256 of the file whose bright pixels are those that may change; null for none.
    pub mask: Option<String>,
    /// Budgets in 1/255.
    pub budgets: Vec<f64>,
    /// Gradient steps per attack and start.
    pub iterations: usize,
    /// Random starts per attack that has any, and draws of random noise.
    pub restarts: usize,
    /// Forward passes per attack without gradients.
    pub queries: usize,
    /// The SR PSNR in dB at which an attack ends; null for none.
    pub target_psnr: Option<f64>,
    /// Images, or points of a search, that go through a model at once.
    pub batch: usize,
    /// The loss in dB whose smallest budget was looked for; null for none.
    pub cost: Option<f64>,
    /// The seed of everything random.
    pub seed: u64,
    /// Which part of the images was attacked, and of how many, as in 2/4; null for all.
    pub shard: Option<String>,
    /// The most LR pixels a side that were kept of an image, from its middle; null for all.
    pub crop: Option<usize>,
    /// What was left out, and why, in words.
    pub left_out: Vec<String>,
    /// The pre-processings behind which every model was audited, too.
    pub preprocess: Vec<String>,
}

/// An attack that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AskedAttack {
    /// Its name.
    pub name: Word,
    /// What evidence its numbers are.
    pub kind: AttackKind,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// This run of the audit, in seconds.
    pub seconds: f64,
    /// Seconds that earlier runs took for the results that this one found in its cache.
    #[serde(default)]
    pub cached_seconds: f64,
    /// Inside the runtimes.
    pub inside_runtimes: f64,
    /// Gradient steps taken.
    pub gradient_steps: u64,
    /// Forward runs.
    pub forward_runs: u64,
    /// The most bytes that the process held; null where the system does not say.
    pub peak_memory: Option<u64>,
}
