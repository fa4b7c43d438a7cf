//! The whole job: check, load, train, save, export, verify.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::HardenError;
use super::config::{Recipe, Settings};
use super::data::{self, Dataset, Part, Sample, Skipped};
use super::names::{AUDIT, BEST, CARD, CHECKPOINT, CONFIG, LOG, MODEL};
use super::network::Network;
use super::output::{self, Agreement, Facts, PageFacts, Record, Reference, Written};
use super::seed::Purpose;
use super::session::{Progress, Session};
use super::train::{self, Checkpoint, Trainer, Validated, Validation};
use crate::audit::Plan;
use crate::files::{FileError, OutputFolder, is_same_file, write_atomically};
use crate::interface::Size;
use crate::torch::{self, Device, Tensor};

/// The side of the image on which the export is compared, in LR pixels.
const VERIFIED_SIDE: usize = 64;
/// The spread of an undefended EDSR's Phi, which delta = 1 is meant for: 34 after 600 steps of a small
/// one on T91. The features of a foreign file are stated in a unit that makes their spread the same.
const SPREAD: f64 = 32.0;

/// How a run begins in its folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At step 0, in a folder that holds no other run.
    #[default]
    Fresh,
    /// Where the checkpoint in the folder left off.
    Resume,
    /// At step 0, in place of whatever run the folder holds.
    Overwrite,
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
    /// The seconds that the rest of the run takes, by its first steps: told once.
    Estimated {
        /// Seconds.
        seconds: f64,
        /// Whether it trains on a CPU.
        on_cpu: bool,
    },
    /// A line was written to the log.
    Logged(&'a Record),
    /// The network was validated; whether it is the best so far.
    Validated(&'a Validated, bool),
}

impl<'a> Event<'a> {
    fn of(progress: Progress<'a>, device: Device) -> Self {
        match progress {
            Progress::Step(done) => Self::Step { done },
            Progress::Estimated(seconds) => Self::Estimated { seconds, on_cpu: device == Device::Cpu },
            Progress::Logged(record) => Self::Logged(record),
            Progress::Validated(found, best) => Self::Validated(found, best),
        }
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The exported model, the log, the checkpoint and the model's card.
    pub files: [PathBuf; 4],
    /// Steps done in all.
    pub steps: u64,
    /// Whether it was stopped before the recipe's last step.
    pub interrupted: bool,
    /// The last line of the log, if one was written.
    pub last: Option<Record>,
    /// The largest difference between the file's outputs and the trained network's, both in float32, as a
    /// share of the range of the outputs.
    pub difference: f64,
    /// The largest difference that the bfloat16 arithmetic of training makes to the same outputs on [0, 1];
    /// `None` where training was in float32.
    pub bfloat16: Option<f64>,
    /// The largest that passes, on libtorch and on another runtime.
    pub tolerances: [f64; 2],
    /// What was done to the graph when it was written, in words.
    pub transformed: Vec<String>,
    /// What other runtimes make of the file.
    pub agreements: Vec<Agreement>,
    /// The validation before the first step, of a network that came with weights.
    pub before: Option<Validated>,
    /// The last validation.
    pub validated: Option<Validated>,
    /// The audit that was asked for, and the folder for its report.
    pub audit: Option<(Plan, PathBuf)>,
}

/// Trains a network, exports it and verifies the file. When `stop` becomes true the step in hand is
/// finished, and the run is saved and exported as it stands.
///
/// # Errors
/// [`HardenError`]. What is wrong with the settings, the images or the folder is found before training
/// starts, and nothing is left behind then.
pub fn harden(
    settings: &Settings,
    start: Start,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, HardenError> {
    settings.check()?;
    let (data, out) = (settings.run.data()?, settings.run.out()?);
    guard_sources(settings, out)?;
    let device = torch::device(&settings.run.device)?;
    let network = Network::new(&settings.recipe, device)?;
    let settings = &with_scale(settings, network.scale);
    output::transform(settings.export, &network, network.model.clone())?;
    let mut folder = OutputFolder::create(out)?;
    let saved = saved(&settings.recipe, &folder, start)?;
    let dataset = images(settings, data, observe)?;
    let mut trainer = trainer(settings, network, &dataset, saved.as_ref(), device)?;
    let validate = |images: &PathBuf| Validation::load(images, &trainer, settings.recipe.seed);
    let validation = settings.run.validate.as_ref().map(validate).transpose()?;
    announce(&trainer, &dataset, observe);
    folder.keep();
    let dataset = Arc::new(dataset);
    let config = settings.to_toml()?;
    write_atomically(&folder.file(CONFIG), |out| out.write_all(config.as_bytes()))?;
    let mut session = Session {
        settings,
        device,
        stop,
        validation,
        data: dataset.sha256().to_owned(),
        best: saved.as_ref().and_then(|saved| saved.best),
        kept: saved.as_ref().map(|saved| saved.step),
        validated: None,
        before: saved.and_then(|saved| saved.before),
        folder: &folder,
    };
    let last = session.train(&mut trainer, &dataset, &mut |progress| observe(Event::of(progress, device)))?;
    session.save(&trainer)?;
    session.validate_on_training(&mut trainer, &dataset)?;
    let Session { validated, before, .. } = session;
    finish(settings, &mut trainer, &dataset, Trained { folder: &folder, last, before, validated })
}

/// Says that training starts, and with what.
fn announce(trainer: &Trainer, dataset: &Dataset, observe: &mut dyn FnMut(Event<'_>)) {
    let counts = trainer.parameter_counts();
    let network = trainer.network();
    observe(Event::Ready {
        images: dataset.len(),
        skipped: dataset.skipped(),
        parameters: counts.network,
        estimator: counts.estimator,
        step: trainer.step(),
        tap: &network.tap,
        chosen: network.chosen.as_deref(),
        rounds: network.rounds(),
    });
}

/// What training left.
struct Trained<'a> {
    folder: &'a OutputFolder,
    last: Option<Record>,
    before: Option<Validated>,
    validated: Option<Validated>,
}

/// Writes the model, verifies it, and plans its audit.
fn finish(
    settings: &Settings,
    trainer: &mut Trainer,
    dataset: &Dataset,
    Trained { folder, last, before, validated }: Trained<'_>,
) -> Result<Outcome, HardenError> {
    let (path, steps) = (folder.file(MODEL), trainer.step());
    let Settings { recipe, run, export } = settings;
    let image = verified_image(settings, trainer, dataset)?;
    let written = Written { recipe, options: *export, data: dataset.sha256(), clean: validated.as_ref() };
    let transformed = trainer.with_exported(|trainer| output::write(trainer, &written, &path))?;
    let reference = Reference::new(trainer, &image)?;
    let tolerances = output::tolerances(*export, trainer.network());
    let [same, runtimes] = tolerances;
    let difference = output::verify(&path, trainer, &reference, same)?;
    let agreements = output::agree(&path, trainer.network(), &reference, runtimes)?;
    let card = output::model_card(&Facts {
        settings,
        network: trainer.network(),
        steps,
        data: dataset.sha256(),
        before: before.as_ref(),
        after: validated.as_ref(),
        transformed: &transformed,
    });
    write_atomically(&folder.file(CARD), |out| out.write_all(card.as_bytes()))?;
    let name = output::name(recipe);
    let facts = PageFacts { name: &name, steps, before: before.as_ref(), after: validated.as_ref() };
    output::write_page(folder, &facts)?;
    let interrupted = steps < recipe.steps;
    let audit = if run.audit && !interrupted {
        let folder = folder.file(AUDIT);
        let plan = output::plan(&path, &folder, dataset, recipe)?;
        plan.map(|plan| (plan, folder))
    } else {
        None
    };
    let files = [path, folder.file(LOG), folder.file(CHECKPOINT), folder.file(CARD)];
    let bfloat16 = trainer.bfloat16_difference(reference.image())?;
    Ok(Outcome {
        files,
        steps,
        interrupted,
        last,
        difference,
        bfloat16,
        tolerances,
        transformed,
        agreements,
        before,
        validated,
        audit,
    })
}

/// Refuses a run that would replace a file which it reads.
fn guard_sources(settings: &Settings, out: &Path) -> Result<(), HardenError> {
    let Recipe { from, weights, vgg, .. } = &settings.recipe;
    for (flag, source) in [("--from", from), ("--weights", weights), ("--vgg", vgg)] {
        let Some(source) = source else { continue };
        for name in [MODEL, BEST] {
            let path = out.join(name);
            if is_same_file(&path, source) {
                return Err(HardenError::OwnSource { path, flag });
            }
        }
    }
    Ok(())
}

/// The settings with the scale that a foreign file turned out to have.
fn with_scale(settings: &Settings, scale: usize) -> Settings {
    let mut settings = settings.clone();
    settings.recipe.scale = scale;
    settings
}

/// The images to train on, decoded.
fn images(
    settings: &Settings,
    folder: &Path,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Dataset, HardenError> {
    let Recipe { scale, patch, .. } = settings.recipe;
    let files = data::find(folder, settings.run.lr.as_deref(), scale, Part::Train)?;
    let total = files.len();
    Dataset::load(folder, &files, scale, patch, &mut |done| observe(Event::Loading { done, total }))
}

/// The trainer at its first step, or where the checkpoint of a run on the same images left it.
fn trainer(
    settings: &Settings,
    network: Network,
    dataset: &Dataset,
    saved: Option<&Checkpoint>,
    device: Device,
) -> Result<Trainer, HardenError> {
    let recipe = &settings.recipe;
    let mut trainer = Trainer::new(recipe, network, device)?;
    match saved {
        Some(saved) if saved.data != dataset.sha256() => {
            return Err(HardenError::OtherImages { path: settings.run.out()?.join(CHECKPOINT) });
        }
        Some(saved) => trainer.restore(saved)?,
        None if recipe.from.is_some() => {
            let batch = dataset.batch(Purpose::Crops.seed(recipe.seed), 0, recipe.batch, recipe.patch);
            let spread = trainer.spread(&batch)?;
            trainer.set_unit(spread / SPREAD);
        }
        None => {}
    }
    Ok(trainer)
}

/// The checkpoint to go on from; a run that is there is not replaced unasked.
fn saved(recipe: &Recipe, folder: &OutputFolder, start: Start) -> Result<Option<Checkpoint>, HardenError> {
    let path = || folder.file(CHECKPOINT);
    match start {
        Start::Overwrite => Ok(None),
        Start::Resume => {
            let saved = Checkpoint::read(&path())?;
            if !recipe.continues(&saved.recipe) {
                let differs = first_difference(recipe, &saved.recipe);
                return Err(HardenError::OtherRecipe { path: path(), differs });
            }
            Ok(Some(saved))
        }
        Start::Fresh => match Checkpoint::read(&path()) {
            Ok(Checkpoint { step, recipe: Recipe { steps, .. }, .. }) if step < steps => {
                Err(HardenError::Unfinished { path: path(), step, steps })
            }
            Ok(Checkpoint { recipe: Recipe { steps, .. }, .. }) => {
                Err(HardenError::Finished { path: path(), steps })
            }
            Err(HardenError::File(FileError::Missing { .. })) if !folder.file(MODEL).exists() => Ok(None),
            Err(HardenError::File(FileError::Missing { .. })) => {
                let problem = "has no checkpoint beside it".into();
                Err(HardenError::Occupied { path: folder.file(MODEL), problem })
            }
            Err(error) => {
                let problem = format!("is no checkpoint of this program ({error})");
                Err(HardenError::Occupied { path: path(), problem })
            }
        },
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
fn verified_image(settings: &Settings, trainer: &Trainer, dataset: &Dataset) -> Result<Tensor, HardenError> {
    let device = trainer.program().device();
    let side = if trainer.network().is_foreign() { settings.recipe.patch } else { VERIFIED_SIDE };
    let Some(Size(height, width)) = settings.export.fixed else { return sample(dataset, side, device) };
    let part = sample(dataset, height.max(width), device)?;
    let (height, width, there) = (height as i64, width as i64, part.size());
    let times = |wanted: i64, axis: usize| (wanted - 1) / there[axis] + 1;
    let repeated = part.f_repeat([1, 1, times(height, 2), times(width, 3)])?;
    Ok(repeated.f_narrow(2, 0, height)?.f_narrow(3, 0, width)?)
}

fn sample(dataset: &Dataset, side: usize, device: Device) -> Result<Tensor, HardenError> {
    let Sample { pixels, height, width } = dataset.sample(side);
    train::images(&pixels, height as i64, width as i64, device)
}
