//! Gradients of files that ONNX Runtime's quantiser wrote, held to libtorch's autograd of the same
//! straight-through graph, and to the gradient of the float model they were made from.
//!
//! `TEMPER_QUANTISED` names the folder that `tests/scripts/quantise.py` filled; without it the test is
//! ignored, with it there is one per file. No infinitesimal difference can judge: the values move in steps, and where one
//! runtime rounds to another step than the next one, what follows differs by as much. So gradients
//! are compared by their angle, tightly where the outputs agree, and judged by how far a step of
//! one level along them raises the objective of the quantised file.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

#[path = "common/trials.rs"]
mod trials;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{self, Dim, Model, Tensor};
use temper::rewrite::{Emitter, Value, gradient, specialise};
use temper::runtime::{self, Kind};
use trials::{Need, models_below, trial};

/// The side of the image, where a model leaves it open.
const SIDE: usize = 24;
/// Outputs that differ by less come from the same integers.
const SAME: f32 = 1e-5;
/// A step of one level in 255, which moves the integers of most layers.
const STEP: f32 = 1.0 / 255.0;

fn random(shape: &[usize], low: f32, high: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    (0..shape.iter().product()).map(|_| rng.random_range(low..=high)).collect()
}

/// A picture of soft waves and an edge, like those that calibrated the models.
fn drawn(shape: &[usize]) -> Vec<f32> {
    let (height, width) = (shape[2] as f32, shape[3] as f32);
    let at = |[channel, row, column]: [usize; 3]| {
        let (y, x) = (row as f32 / height, column as f32 / width);
        let wave = 0.5 + 0.4 * (7.0 * x + (channel as f32 + 3.0) * y).sin();
        if x + y > 0.9 { wave } else { 1.0 - wave }
    };
    let places = (0..shape[1]).flat_map(|channel| {
        (0..shape[2]).flat_map(move |row| (0..shape[3]).map(move |column| [channel, row, column]))
    });
    places.map(at).collect()
}

/// The model at its size with a weighted sum of its output as objective.
struct Question {
    model: Model,
    input: String,
    image: ArrayD<f32>,
}

impl Question {
    fn about(path: &Path) -> Self {
        let model = onnx::read(path).unwrap();
        let input = model.graph.required_inputs().next().unwrap().clone();
        let (_, dims) = input.dims().unwrap();
        let open = |(axis, dim): (usize, &Dim)| dim.known().unwrap_or(if axis == 0 { 1 } else { SIDE });
        let shape: Vec<usize> = dims.iter().enumerate().map(open).collect();
        let image = ArrayD::from_shape_vec(IxDyn(&shape), drawn(&shape)).unwrap();
        Self { model: specialise(&model, &[&shape]).unwrap(), input: input.name, image }
    }

    fn objective(&self) -> (Emitter, Value) {
        let output = self.model.graph.outputs[0].name.clone();
        let mut emitter = Emitter::open(self.model.clone()).unwrap();
        let y = emitter.value(&output).unwrap();
        let weights = Tensor::f32(y.shape(), random(y.shape(), -1.0, 1.0)).unwrap();
        let weights = emitter.constant("weights", weights);
        let weighted = emitter.emit("Mul", "weighted", &[&y, &weights], []).unwrap();
        let sum = emitter.reduce("ReduceSum", "sum", &weighted, &[], false).unwrap();
        (emitter, sum)
    }

    fn output(&self, kind: Kind) -> ArrayD<f32> {
        let mut session = runtime::open(kind).unwrap().load(&self.model).unwrap();
        session.run(&[self.image.view()]).unwrap().remove(0)
    }

    /// How far the objective rises on ONNX Runtime when every pixel moves by a step along a gradient.
    fn rise(&self, gradient: &[f32]) -> f64 {
        let (emitter, sum) = self.objective();
        let model = emitter.finish(&[("value", &sum)]).unwrap();
        let mut session = runtime::open(Kind::ORT).unwrap().load(&model).unwrap();
        let mut at = |step: f32| {
            let mut moved = self.image.clone();
            moved.iter_mut().zip(gradient).for_each(|(x, g)| *x += step * g.signum());
            f64::from(session.run(&[moved.view()]).unwrap().remove(0).sum())
        };
        at(STEP) - at(0.0)
    }

    /// The gradient on a runtime: by the graph, or on libtorch by autograd.
    fn gradient(&self, kind: Kind) -> Vec<f32> {
        let runtime = runtime::open(kind).unwrap();
        let (mut emitter, sum) = self.objective();
        let mut session = if kind == Kind::TORCH {
            let model = emitter.finish(&[("value", &sum)]).unwrap();
            runtime.autograd(&model, &self.input).unwrap().unwrap()
        } else {
            let gradient = gradient(&mut emitter, &sum, &self.input).unwrap();
            let model = emitter.finish(&[("value", &sum), ("gradient", &gradient.value)]).unwrap();
            runtime.load(&model).unwrap()
        };
        session.run(&[self.image.view()]).unwrap().remove(1).into_iter().collect()
    }
}

/// The cosine of the angle between two gradients.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

fn main() -> ExitCode {
    const NAME: &str = "a step along the gradient raises the objective";
    let Some(folder) = std::env::var_os("TEMPER_QUANTISED").map(PathBuf::from) else {
        return trials::run(vec![Need::<()>::Missing("TEMPER_QUANTISED").trial(NAME, drop)]);
    };
    if cfg!(not(feature = "torch")) {
        return trials::run(vec![Need::<()>::Missing("libtorch").trial(NAME, drop)]);
    }
    let models = if folder.is_dir() { models_below(&folder) } else { Vec::new() };
    let floats: Vec<PathBuf> = models.into_iter().filter(|path| sibling(path, "static").exists()).collect();
    if floats.is_empty() {
        let reason = format!("{}: holds no NAME.onnx beside its NAME-static.onnx", folder.display());
        return trials::run(vec![Need::<()>::Wrong(reason).trial(NAME, drop)]);
    }
    let forms = floats.iter().flat_map(|path| ["static", "dynamic"].map(|form| (path.clone(), form)));
    trials::run(
        forms
            .map(|(path, form)| {
                let name = sibling(&path, form).file_name().unwrap().to_string_lossy().into_owned();
                trial(format!("{NAME}: {name}"), move || a_step_raises_the_objective(&path, form))
            })
            .collect(),
    )
}

fn sibling(path: &Path, form: &str) -> PathBuf {
    path.with_file_name(format!("{}-{form}.onnx", path.file_stem().unwrap().to_string_lossy()))
}

fn a_step_raises_the_objective(path: &Path, form: &str) {
    let float = Question::about(path).gradient(Kind::ORT);
    let question = Question::about(&sibling(path, form));
    let gradients = [Kind::ORT, Kind::TRACT, Kind::TORCH].map(|kind| question.gradient(kind));
    let [ort, tract, torch] = &gradients;
    let outputs = [Kind::ORT, Kind::TRACT, Kind::TORCH].map(|kind| question.output(kind));
    let [own, other] = [ort, &float].map(|gradient| question.rise(gradient));
    for (gradient, output) in [(tract, &outputs[1]), (torch, &outputs[2])] {
        let off = (output - &outputs[0]).iter().fold(0.0_f32, |most, d| most.max(d.abs()));
        let angle = cosine(ort, gradient);
        assert!(
            angle > if off < SAME { 0.9999 } else { 0.9 },
            "cosine {angle:.6} where outputs differ by {off:.1e}"
        );
    }
    assert!(own >= 0.9 * other, "rises by {own:.4}, along the float model's gradient by {other:.4}");
}
