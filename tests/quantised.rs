//! Gradients of files that ONNX Runtime's quantiser wrote, held to libtorch's autograd of the same
//! straight-through graph, and to the gradient of the float model they were made from.
//!
//! `TEMPER_QUANTISED` names the folder that `tests/scripts/quantise.py` filled; without it nothing
//! is tested here. No infinitesimal difference can judge: the values move in steps, and where one
//! runtime rounds to another step than the next one, what follows differs by as much. So gradients
//! are compared by their angle, tightly where the outputs agree, and judged by how far a step of
//! one level along them raises the objective of the quantised file.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{self, Dim, Model, Tensor};
use temper::rewrite::{Emitter, Value, gradient, specialise};
use temper::runtime::{self, Kind};

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

/// The float models of the folder.
fn models() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("TEMPER_QUANTISED") else {
        eprintln!("skipped: TEMPER_QUANTISED names no folder");
        return Vec::new();
    };
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_float = |path: &PathBuf| sibling(path, "static").exists();
    let mut models: Vec<PathBuf> = files.filter(is_float).collect();
    models.sort();
    models
}

fn sibling(path: &Path, form: &str) -> PathBuf {
    path.with_file_name(format!("{}-{form}.onnx", path.file_stem().unwrap().to_string_lossy()))
}

#[test]
fn a_step_along_the_gradient_of_a_quantised_file_raises_its_objective() {
    let mut wrong = Vec::new();
    for path in models() {
        let float = Question::about(&path).gradient(Kind::ORT);
        for form in ["static", "dynamic"] {
            let question = Question::about(&sibling(&path, form));
            let gradients = [Kind::ORT, Kind::TRACT, Kind::TORCH].map(|kind| question.gradient(kind));
            let [ort, tract, torch] = &gradients;
            let outputs = [Kind::ORT, Kind::TRACT, Kind::TORCH].map(|kind| question.output(kind));
            let [own, other] = [ort, &float].map(|gradient| question.rise(gradient));
            let mut said = format!(
                "{}-{form}: cosine {:.4} with the float model; rises by {own:.4}, along the float model's by {other:.4}",
                path.file_stem().unwrap().to_string_lossy(),
                cosine(ort, &float)
            );
            let mut agree = true;
            for (gradient, output) in [(tract, &outputs[1]), (torch, &outputs[2])] {
                let off = (output - &outputs[0]).iter().fold(0.0_f32, |most, d| most.max(d.abs()));
                let angle = cosine(ort, gradient);
                agree &= angle > if off < SAME { 0.9999 } else { 0.9 };
                said += &format!("; cosine {angle:.6} where outputs differ by {off:.1e}");
            }
            eprintln!("{said}");
            if !agree || own < 0.9 * other {
                wrong.push(said);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
