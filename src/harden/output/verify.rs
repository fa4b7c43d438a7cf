//! The written file against the network that was trained: read back on libtorch, and run on the other runtimes.
//!
//! Differences are shares of the range that the outputs span, so that one tolerance serves every range of
//! values. The trained network is evaluated in float32, whatever arithmetic trained it.

use std::path::Path;

use ndarray::ArrayD;

use crate::harden::HardenError;
use crate::harden::config::ExportOptions;
use crate::harden::network::Network;
use crate::harden::train::Trainer;
use crate::onnx;
use crate::rewrite::specialise;
use crate::runtime::{self, torch::Program};
use crate::torch::{self, Kind, Tensor, no_grad};

/// What another runtime makes of a written model.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// The runtime.
    pub runtime: runtime::Kind,
    /// The largest difference of its output on [0, 1] from libtorch's, or why it cannot run the model.
    pub difference: Result<f64, String>,
}

/// The largest difference of a file from the trained network that passes: the same numbers in the same
/// graph, in one of other rounding, and in half precision.
const SAME: f64 = 1e-5;
const FOLDED: f64 = 1e-4;
const HALF: f64 = 2e-2;
/// The same between two runtimes, which add in different orders.
const RUNTIMES: f64 = 1e-3;

/// The largest difference from the trained network that passes on libtorch, and on another runtime.
pub(in crate::harden) fn tolerances(options: ExportOptions, network: &Network) -> [f64; 2] {
    match (options.fp16 || network.rounds(), options.fold_batchnorm) {
        (true, _) => [HALF; 2],
        (false, true) => [FOLDED, RUNTIMES],
        (false, false) => [SAME, RUNTIMES],
    }
}

/// What a written file is compared with.
pub(in crate::harden) struct Reference {
    /// The image, as the network takes it.
    image: Tensor,
    /// The trained network's output for it, as the network is exported.
    output: ArrayD<f32>,
}

impl Reference {
    /// The output of `trainer`'s network for an image (1, 3, H, W) on [0, 1].
    pub fn new(trainer: &mut Trainer, image: &Tensor) -> Result<Self, HardenError> {
        let image = trainer.network().colours(image.shallow_clone())?;
        let output = trainer.with_exported(|trainer| no_grad(|| trainer.run(&image)))?;
        Ok(Self { output: torch::to_ndarray(&output)?, image })
    }

    /// The image, as the network takes it.
    pub fn image(&self) -> &Tensor {
        &self.image
    }

    /// The largest difference of an output, as a share of the range that the reference spans and at least of
    /// [0, 1]; infinite for NaN and for another shape.
    fn difference(&self, found: &ArrayD<f32>) -> f64 {
        if found.shape() != self.output.shape() {
            return f64::INFINITY;
        }
        let apart = found.iter().zip(&self.output).map(|(a, b)| f64::from((a - b).abs()));
        let worst = apart
            .fold(0.0, |worst: f64, apart| if apart.is_nan() { f64::INFINITY } else { worst.max(apart) });
        worst / span(&self.output)
    }
}

/// The range that values span, and at least that of [0, 1].
fn span(values: &ArrayD<f32>) -> f64 {
    let (least, most) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &v| (least.min(v), most.max(v)));
    f64::from(most - least).max(1.0)
}

/// Reads the file and compares what it computes on libtorch; gives the difference.
///
/// # Errors
/// [`HardenError::Unfaithful`] where it is more than `tolerance`.
pub(in crate::harden) fn verify(
    path: &Path,
    trainer: &Trainer,
    reference: &Reference,
    tolerance: f64,
) -> Result<f64, HardenError> {
    let model = trainer.network().canonical(&onnx::read(path)?);
    let written = Program::compile(&model, trainer.program().device(), Kind::Float)?;
    let found = no_grad(|| written.run(std::slice::from_ref(&reference.image)))?.swap_remove(0);
    let difference = reference.difference(&torch::to_ndarray(&found)?);
    faithful(path, difference, tolerance)
}

fn faithful(path: &Path, difference: f64, tolerance: f64) -> Result<f64, HardenError> {
    if difference <= tolerance {
        Ok(difference)
    } else {
        Err(HardenError::Unfaithful { path: path.to_owned(), difference, tolerance })
    }
}

/// Compares what the other runtimes that are there compute from the file.
///
/// # Errors
/// [`HardenError::Unfaithful`] where one gives another output. One that cannot run the model is told of.
pub(in crate::harden) fn agree(
    path: &Path,
    network: &Network,
    reference: &Reference,
    tolerance: f64,
) -> Result<Vec<Agreement>, HardenError> {
    let image = torch::to_ndarray(&reference.image)?;
    let fixed = specialise(&network.canonical(&onnx::read(path)?), &[image.shape()]);
    let run = |kind: runtime::Kind| {
        let fixed = fixed.as_ref().map_err(ToString::to_string)?;
        let mut session =
            runtime::open(kind).and_then(|runtime| runtime.load(fixed)).map_err(|e| e.to_string())?;
        let found = session.run(&[image.view()]).map_err(|error| error.to_string())?.swap_remove(0);
        Ok(reference.difference(&found))
    };
    let mut found = Vec::new();
    for kind in runtime::audited_by_default() {
        if runtime::open(kind).is_err() {
            continue;
        }
        let difference: Result<f64, String> = run(kind);
        if let Ok(difference) = difference {
            faithful(path, difference, tolerance)?;
        }
        found.push(Agreement { runtime: kind, difference });
    }
    Ok(found)
}
