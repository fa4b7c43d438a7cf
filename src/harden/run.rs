//! The whole job: check, load, train, save, export, verify.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoint;
use super::data::{Dataset, Skipped};
use super::feed::Feed;
use super::log::{Log, Means, Record};
use super::network::Network;
use super::output::OutputFolder;
use super::random::Purpose;
use super::recipe::Recipe;
use super::trainer::{Losses, Trainer, images};
use super::{HardenError, export};
use crate::image::list_images;
use crate::torch::Device;

pub(super) const MODEL: &str = "model.onnx";
pub(super) const LOG: &str = "train.jsonl";
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";

/// The side of the image on which the export is compared, in LR pixels.
const VERIFIED_SIDE: usize = 64;
/// The spread of an undefended EDSR's Phi, which delta = 1 is meant for: 34 after 600 steps of a small
/// one on T91. A stranger's features are counted in units that make theirs the same.
const SPREAD: f64 = 32.0;
/// Threads that cut crops for a GPU; a CPU needs its cores itself.
const FEEDERS_OF_A_GPU: usize = 4;

/// What to do, where, and how often to write it down.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to compute.
    pub recipe: Recipe,
    /// The folder of HR images.
    pub data: PathBuf,
    /// The folder to write to; made if it is not there.
    pub out: PathBuf,
    /// Where to compute.
    pub device: Device,
    /// A line of the log every so many steps.
    pub log_every: u64,
    /// A checkpoint every so many steps, and at the end.
    pub save_every: u64,
    /// Whether to go on from the checkpoint in `out`.
    pub resume: bool,
}

/// What happens in a run, for whoever watches.
#[derive(Debug)]
pub enum Event<'a> {
    /// Images are being decoded.
    Loading {
        /// How many are done.
        done: usize,
        /// How many there are.
        total: usize,
    },
    /// Training starts.
    Ready {
        /// Images to train on.
        images: usize,
        /// Images left out.
        skipped: &'a [Skipped],
        /// Parameters of the network.
        parameters: usize,
        /// Parameters of the estimator, which is not exported.
        estimator: usize,
        /// Steps already done.
        step: u64,
        /// The value that is Phi.
        tap: &'a str,
        /// How the tap was found, where nobody named it.
        chosen: Option<&'a str>,
        /// Whether weights are rounded when they are written, for the file's element type.
        rounds: bool,
    },
    /// A step was done.
    Step {
        /// Steps done.
        done: u64,
    },
    /// A line was written to the log.
    Logged(&'a Record),
}

/// What a run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The exported model, the log and the checkpoint.
    pub files: [PathBuf; 3],
    /// Steps done in all.
    pub steps: u64,
    /// Whether it was stopped before the recipe's last step.
    pub interrupted: bool,
    /// The last line of the log, if one was written.
    pub last: Option<Record>,
    /// The largest difference between the file's outputs and the trained network's.
    pub difference: f64,
}

/// Trains a network, exports it and verifies the file. When `stop` becomes true the step in hand is
/// finished, and the run is saved and exported as it stands.
///
/// # Errors
/// [`HardenError`]. What is wrong with the flags, the images or the folder is found before training
/// starts, and nothing is left behind then.
pub fn harden(
    job: &Job,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, HardenError> {
    job.check()?;
    let network = Network::new(&job.recipe, job.device)?;
    let job = &job.of(&network);
    let paths = list_images(&job.data)?;
    let mut folder = OutputFolder::create(&job.out)?;
    let saved = job.saved(&folder.file(CHECKPOINT))?;
    let (scale, patch) = (job.recipe.scale, job.recipe.patch);
    let total = paths.len();
    let dataset = Dataset::load(&job.data, &paths, scale, patch, &mut |done| {
        observe(Event::Loading { done, total });
    })?;
    let mut trainer = Trainer::new(&job.recipe, network, job.device)?;
    match &saved {
        Some(saved) => trainer.restore(saved)?,
        None if job.recipe.from.is_some() => {
            let (seed, Recipe { batch, patch, .. }) = (Purpose::Crops.seed(job.recipe.seed), &job.recipe);
            let spread = trainer.spread(&dataset.batch(seed, 0, *batch, *patch))?;
            trainer.set_unit(spread / SPREAD);
        }
        None => {}
    }
    let (parameters, estimator) = trainer.parameter_counts();
    let (skipped, images) = (dataset.skipped(), dataset.len());
    let network = trainer.network();
    observe(Event::Ready {
        images,
        skipped,
        parameters,
        estimator,
        step: trainer.step(),
        tap: &network.tap,
        chosen: network.chosen.as_deref(),
        rounds: network.rounds(),
    });

    folder.keep();
    let dataset = Arc::new(dataset);
    let session = Session { job, stop, checkpoint: folder.file(CHECKPOINT), log: folder.file(LOG) };
    let last = session.train(&mut trainer, &dataset, observe)?;
    trainer.checkpoint().write(&folder.file(CHECKPOINT))?;
    let path = folder.file(MODEL);
    let step = trainer.step();
    export::write(&trainer, &job.recipe, &path)?;
    let side = if trainer.network().is_stranger() { patch } else { VERIFIED_SIDE };
    let difference = export::verify(&path, &trainer, &sample(&dataset, side, job.device)?)?;
    Ok(Outcome {
        files: [path, folder.file(LOG), folder.file(CHECKPOINT)],
        steps: step,
        interrupted: step < job.recipe.steps,
        last,
        difference,
    })
}

impl Job {
    fn check(&self) -> Result<(), HardenError> {
        self.recipe.check()?;
        for (what, given) in [("log interval", self.log_every), ("save interval", self.save_every)] {
            if given == 0 {
                let must = "at least 1 step";
                return Err(HardenError::Setting { what, given: given.to_string(), must });
            }
        }
        Ok(())
    }

    /// The job with what a stranger's file decides of its recipe.
    fn of(&self, network: &Network) -> Self {
        let recipe = Recipe { scale: network.scale, ..self.recipe.clone() };
        Self { recipe, ..self.clone() }
    }

    /// The checkpoint to go on from; an unfinished run is not overwritten unasked.
    fn saved(&self, path: &Path) -> Result<Option<Checkpoint>, HardenError> {
        if self.resume {
            let saved = Checkpoint::read(path)?;
            if !self.recipe.continues(&saved.recipe) {
                let differs = first_difference(&self.recipe, &saved.recipe);
                return Err(HardenError::OtherRecipe { path: path.to_owned(), differs });
            }
            return Ok(Some(saved));
        }
        match Checkpoint::read(path) {
            Ok(Checkpoint { step, recipe, .. }) if step < recipe.steps => {
                Err(HardenError::Unfinished { path: path.to_owned(), step, steps: recipe.steps })
            }
            _ => Ok(None),
        }
    }
}

/// The first setting but the number of steps in which two recipes differ, with both values.
fn first_difference(given: &Recipe, saved: &Recipe) -> String {
    let json = |recipe: &Recipe| serde_json::to_value(recipe.spelled_out()).unwrap_or_default();
    let (given, saved) = (json(given), json(saved));
    let keys = given.as_object().into_iter().flatten().filter(|(key, _)| *key != "steps");
    keys.filter(|(key, value)| saved[key.as_str()] != **value)
        .map(|(key, value)| format!("{key} is {value} now and was {}", saved[key.as_str()]))
        .next()
        .unwrap_or_default()
}

fn sample(dataset: &Dataset, side: usize, device: Device) -> Result<crate::torch::Tensor, HardenError> {
    let (pixels, height, width) = dataset.sample(side);
    images(&pixels, height as i64, width as i64, device)
}

/// The training loop.
struct Session<'a> {
    job: &'a Job,
    stop: &'a AtomicBool,
    checkpoint: PathBuf,
    log: PathBuf,
}

impl Session<'_> {
    /// Trains to the last step, or until it is stopped; gives the last line of the log.
    fn train(
        &self,
        trainer: &mut Trainer,
        dataset: &Arc<Dataset>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Record>, HardenError> {
        let recipe = &self.job.recipe;
        let mut log = Log::open(&self.log, trainer.step())?;
        let threads = if self.job.device == Device::Cpu { 1 } else { FEEDERS_OF_A_GPU };
        let mut feed = Feed::new(dataset, recipe, trainer.step(), threads);
        let (mut means, mut clock, mut last) = (Means::default(), Clock::start(), None);
        while let Some(batch) = feed.next() {
            means.add(&trainer.train(&batch)?);
            let step = trainer.step();
            observe(Event::Step { done: step });
            let ends = step == recipe.steps || self.stop.load(Ordering::Relaxed);
            if ends || step.is_multiple_of(self.job.log_every) {
                let record = clock.record(step, recipe, &mut means, feed.take_waited());
                log.write(&record)?;
                observe(Event::Logged(&record));
                last = Some(record);
            }
            if ends {
                break;
            }
            if step.is_multiple_of(self.job.save_every) {
                trainer.checkpoint().write(&self.checkpoint)?;
            }
        }
        Ok(last)
    }
}

/// Times the log.
struct Clock {
    start: Instant,
    line: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, line: now }
    }

    /// The line of the steps since the last one.
    fn record(&mut self, step: u64, recipe: &Recipe, means: &mut Means, waited: Duration) -> Record {
        let now = Instant::now();
        let seconds = (now - self.line).as_secs_f64().max(f64::MIN_POSITIVE);
        let examples = (means.steps() * recipe.batch as u64) as f64;
        let Losses { total: loss, reconstruction, entropy, spread, fooling, discriminator } = means.take();
        self.line = now;
        Record {
            step,
            loss,
            reconstruction,
            entropy,
            spread,
            fooling,
            discriminator,
            learning_rate: recipe.learning_rate_at(step - 1),
            seconds: (now - self.start).as_secs_f64(),
            examples_per_second: examples / seconds,
            waiting: waited.as_secs_f64() / seconds,
        }
    }
}
