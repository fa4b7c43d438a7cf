//! The training loop: steps, and what is written down between them.
//!
//! Deliberately absent: what a step computes (`trainer`), and what comes before the first and after the
//! last (`run`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::HardenError;
use super::config::{Recipe, Settings};
use super::data::{Dataset, Prefetcher};
use super::names::{BEST, CHECKPOINT, LOG, VALIDATIONS};
use super::output::{self, Log, Means, Record, TensorBoard, Written};
use super::train::{self, Checkpoint, Losses, Trainer, Validated, Validation};
use crate::files::OutputFolder;
use crate::torch::Device;

/// Threads that cut crops for a GPU; a CPU needs its cores itself.
const PREFETCHERS_OF_A_GPU: usize = 4;

/// What happens in the loop, for whoever watches.
#[derive(Debug)]
pub(super) enum Progress<'a> {
    /// So many steps are done.
    Step(u64),
    /// The seconds that the rest of the run takes, by its first steps.
    Estimated(f64),
    /// A line was written to the log.
    Logged(&'a Record),
    /// The network was validated; whether it is the best so far.
    Validated(&'a Validated, bool),
}

/// The training loop.
pub(super) struct Session<'a> {
    pub settings: &'a Settings,
    pub device: Device,
    pub stop: &'a AtomicBool,
    pub folder: &'a OutputFolder,
    pub validation: Option<Validation>,
    /// SHA-256 of the images.
    pub data: String,
    /// The best score of a validation so far.
    pub best: Option<f64>,
    /// The step of the last checkpoint.
    pub kept: Option<u64>,
    /// The last validation.
    pub validated: Option<Validated>,
    /// The validation before the first step, of a network that came with weights.
    pub before: Option<Validated>,
}

impl Session<'_> {
    /// Trains to the last step, or until it is stopped; gives the last line of the log.
    pub fn train(
        &mut self,
        trainer: &mut Trainer,
        dataset: &Arc<Dataset>,
        observe: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Record>, HardenError> {
        let (recipe, run) = (&self.settings.recipe, &self.settings.run);
        let mut log = Log::open(&self.folder.file(LOG), trainer.step())?;
        let mut validations =
            Log::open_where(&self.folder.file(VALIDATIONS), trainer.step(), self.validation.is_some())?;
        let mut board = run.tensorboard.as_deref().map(TensorBoard::create).transpose()?;
        if trainer.network().is_trained() && trainer.step() == 0 {
            self.validate_given(trainer, dataset, &mut validations, observe)?;
        }
        let threads = if self.device == Device::Cpu { 1 } else { PREFETCHERS_OF_A_GPU };
        let mut prefetcher = Prefetcher::new(dataset, recipe, trainer.step(), threads);
        let (mut means, mut clock, mut last) = (Means::default(), Clock::start(), None);
        while let Some(batch) = prefetcher.next() {
            means.add(&trainer.train(&batch).map_err(|error| self.stopped(error, trainer))?);
            let step = trainer.step();
            observe(Progress::Step(step));
            if let Some(each) = clock.first_steps() {
                observe(Progress::Estimated(each * (recipe.steps - step) as f64));
            }
            let ends = step == recipe.steps || self.stop.load(Ordering::Relaxed);
            if ends || step.is_multiple_of(run.log_every) {
                let record = clock.record(step, recipe, &mut means, prefetcher.take_waited());
                log.write(&record)?;
                board.as_mut().map(|board| board.log(&record)).transpose()?;
                observe(Progress::Logged(&record));
                last = Some(record);
            }
            if ends || step.is_multiple_of(run.validate_every) {
                self.validate(trainer, &mut validations, observe)?;
                board.as_mut().map(|board| self.show(board, trainer)).transpose()?;
            }
            if ends {
                break;
            }
            if step.is_multiple_of(run.save_every) {
                self.save(trainer)?;
            }
        }
        Ok(last)
    }

    /// Writes the checkpoint.
    pub fn save(&mut self, trainer: &Trainer) -> Result<(), HardenError> {
        let (data, best, before) = (self.data.clone(), self.best, self.before.clone());
        Checkpoint { data, best, before, ..trainer.checkpoint() }.write(&self.folder.file(CHECKPOINT))?;
        self.kept = Some(trainer.step());
        Ok(())
    }

    /// Why a step failed, with what there is to go on from.
    fn stopped(&self, error: HardenError, trainer: &mut Trainer) -> HardenError {
        let Recipe { batch, patch, .. } = self.settings.recipe;
        let cause = error.to_string();
        let error = if train::ran_out(&cause) {
            let advice = train::advice([batch, patch], trainer.fitting());
            let step = trainer.step() + 1;
            HardenError::Memory { step, batch, patch, cause, advice, saved: String::new() }
        } else {
            error
        };
        error.with_checkpoint(self.last_checkpoint())
    }

    /// Validates a network as it was given, which is what training is measured against: on the validation
    /// images or, for want of them, on training images.
    fn validate_given(
        &mut self,
        trainer: &mut Trainer,
        data: &Dataset,
        log: &mut Log,
        observe: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), HardenError> {
        if self.validation.is_some() {
            self.validate(trainer, log, observe)?;
        } else {
            self.validate_on_training(trainer, data)?;
        }
        self.best = None;
        self.before = self.validated.take();
        Ok(())
    }

    /// Adds the last validation to TensorBoard's file, with a picture.
    fn show(&self, board: &mut TensorBoard, trainer: &mut Trainer) -> Result<(), HardenError> {
        let (Some(found), Some(validation)) = (&self.validated, &self.validation) else { return Ok(()) };
        let picture = trainer.with_exported(|trainer| validation.picture(trainer))?;
        board.validation(found, picture.as_ref().map(|picture| picture.view()))
    }

    /// Without images to validate on, says how the network does on some that it was trained on.
    pub fn validate_on_training(&mut self, trainer: &mut Trainer, data: &Dataset) -> Result<(), HardenError> {
        if self.validated.is_none()
            && let Some(validation) = Validation::of_training(data, trainer, self.settings.recipe.seed)
        {
            self.validated = Some(trainer.with_exported(|trainer| validation.measure(trainer))?);
        }
        Ok(())
    }

    fn last_checkpoint(&self) -> String {
        match self.kept {
            Some(step) => format!(
                "the last good checkpoint is {}, after step {step}",
                self.folder.file(CHECKPOINT).display()
            ),
            None => "there was no checkpoint yet: --save-every N writes them more often".to_owned(),
        }
    }

    /// Validates the network as it stands, and writes it where it is the best so far.
    fn validate(
        &mut self,
        trainer: &mut Trainer,
        log: &mut Log,
        observe: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), HardenError> {
        let Some(validation) = &self.validation else { return Ok(()) };
        let path = self.folder.file(BEST);
        let Settings { recipe, export, .. } = self.settings;
        let (data, before) = (self.data.as_str(), self.best);
        let (found, best) = trainer.with_exported(|trainer| {
            let found = validation.measure(trainer)?;
            let score = found.score(trainer.network().is_foreign());
            let better = before.is_none_or(|before| score > before);
            if better && trainer.step() > 0 {
                let written = Written { recipe, options: *export, data, clean: Some(&found) };
                output::write(trainer, &written, &path)?;
            }
            Ok((found, better.then_some(score)))
        })?;
        self.best = best.or(self.best);
        log.write(&found)?;
        observe(Progress::Validated(&found, best.is_some()));
        self.validated = Some(found);
        Ok(())
    }
}

/// Times the log.
struct Clock {
    start: Instant,
    line: Instant,
    /// When the first step had ended, and how many have since; `None` once an estimate was given.
    first: Option<(Instant, u32)>,
}

/// The steps whose mean time is that of the rest, after a first one that allocates.
const TIMED: u32 = 3;

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, line: now, first: Some((now, 0)) }
    }

    /// Called after every step: the seconds of one, once, after the first few.
    fn first_steps(&mut self) -> Option<f64> {
        let (since, steps) = self.first?;
        match steps {
            0 => self.first = Some((Instant::now(), 1)),
            steps if steps < TIMED => self.first = Some((since, steps + 1)),
            _ => self.first = None,
        }
        (steps == TIMED).then(|| since.elapsed().as_secs_f64() / f64::from(TIMED))
    }

    /// The line of the steps since the last one.
    fn record(&mut self, step: u64, recipe: &Recipe, means: &mut Means, waited: Duration) -> Record {
        let now = Instant::now();
        let seconds = (now - self.line).as_secs_f64().max(f64::MIN_POSITIVE);
        let examples = (means.steps() * recipe.batch as u64) as f64;
        let Losses { total: loss, reconstruction, entropy, spread, adversarial, discriminator } =
            means.take();
        self.line = now;
        Record {
            step,
            loss,
            reconstruction,
            entropy,
            spread,
            adversarial,
            discriminator,
            learning_rate: recipe.learning_rate_at(step - 1),
            seconds: (now - self.start).as_secs_f64(),
            examples_per_second: examples / seconds,
            waiting: waited.as_secs_f64() / seconds,
        }
    }
}
