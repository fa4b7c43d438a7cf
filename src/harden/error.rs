//! What stops a run, in words for a person.

use std::path::{Path, PathBuf};

use super::adam::AdamError;
use crate::density::DensityError;
use crate::files::FileError;
use crate::image::{ImageError, PairError};
use crate::interface::InterfaceError;
use crate::metric::MetricError;
use crate::onnx::OnnxError;
use crate::report::html::PageError;
use crate::runtime::RuntimeError;
use crate::torch::{TchError, TorchError};
use crate::zoo::ZooError;

/// Why there is no hardened network.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// A setting of the recipe outside its range.
    #[error("{what} is {given}; it must be {must}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What was given.
        given: String,
        /// What it may be.
        must: &'static str,
    },
    /// A path that a run needs and was not given.
    #[error("no {what}: give {flag} DIR, or name it in --config")]
    Missing {
        /// The flag that gives it.
        flag: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// A configuration that cannot be read.
    #[error("{origin}: {problem}")]
    Config {
        /// The file or flag.
        origin: String,
        /// What is wrong with it, and what can be done.
        problem: String,
    },
    /// A tap that is not there, or is no feature map.
    #[error("tap `{wish}`: {problem}")]
    Tap {
        /// As it was given.
        wish: String,
        /// What is wrong with it, and what can be done.
        problem: String,
    },
    /// A file given by `--from` that cannot be trained.
    #[error("the model cannot be trained: {problem}")]
    Untrainable {
        /// Why, and what can be done.
        problem: String,
    },
    /// How the file given by `--from` is fed cannot be found.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The file that an error is about.
    #[error("{path}: {source}")]
    OfFile {
        /// The file.
        path: PathBuf,
        /// The error.
        source: Box<HardenError>,
    },
    /// Settings that no network has.
    #[error(transparent)]
    Network(#[from] ZooError),
    /// An HR image without an LR image.
    #[error(
        "{hr}: no LR image for it in {folder}; name it like the HR image, apart from endings such as x4 or _LR, \
             or leave the LR folder out: LR images are then made"
    )]
    Unpaired {
        /// The HR file.
        hr: PathBuf,
        /// The folder of LR images.
        folder: PathBuf,
    },
    /// LR and HR images that cannot be one picture.
    #[error("{lr} {lr_size} and {hr} {hr_size}: check that they are one picture, and the scale")]
    PairSize {
        /// The LR file.
        lr: PathBuf,
        /// What size it has.
        lr_size: String,
        /// The HR file.
        hr: PathBuf,
        /// What size it has, and which LR image it wants.
        hr_size: String,
    },
    /// Pairs of LR and HR images.
    #[error(transparent)]
    Pairs(#[from] PairError),
    /// An image that cannot be validated on.
    #[error(
        "{path}: cannot be validated on: its LR image of {size} (width x height) is too small, or of another scale"
    )]
    Validation {
        /// The HR file.
        path: PathBuf,
        /// The size of its LR image.
        size: String,
    },
    /// A picture that cannot be compared.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A checkpoint of the same recipe on other images.
    #[error(
        "{path}: was saved by a run on other images; resume with the images of that run, or choose another --out"
    )]
    OtherImages {
        /// The file.
        path: PathBuf,
    },
    /// The folder of images.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// Every image is smaller than a patch.
    #[error(
        "{folder}: no image holds a patch of {patch}x{patch} LR pixels at scale {scale}, which is \
         {side}x{side} pixels; the largest is {largest}: use --patch {fits} or less, or larger images",
        side = patch * scale
    )]
    TooSmall {
        /// The folder.
        folder: PathBuf,
        /// Side of a crop in LR pixels.
        patch: usize,
        /// The scale.
        scale: usize,
        /// The image that holds the largest patch, with its size.
        largest: String,
        /// The side of that patch.
        fits: usize,
    },
    /// Files with images' names of which none could be read.
    #[error("{folder}: none of the {count} images can be used; the first one: {first}")]
    AllBroken {
        /// The folder.
        folder: PathBuf,
        /// How many there are.
        count: usize,
        /// Why the first cannot be read.
        first: String,
    },
    /// A file of the run itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// The page of the run.
    #[error(transparent)]
    Page(#[from] Box<PageError>),
    /// The exported model cannot be written or read back.
    #[error(transparent)]
    Model(#[from] OnnxError),
    /// A network that cannot serve for a content loss.
    #[error("{path}: {problem}")]
    Features {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        problem: String,
    },
    /// A checkpoint that cannot be read.
    #[error("{path}: not a checkpoint of this program: {problem}; start again without --resume")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint of another run.
    #[error(
        "{path}: was saved by a run of another recipe ({differs}); resume with the flags of that run, \
         or choose another --out"
    )]
    OtherRecipe {
        /// The file.
        path: PathBuf,
        /// The first setting that differs, with both values.
        differs: String,
    },
    /// There is a checkpoint that a fresh run would destroy.
    #[error(
        "{path}: holds a run that stopped at step {step} of {steps}; pass --resume to go on with it, \
         choose another --out, or pass --overwrite to start again"
    )]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// Its step.
        step: u64,
        /// The steps of its recipe.
        steps: u64,
    },
    /// There is a finished run that a new one would replace.
    #[error(
        "{path}: is of a finished run of {steps} steps, whose model and checkpoint would be replaced; choose \
         another --out, pass --overwrite, or --resume with more --steps"
    )]
    Finished {
        /// Its checkpoint.
        path: PathBuf,
        /// The steps of its recipe.
        steps: u64,
    },
    /// A file that a run would write is the one that it reads.
    #[error(
        "{path}: is the file that {flag} reads and that this run would replace; choose another --out, or copy \
         the file elsewhere first"
    )]
    OwnSource {
        /// The file that would be written.
        path: PathBuf,
        /// The flag that names the same file.
        flag: &'static str,
    },
    /// A file in the output folder, of no run that can be told, would be replaced.
    #[error("{path}: would be replaced, and {problem}; choose another --out, or pass --overwrite")]
    Occupied {
        /// The file.
        path: PathBuf,
        /// What it is.
        problem: String,
    },
    /// More memory than there is.
    #[error(
        "training this network needs about {needed:.1} GiB by estimate, and there are {available:.1} GiB; use fewer \
         --features or --blocks, a smaller --batch or --patch, or state with --memory GIB what there is"
    )]
    TooMuchMemory {
        /// In GiB.
        needed: f64,
        /// In GiB.
        available: f64,
    },
    /// The loss is no number any more.
    #[error("the loss became {value} at step {step} ({parts}); {advice}; {saved}")]
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// NaN or infinite.
        value: f64,
        /// The parts of the loss.
        parts: String,
        /// Likely causes and what can be done.
        advice: String,
        /// The last checkpoint.
        saved: String,
    },
    /// A gradient is no number any more.
    #[error("the gradient of `{name}` is not finite at step {step}; {advice}; {saved}")]
    Exploded {
        /// The step, counted from 1.
        step: u64,
        /// The first parameter whose gradient is NaN or infinite.
        name: String,
        /// Likely causes and what can be done.
        advice: String,
        /// The last checkpoint.
        saved: String,
    },
    /// A step that the device cannot hold.
    #[error(
        "out of memory at step {step}, with {batch} crops of {patch}x{patch} LR pixels ({cause}): {advice}; {saved}"
    )]
    Memory {
        /// The step, counted from 1.
        step: u64,
        /// Crops.
        batch: usize,
        /// Their side in LR pixels.
        patch: usize,
        /// What libtorch said.
        cause: String,
        /// The batch and patch that would fit.
        advice: String,
        /// The last checkpoint.
        saved: String,
    },
    /// The written model cannot be as the export options ask.
    #[error("the model cannot be written with {problem}")]
    Export {
        /// What was asked for, why not, and what can be done.
        problem: String,
    },
    /// A file whose weights do not fit.
    #[error(
        "{path}: {problem}; initial weights come from a file of the same network, features, blocks and scale, \
         written without --fp16 and --fold-batchnorm"
    )]
    Weights {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        problem: String,
    },
    /// The exported file does not compute what was trained.
    #[error(
        "{path}: gives outputs that differ by up to {difference:.1e} of the range of pixel values from the \
         network that was trained, where {tolerance:.0e} passes; do not use it, and please report this with the file and the recipe in it"
    )]
    Unfaithful {
        /// The file.
        path: PathBuf,
        /// The largest difference of two output values, as a share of the range of values.
        difference: f64,
        /// The largest that passes.
        tolerance: f64,
    },
    /// The interpreter.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The estimator.
    #[error(transparent)]
    Density(#[from] DensityError),
    /// The optimiser.
    #[error(transparent)]
    Adam(#[from] AdamError),
    /// libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl From<TchError> for HardenError {
    fn from(error: TchError) -> Self {
        Self::Torch(error.into())
    }
}

impl HardenError {
    /// The error with the last checkpoint, where training stopped by itself.
    pub(super) fn with_checkpoint(mut self, what: String) -> Self {
        if let Self::Diverged { saved, .. } | Self::Exploded { saved, .. } | Self::Memory { saved, .. } =
            &mut self
        {
            *saved = what;
        }
        self
    }

    /// The error with the file that it is about, where its own message does not name one.
    pub(super) fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Model(_) | Self::File(_) => self,
            error => Self::OfFile { path: path.to_owned(), source: Box::new(error) },
        }
    }

    /// Whether the input or the flags are at fault, and not the computation.
    pub fn is_bad_input(&self) -> bool {
        if let Self::OfFile { source, .. } = self {
            return source.is_bad_input() || matches!(**source, Self::Runtime(_));
        }
        !matches!(
            self,
            Self::Diverged { .. }
                | Self::Exploded { .. }
                | Self::Memory { .. }
                | Self::Unfaithful { .. }
                | Self::Runtime(_)
                | Self::Density(_)
                | Self::Adam(_)
                | Self::Torch(TorchError::Libtorch(_))
        )
    }
}
