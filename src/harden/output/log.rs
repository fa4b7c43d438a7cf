//! `train.jsonl`: one JSON object per line, each the mean over the steps since the line before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::FileError;
use crate::harden::train::Losses;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// L_r + lambda L_e.
    pub loss: f64,
    /// L_r: the mean absolute error on [0, 255], or for SRResNet and SRGAN the mean squared error on
    /// [-1, 1].
    pub reconstruction: f64,
    /// L_e: bits per element of Phi; absent without regularisation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entropy: Option<f64>,
    /// The standard deviation of Phi over all its elements, before the noise.
    pub spread: f64,
    /// SRGAN: the network's adversarial loss, -log D(S(x)).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub adversarial: Option<f64>,
    /// SRGAN: the discriminator's own loss.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub discriminator: Option<f64>,
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
pub(in crate::harden) struct Means {
    steps: u64,
    sums: Losses,
}

impl Means {
    pub fn add(&mut self, losses: &Losses) {
        self.steps += 1;
        let more =
            |sum: Option<f64>, value: Option<f64>| value.map(|value| sum.unwrap_or(0.0) + value).or(sum);
        let sums = &self.sums;
        self.sums = Losses {
            total: sums.total + losses.total,
            reconstruction: sums.reconstruction + losses.reconstruction,
            entropy: more(sums.entropy, losses.entropy),
            spread: sums.spread + losses.spread,
            adversarial: more(sums.adversarial, losses.adversarial),
            discriminator: more(sums.discriminator, losses.discriminator),
        };
    }

    /// Steps since the last line.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The means of the losses; starts anew.
    pub fn take(&mut self) -> Losses {
        let Self { steps, sums } = std::mem::take(self);
        let mean = |sum: f64| sum / steps.max(1) as f64;
        Losses {
            total: mean(sums.total),
            reconstruction: mean(sums.reconstruction),
            entropy: sums.entropy.map(mean),
            spread: mean(sums.spread),
            adversarial: sums.adversarial.map(mean),
            discriminator: sums.discriminator.map(mean),
        }
    }
}

/// The file.
pub(in crate::harden) struct Log {
    path: PathBuf,
    file: Option<File>,
}

/// What every line has.
#[derive(Deserialize)]
struct Stamp {
    step: u64,
}

impl Log {
    /// As [`Self::open`] where there is something to write; without, no file is made.
    pub fn open_where(path: &Path, first: u64, wanted: bool) -> Result<Self, FileError> {
        if wanted { Self::open(path, first) } else { Ok(Self { path: path.to_owned(), file: None }) }
    }

    /// Opens the log of a run that continues at step `first`: lines of later steps, which a killed
    /// run may have written after its last checkpoint, are dropped. At step 0 all are.
    pub fn open(path: &Path, first: u64) -> Result<Self, FileError> {
        let unwritable = |cause: io::Error| FileError::Unwritable { path: path.to_owned(), cause };
        let before = if first > 0 { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let done = |line: &&str| serde_json::from_str::<Stamp>(line).is_ok_and(|stamp| stamp.step <= first);
        let kept: String = before.lines().take_while(done).flat_map(|line| [line, "\n"]).collect();
        crate::files::write_atomically(path, |out| out.write_all(kept.as_bytes()))?;
        let file = OpenOptions::new().append(true).open(path).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    /// Appends a line at once, so that a reader sees it and a killed run keeps it.
    pub fn write(&mut self, record: &impl Serialize) -> Result<(), FileError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = serde_json::to_string(record).map_err(io::Error::other);
        let written = line.and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
        written.map_err(|cause| FileError::Unwritable { path: self.path.clone(), cause })
    }
}

#[cfg(test)]
impl Record {
    /// A line as a regularised run writes it, for tests.
    pub(super) fn example(step: u64) -> Self {
        Self {
            step,
            loss: 3.0 / step as f64,
            reconstruction: 2.0 / step as f64,
            entropy: Some(1.0),
            spread: 5.0,
            adversarial: None,
            discriminator: None,
            learning_rate: 1e-4,
            seconds: 1.0,
            examples_per_second: 16.0,
            waiting: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_the_steps_since_the_last_line() {
        let mut means = Means::default();
        let losses = |total: f64, entropy| Losses {
            total,
            reconstruction: 2.0 * total,
            entropy,
            spread: 3.0 * total,
            ..Losses::default()
        };
        for total in [1.0, 2.0] {
            means.add(&losses(total, Some(4.0)));
        }
        assert_eq!((means.steps(), means.take()), (2, losses(1.5, Some(4.0))));
        means.add(&losses(5.0, None));
        assert_eq!((means.steps(), means.take()), (1, losses(5.0, None)));
    }

    #[test]
    fn a_resumed_log_holds_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        let mut log = Log::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            log.write(&Record::example(step)).unwrap();
        }
        // A line that a kill cut short.
        log.file.as_mut().unwrap().write_all(b"{\"step\": 40, \"lo").unwrap();
        let mut log = Log::open(&path, 20).unwrap();
        log.write(&Record::example(25)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> =
            text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap().step).collect();
        assert_eq!(steps, [10, 20, 25]);
        Log::open(&path, 0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
