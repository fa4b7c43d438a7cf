//! `checkpoint.safetensors`: weights, estimator, Adam's moments and, for SRGAN, the discriminator
//! with its own, as tensors; the step and the recipe as metadata.
//!
//! One file, renamed into place, so that a kill at any moment leaves either the old state or the new one.
//! A checksum over all of its content is part of it: a byte that changed on the disk is found, and not trained
//! on. The only file that knows the `safetensors` crate.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use super::discriminator::DiscriminatorState;
use super::validated::Validated;
use crate::digest::hex;
use crate::files;
use crate::harden::adam::AdamState;
use crate::harden::config::Recipe;
use crate::harden::names::CHECKPOINT;
use crate::harden::{HardenError, metadata};
use crate::torch::{self, Tensor};

/// Tensors by name.
type Named = Vec<(String, Tensor)>;

/// The most bytes a checkpoint may have: 8 GiB, which is 700 million parameters with their moments.
const MAX_BYTES: u64 = 1 << 33;

const CHECKSUM: &str = "temper.checksum";
const STEP: &str = "temper.step";
const UNIT: &str = "temper.unit";
const DATA: &str = "temper.data";
const BEST: &str = "temper.best";
const BEFORE: &str = "temper.before";
const EMA: &str = "ema/";
const WEIGHTS: &str = "network/";
const ESTIMATOR: &str = "estimator/";
const FIRST: &str = "adam.first/";
const SECOND: &str = "adam.second/";
const DISCRIMINATOR: &str = "discriminator/";
const DISCRIMINATOR_FIRST: &str = "discriminator.adam.first/";
const DISCRIMINATOR_SECOND: &str = "discriminator.adam.second/";

/// The state of a run between two steps.
#[derive(Debug)]
pub struct Checkpoint {
    /// The recipe of the run.
    pub recipe: Recipe,
    /// Steps done.
    pub step: u64,
    /// The unit of Phi that delta is stated in.
    pub unit: f64,
    /// The network's parameters and running statistics.
    pub weights: Named,
    /// SHA-256 of the images.
    pub data: String,
    /// The best score of a validation so far.
    pub best: Option<f64>,
    /// The validation before the first step, of a network that came with weights.
    pub before: Option<Validated>,
    /// Averages of the weights; none where the recipe keeps none.
    pub ema: Named,
    /// The estimator's parameters; none where the recipe does not regularise.
    pub estimator: Named,
    /// The optimiser's moments.
    pub adam: AdamState,
    /// SRGAN's discriminator; none for the other networks.
    pub discriminator: Option<DiscriminatorState>,
}

impl Checkpoint {
    /// Writes the checkpoint, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written, or libtorch cannot give a tensor's values.
    pub fn write(&self, path: &Path) -> Result<(), HardenError> {
        let mut parts = vec![
            (WEIGHTS, &self.weights),
            (EMA, &self.ema),
            (ESTIMATOR, &self.estimator),
            (FIRST, &self.adam.first),
            (SECOND, &self.adam.second),
        ];
        if let Some(DiscriminatorState { weights, adam }) = &self.discriminator {
            parts.extend([
                (DISCRIMINATOR, weights),
                (DISCRIMINATOR_FIRST, &adam.first),
                (DISCRIMINATOR_SECOND, &adam.second),
            ]);
        }
        let mut tensors = Vec::new();
        for (prefix, list) in parts {
            for (name, tensor) in list {
                let shape: Vec<usize> = tensor.size().iter().map(|&dim| dim as usize).collect();
                tensors.push((format!("{prefix}{name}"), shape, torch::to_vec::<f32>(tensor)?));
            }
        }
        let views: Vec<(&str, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, shape, values)| {
                let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
                (name.as_str(), view.expect("a tensor has as many values as its shape holds"))
            })
            .collect();
        let recipe = serde_json::to_string(&self.recipe).expect("a recipe has string keys only");
        let mut entries = HashMap::from([
            (DATA.to_owned(), self.data.clone()),
            (STEP.to_owned(), self.step.to_string()),
            (UNIT.to_owned(), self.unit.to_string()),
            (metadata::RECIPE.to_owned(), recipe),
            (metadata::VERSIONS.to_owned(), metadata::versions()),
        ]);
        if let Some(best) = self.best {
            entries.insert(BEST.to_owned(), best.to_string());
        }
        if let Some(before) = &self.before {
            let json = serde_json::to_string(before).expect("a validation has string keys only");
            entries.insert(BEFORE.to_owned(), json);
        }
        let sum = checksum(&entries, views.iter().map(|(name, view)| (*name, view)));
        entries.insert(CHECKSUM.to_owned(), sum);
        let bytes =
            safetensors::serialize(views, Some(entries)).map_err(|error| problem(path, error.to_string()))?;
        Ok(files::write_atomically(path, |out| out.write_all(&bytes))?)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`HardenError::File`], or [`HardenError::Checkpoint`] where it is something else.
    pub fn read(path: &Path) -> Result<Self, HardenError> {
        let bytes = files::read_bounded(path, MAX_BYTES)?;
        Self::parse(&bytes).map_err(|error| problem(path, error))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let entries = header.metadata();
        let entry = |key: &str| {
            let found = entries.as_ref().and_then(|entries| entries.get(key));
            found.ok_or_else(|| format!("its metadata lack `{key}`"))
        };
        let step = entry(STEP)?.parse().map_err(|error| format!("its step: {error}"))?;
        let unit = entry(UNIT)?.parse().map_err(|error| format!("its unit: {error}"))?;
        let data = entry(DATA)?.clone();
        let best = entry(BEST).ok().and_then(|best| best.parse().ok());
        let before = entry(BEFORE).ok().and_then(|before| serde_json::from_str(before).ok());
        let recipe =
            serde_json::from_str(entry(metadata::RECIPE)?).map_err(|error| format!("its recipe: {error}"))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let views = file.tensors();
        let found = checksum(
            entries.as_ref().unwrap_or(&HashMap::new()),
            views.iter().map(|(name, view)| (name.as_str(), view)),
        );
        if *entry(CHECKSUM)? != found && !cfg!(fuzzing) {
            return Err("its content is not what was written: the file is damaged".to_owned());
        }
        let part = |prefix: &str| -> Result<Named, String> {
            let mut list = Vec::new();
            for (name, view) in file.iter() {
                if let Some(name) = name.strip_prefix(prefix) {
                    list.push((name.to_owned(), tensor(&view)?));
                }
            }
            // The file's header keeps no order.
            list.sort_by(|(left, _), (right, _)| left.cmp(right));
            Ok(list)
        };
        let moments = |first: &str, second: &str| -> Result<AdamState, String> {
            Ok(AdamState { steps: step, first: part(first)?, second: part(second)? })
        };
        let discriminator = DiscriminatorState {
            weights: part(DISCRIMINATOR)?,
            adam: moments(DISCRIMINATOR_FIRST, DISCRIMINATOR_SECOND)?,
        };
        Ok(Self {
            recipe,
            step,
            unit,
            data,
            best,
            before,
            weights: part(WEIGHTS)?,
            ema: part(EMA)?,
            estimator: part(ESTIMATOR)?,
            adam: moments(FIRST, SECOND)?,
            discriminator: Some(discriminator).filter(|discriminator| !discriminator.weights.is_empty()),
        })
    }

    /// A weight of the network, in the shape it must have.
    pub(super) fn weight(&self, name: &str, size: &[i64]) -> Result<&Tensor, HardenError> {
        let found = self.weights.iter().find(|(saved, _)| saved == name).map(|(_, tensor)| tensor);
        found.filter(|tensor| tensor.size() == size).ok_or_else(|| HardenError::Checkpoint {
            path: CHECKPOINT.into(),
            problem: format!("it has no weight `{name}` of shape {size:?}"),
        })
    }
}

/// SHA-256 over every other metadata entry and every tensor (name, shape, values), by name. What the file
/// holds beside these is read by nobody.
fn checksum<'a>(
    entries: &HashMap<String, String>,
    tensors: impl Iterator<Item = (&'a str, &'a TensorView<'a>)>,
) -> String {
    let mut hash = Sha256::new();
    // A length before every part, so that none can pass for the end of the one before it.
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    for (key, value) in entries.iter().filter(|(key, _)| *key != CHECKSUM).collect::<BTreeMap<_, _>>() {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    for (name, view) in tensors.collect::<BTreeMap<_, _>>() {
        add(name.as_bytes());
        add(format!("{:?} {:?}", view.dtype(), view.shape()).as_bytes());
        add(view.data());
    }
    hex(&hash.finalize())
}

fn tensor(view: &TensorView<'_>) -> Result<Tensor, String> {
    if view.dtype() != Dtype::F32 {
        return Err(format!("it holds {:?} tensors", view.dtype()));
    }
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
    let shape: Vec<i64> = view.shape().iter().map(|&dim| dim as i64).collect();
    Tensor::from_slice(&values).f_view(shape.as_slice()).map_err(|error| torch::first_line(&error))
}

fn problem(path: &Path, problem: String) -> HardenError {
    HardenError::Checkpoint { path: path.to_owned(), problem }
}
