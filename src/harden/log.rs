//! `train.jsonl`: one JSON object per line, each the mean over the steps since the line before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::trainer::Losses;
use crate::files::FileError;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// L_r + lambda L_e.
    pub loss: f64,
    /// L_r: mean absolute error on [0, 255].
    pub reconstruction: f64,
    /// L_e: bits per element of Phi; absent without regularisation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entropy: Option<f64>,
    /// The standard deviation of Phi over all its elements, before the noise.
    pub spread: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// Seconds since this process began to train.
    pub seconds: f64,
    /// Crops per second.
    pub examples_per_second: f64,
    /// The share of time spent waiting for data.
    pub waiting: f64,
}

/// Sums losses until the next line.
#[derive(Debug, Default)]
pub(super) struct Means {
    steps: u64,
    loss: f64,
    reconstruction: f64,
    entropy: Option<f64>,
    spread: f64,
}

/// Means over the steps of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mean {
    pub loss: f64,
    pub reconstruction: f64,
    pub entropy: Option<f64>,
    pub spread: f64,
}

impl Means {
    pub fn add(&mut self, losses: &Losses) {
        self.steps += 1;
        self.loss += losses.total;
        self.reconstruction += losses.reconstruction;
        self.spread += losses.spread;
        if let Some(entropy) = losses.entropy {
            *self.entropy.get_or_insert(0.0) += entropy;
        }
    }

    /// Steps since the last line.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The means; starts anew.
    pub fn take(&mut self) -> Mean {
        let Self { steps, loss, reconstruction, entropy, spread } = std::mem::take(self);
        let count = steps.max(1) as f64;
        Mean {
            loss: loss / count,
            reconstruction: reconstruction / count,
            entropy: entropy.map(|sum| sum / count),
            spread: spread / count,
        }
    }
}

/// The file.
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log of a run that continues at step `first`: lines of later steps, which a killed
    /// run may have written after its last checkpoint, are dropped. At step 0 all are.
    pub fn open(path: &Path, first: u64) -> Result<Self, FileError> {
        let unwritable = |cause: io::Error| FileError::Unwritable { path: path.to_owned(), cause };
        let before = if first > 0 { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let done =
            |line: &&str| serde_json::from_str::<Record>(line).is_ok_and(|record| record.step <= first);
        let kept: String = before.lines().take_while(done).flat_map(|line| [line, "\n"]).collect();
        crate::files::write_atomically(path, |out| out.write_all(kept.as_bytes()))?;
        let file = OpenOptions::new().append(true).open(path).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends a line at once, so that a reader sees it and a killed run keeps it.
    pub fn write(&mut self, record: &Record) -> Result<(), FileError> {
        let line = serde_json::to_string(record).map_err(io::Error::other);
        let written = line.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        written.map_err(|cause| FileError::Unwritable { path: self.path.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> Record {
        Record {
            step,
            loss: 3.0,
            reconstruction: 2.0,
            entropy: Some(1.0),
            spread: 5.0,
            learning_rate: 1e-4,
            seconds: 1.0,
            examples_per_second: 16.0,
            waiting: 0.0,
        }
    }

    #[test]
    fn means_are_over_the_steps_since_the_last_line() {
        let mut means = Means::default();
        for total in [1.0, 2.0] {
            means.add(&Losses { total, reconstruction: 2.0 * total, entropy: Some(4.0), spread: total });
        }
        let mean = Mean { loss: 1.5, reconstruction: 3.0, entropy: Some(4.0), spread: 1.5 };
        assert_eq!((means.steps(), means.take()), (2, mean));
        means.add(&Losses { total: 5.0, reconstruction: 5.0, entropy: None, spread: 2.0 });
        assert_eq!(means.take(), Mean { loss: 5.0, reconstruction: 5.0, entropy: None, spread: 2.0 });
    }

    #[test]
    fn a_resumed_log_holds_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        let mut log = Log::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            log.write(&record(step)).unwrap();
        }
        // A line that a kill cut short.
        log.file.write_all(b"{\"step\": 40, \"lo").unwrap();
        let mut log = Log::open(&path, 20).unwrap();
        log.write(&record(25)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> =
            text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap().step).collect();
        assert_eq!(steps, [10, 20, 25]);
        Log::open(&path, 0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
