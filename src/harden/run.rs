//! The whole job: check, load, train, save, export, verify.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::HardenError;
use super::checkpoint::Checkpoint;
use super::data::{Dataset, Skipped};
use super::export::{self, Agreement};
use super::log::Record;
use super::network::Network;
use super::output::OutputFolder;
use super::packing::Packing;
use super::quick;
use super::random::Purpose;
use super::recipe::Recipe;
use super::session::Session;
use super::source::{self, Part};
use super::trainer::{Trainer, images};
use super::validate::{Validated, Validation};
use crate::audit::Plan;
use crate::files::write_atomically;
use crate::interface::Size;
use crate::torch::{Device, Tensor};

pub(super) const MODEL: &str = "model.onnx";
pub(super) const LOG: &str = "train.jsonl";
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
const CONFIG: &str = "config.toml";
const AUDIT: &str = "audit";

/// The side of the image on which the export is compared, in LR pixels.
const VERIFIED_SIDE: usize = 64;
/// The spread of an undefended EDSR's Phi, which delta = 1 is meant for: 34 after 600 steps of a small
/// one on T91. A stranger's features are counted in units that make theirs the same.
const SPREAD: f64 = 32.0;

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
    let mut folder = OutputFolder::create(&job.out)?;
    let saved = job.saved(&folder.file(CHECKPOINT))?;
    let dataset = job.images(observe)?;
    let mut trainer = job.trainer(network, &dataset, saved.as_ref())?;
    let validate = |images: &PathBuf| Validation::load(images, &trainer, job.recipe.seed);
    let validation = job.validate.as_ref().map(validate).transpose()?;
    announce(&trainer, &dataset, observe);
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

/// Says that training starts, and with what.
fn announce(trainer: &Trainer, dataset: &Dataset, observe: &mut dyn FnMut(Event<'_>)) {
    let (parameters, estimator) = trainer.parameter_counts();
    let network = trainer.network();
    observe(Event::Ready {
        images: dataset.len(),
        skipped: dataset.skipped(),
        parameters,
        estimator,
        step: trainer.step(),
        tap: &network.tap,
        chosen: network.chosen.as_deref(),
        rounds: network.rounds(),
    });
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
        let interface = job.recipe.interface.wishes()?;
        let plan = quick::plan(&path, &folder, dataset, (job.recipe.scale, interface))?;
        plan.map(|plan| (plan, folder))
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

    /// The images to train on, decoded.
    fn images(&self, observe: &mut dyn FnMut(Event<'_>)) -> Result<Dataset, HardenError> {
        let Recipe { scale, patch, .. } = self.recipe;
        let files = source::find(&self.data, self.lr.as_deref(), scale, Part::Train)?;
        let total = files.len();
        Dataset::load(&self.data, &files, scale, patch, &mut |done| observe(Event::Loading { done, total }))
    }

    /// The trainer at its first step, or where the checkpoint of a run on the same images left it.
    fn trainer(
        &self,
        network: Network,
        dataset: &Dataset,
        saved: Option<&Checkpoint>,
    ) -> Result<Trainer, HardenError> {
        let mut trainer = Trainer::new(&self.recipe, network, self.device)?;
        match saved {
            Some(saved) if saved.data != dataset.sha256() => {
                return Err(HardenError::OtherImages { path: self.out.join(CHECKPOINT) });
            }
            Some(saved) => trainer.restore(saved)?,
            None if self.recipe.from.is_some() => {
                let (seed, Recipe { batch, patch, .. }) =
                    (Purpose::Crops.seed(self.recipe.seed), &self.recipe);
                let spread = trainer.spread(&dataset.batch(seed, 0, *batch, *patch))?;
                trainer.set_unit(spread / SPREAD);
            }
            None => {}
        }
        Ok(trainer)
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
