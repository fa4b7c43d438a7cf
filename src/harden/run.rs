//! The whole job: check, load, train, save, export, verify.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::HardenError;
use super::checkpoint::Checkpoint;
use super::data::{Dataset, Skipped};
use super::export::{self, Agreement};
use super::feed::Feed;
use super::log::{Log, Means, Record};
use super::memory;
use super::network::Network;
use super::output::OutputFolder;
use super::packing::Packing;
use super::quick;
use super::random::Purpose;
use super::recipe::Recipe;
use super::source::{self, Part};
use super::trainer::{Losses, Trainer, images};
use super::validate::{Validated, Validation};
use crate::audit::Plan;
use crate::files::write_atomically;
use crate::interface::Size;
use crate::torch::{Device, Tensor};

pub(super) const MODEL: &str = "model.onnx";
pub(super) const LOG: &str = "train.jsonl";
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
const VALIDATIONS: &str = "validation.jsonl";
const BEST: &str = "best.onnx";
const CONFIG: &str = "config.toml";
const AUDIT: &str = "audit";

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
    /// The folder of HR images, or of DIV2K.
    pub data: PathBuf,
    /// The folder of LR images; made by bicubic where there is none.
    pub lr: Option<PathBuf>,
    /// The folder of HR images to validate on.
    pub validate: Option<PathBuf>,
    /// A validation every so many steps, and at the end.
    pub validate_every: u64,
    /// Whether an audit of the written model is planned.
    pub audit: bool,
    /// What is asked of the written model.
    pub packing: Packing,
    /// The settings as a file, written beside the model.
    pub config: Option<String>,
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

impl Job {
    /// A job on the CPU with the usual intervals, without validation and audit.
    pub fn new(recipe: Recipe, data: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        Self {
            recipe,
            data: data.into(),
            lr: None,
            validate: None,
            validate_every: 1000,
            audit: false,
            packing: Packing::default(),
            config: None,
            out: out.into(),
            device: Device::Cpu,
            log_every: 10,
            save_every: 1000,
            resume: false,
        }
    }
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
    /// The network was validated; whether it is the best so far.
    Validated(&'a Validated, bool),
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
    /// The largest that passes, on libtorch and on another runtime.
    pub tolerances: [f64; 2],
    /// What was done to the graph when it was written, in words.
    pub packed: Vec<String>,
    /// What other runtimes make of the file.
    pub agreements: Vec<Agreement>,
    /// The last validation.
    pub validated: Option<Validated>,
    /// The audit that was asked for, and the folder for its report.
    pub audit: Option<(Plan, PathBuf)>,
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
    job.packing.pack(&network, network.model.clone())?;
    let scale = job.recipe.scale;
    let files = source::find(&job.data, job.lr.as_deref(), scale, Part::Train)?;
    let mut folder = OutputFolder::create(&job.out)?;
    let saved = job.saved(&folder.file(CHECKPOINT))?;
    let (patch, total) = (job.recipe.patch, files.len());
    let dataset = Dataset::load(&job.data, &files, scale, patch, &mut |done| {
        observe(Event::Loading { done, total });
    })?;
    let mut trainer = Trainer::new(&job.recipe, network, job.device)?;
    match &saved {
        Some(saved) if saved.data != dataset.sha256() => {
            return Err(HardenError::OtherImages { path: folder.file(CHECKPOINT) });
        }
        Some(saved) => trainer.restore(saved)?,
        None if job.recipe.from.is_some() => {
            let (seed, Recipe { batch, patch, .. }) = (Purpose::Crops.seed(job.recipe.seed), &job.recipe);
            let spread = trainer.spread(&dataset.batch(seed, 0, *batch, *patch))?;
            trainer.set_unit(spread / SPREAD);
        }
        None => {}
    }
    let validate = |folder: &PathBuf| Validation::load(folder, &trainer, job.recipe.seed);
    let validation = job.validate.as_ref().map(validate).transpose()?;
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
    if let Some(config) = &job.config {
        write_atomically(&folder.file(CONFIG), |out| out.write_all(config.as_bytes()))?;
    }
    let mut session = Session {
        job,
        stop,
        validation,
        data: dataset.sha256().to_owned(),
        best: saved.as_ref().and_then(|saved| saved.best),
        kept: saved.as_ref().map(|saved| saved.step),
        validated: None,
        folder: &folder,
    };
    let last = session.train(&mut trainer, &dataset, observe)?;
    session.save(&trainer)?;
    session.validate_on_training(&trainer, &dataset)?;
    let Session { validated, .. } = session;
    finish(job, &trainer, &dataset, (&folder, last, validated))
}

/// Writes the model, verifies it, and plans its audit.
fn finish(
    job: &Job,
    trainer: &Trainer,
    dataset: &Dataset,
    (folder, last, validated): (&OutputFolder, Option<Record>, Option<Validated>),
) -> Result<Outcome, HardenError> {
    let (path, step, network) = (folder.file(MODEL), trainer.step(), trainer.network());
    let image = verified_image(job, network, dataset)?;
    let tolerances = job.packing.tolerances(network);
    let (packed, difference, agreements) = trainer.served(|trainer| {
        let clean = (dataset.sha256(), validated.as_ref());
        let packed = export::write(trainer, (&job.recipe, job.packing), clean, &path)?;
        let [same, runtimes] = tolerances.map(|tolerance| (&image, tolerance));
        Ok((packed, export::verify(&path, trainer, same)?, export::agree(&path, trainer, runtimes)?))
    })?;
    let interrupted = step < job.recipe.steps;
    let audit = if job.audit && !interrupted {
        let folder = folder.file(AUDIT);
        let wishes = job.recipe.interface.wishes()?;
        let plan = quick::plan(&path, &folder, dataset, job.recipe.scale)?;
        plan.map(|plan| (Plan { wishes, ..plan }, folder))
    } else {
        None
    };
    let files = [path, folder.file(LOG), folder.file(CHECKPOINT)];
    Ok(Outcome {
        files,
        steps: step,
        interrupted,
        last,
        difference,
        tolerances,
        packed,
        agreements,
        validated,
        audit,
    })
}

impl Job {
    fn check(&self) -> Result<(), HardenError> {
        self.recipe.check()?;
        for (what, given) in [
            ("log interval", self.log_every),
            ("save interval", self.save_every),
            ("validation interval", self.validate_every),
        ] {
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
    let keys = given.as_object().into_iter().flatten();
    // The number of steps differs often and matters seldom: it is told last.
    let (last, first): (Vec<_>, Vec<_>) = keys.partition(|(key, _)| *key == "steps");
    first
        .into_iter()
        .chain(last)
        .filter(|(key, value)| saved[key.as_str()] != **value)
        .map(|(key, value)| format!("{key} is {value} now and was {}", saved[key.as_str()]))
        .next()
        .unwrap_or_default()
}

/// A part of a training image of a size that the file takes; repeated where the image is smaller.
fn verified_image(job: &Job, network: &Network, dataset: &Dataset) -> Result<Tensor, HardenError> {
    let side = if network.is_stranger() { job.recipe.patch } else { VERIFIED_SIDE };
    let Some(Size(height, width)) = job.packing.fixed else { return sample(dataset, side, job.device) };
    let part = sample(dataset, height.max(width), job.device)?;
    let (height, width, there) = (height as i64, width as i64, part.size());
    let times = |wanted: i64, axis: usize| (wanted - 1) / there[axis] + 1;
    let repeated = part.f_repeat([1, 1, times(height, 2), times(width, 3)])?;
    Ok(repeated.f_narrow(2, 0, height)?.f_narrow(3, 0, width)?)
}

fn sample(dataset: &Dataset, side: usize, device: Device) -> Result<Tensor, HardenError> {
    let (pixels, height, width) = dataset.sample(side);
    images(&pixels, height as i64, width as i64, device)
}

/// The training loop.
struct Session<'a> {
    job: &'a Job,
    stop: &'a AtomicBool,
    folder: &'a OutputFolder,
    validation: Option<Validation>,
    /// SHA-256 of the images.
    data: String,
    /// The best score of a validation so far.
    best: Option<f64>,
    /// The step of the last checkpoint.
    kept: Option<u64>,
    /// The last validation.
    validated: Option<Validated>,
}

impl Session<'_> {
    /// Trains to the last step, or until it is stopped; gives the last line of the log.
    fn train(
        &mut self,
        trainer: &mut Trainer,
        dataset: &Arc<Dataset>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Record>, HardenError> {
        let recipe = &self.job.recipe;
        let mut log = Log::open(&self.folder.file(LOG), trainer.step())?;
        let mut validations =
            Log::open_where(&self.folder.file(VALIDATIONS), trainer.step(), self.validation.is_some())?;
        if trainer.network().is_stranger() && trainer.step() == 0 {
            // What there is to lose, and to gain.
            self.validate(trainer, &mut validations, observe)?;
            self.best = None;
        }
        let threads = if self.job.device == Device::Cpu { 1 } else { FEEDERS_OF_A_GPU };
        let mut feed = Feed::new(dataset, recipe, trainer.step(), threads);
        let (mut means, mut clock, mut last) = (Means::default(), Clock::start(), None);
        while let Some(batch) = feed.next() {
            means.add(&trainer.train(&batch).map_err(|error| self.stopped(error, trainer))?);
            let step = trainer.step();
            observe(Event::Step { done: step });
            let ends = step == recipe.steps || self.stop.load(Ordering::Relaxed);
            if ends || step.is_multiple_of(self.job.log_every) {
                let record = clock.record(step, recipe, &mut means, feed.take_waited());
                log.write(&record)?;
                observe(Event::Logged(&record));
                last = Some(record);
            }
            if ends || step.is_multiple_of(self.job.validate_every) {
                self.validate(trainer, &mut validations, observe)?;
            }
            if ends {
                break;
            }
            if step.is_multiple_of(self.job.save_every) {
                self.save(trainer)?;
            }
        }
        Ok(last)
    }

    /// Writes the checkpoint.
    fn save(&mut self, trainer: &Trainer) -> Result<(), HardenError> {
        let (data, best) = (self.data.clone(), self.best);
        Checkpoint { data, best, ..trainer.checkpoint() }.write(&self.folder.file(CHECKPOINT))?;
        self.kept = Some(trainer.step());
        Ok(())
    }

    /// Why a step failed, with what there is to go on from.
    fn stopped(&self, error: HardenError, trainer: &mut Trainer) -> HardenError {
        let Recipe { batch, patch, .. } = self.job.recipe;
        let cause = error.to_string();
        let error = if memory::ran_out(&cause) {
            let advice = memory::advice([batch, patch], trainer.fitting());
            let step = trainer.step() + 1;
            HardenError::Memory { step, batch, patch, cause, advice, saved: String::new() }
        } else {
            error
        };
        error.with_checkpoint(self.last_checkpoint())
    }

    /// Without images to validate on, says how the network does on some that it was trained on.
    fn validate_on_training(&mut self, trainer: &Trainer, data: &Dataset) -> Result<(), HardenError> {
        if self.validated.is_none()
            && let Some(validation) = Validation::of_training(data, trainer, self.job.recipe.seed)
        {
            self.validated = Some(trainer.served(|trainer| validation.measure(trainer))?);
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

    /// Judges the network as it stands, and keeps it where it is the best so far.
    fn validate(
        &mut self,
        trainer: &Trainer,
        log: &mut Log,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), HardenError> {
        let Some(validation) = &self.validation else { return Ok(()) };
        let path = self.folder.file(BEST);
        let (recipe, data, before) = ((&self.job.recipe, self.job.packing), self.data.as_str(), self.best);
        let (found, best) = trainer.served(|trainer| {
            let found = validation.measure(trainer)?;
            let score = found.score(trainer.network().is_stranger());
            let better = before.is_none_or(|before| score > before);
            if better && trainer.step() > 0 {
                export::write(trainer, recipe, (data, Some(&found)), &path)?;
            }
            Ok((found, better.then_some(score)))
        })?;
        self.best = best.or(self.best);
        log.write(&found)?;
        observe(Event::Validated(&found, best.is_some()));
        self.validated = Some(found);
        Ok(())
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
