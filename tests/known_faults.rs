//! Known faults of runtimes, shown on the runtimes here: each row of the table by its model in `fixtures/faults`.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;
#[path = "common/trials.rs"]
mod trials;

use std::path::PathBuf;
use std::process::ExitCode;

use common::{Workspace, mix, upscaler};
use ndarray::{ArrayD, IxDyn};
use temper::onnx::{self, Attribute, Model, Tensor};
use temper::runtime::faults::{FAULTS, Fault, known_faults};
use temper::runtime::{self, Kind, Runtime};
use trials::{Need, runtime as need, trial};

fn main() -> ExitCode {
    let shown = FAULTS.iter().filter(|fault| fault.shown.is_ok());
    let mut tests: Vec<_> = shown
        .map(|fault| {
            let name = format!("{} on {}", fault.name, fault.runtime);
            match fault.runtime.parse() {
                // What is right is ONNX Runtime's word, with and without its optimisations.
                Ok(kind) if kind == Kind::TRACT => need(Kind::ORT).trial(name, move |_| shows(fault)),
                Ok(kind) => need(kind).trial(name, move |_| shows(fault)),
                Err(_) => Need::<Kind>::Missing("its feature").trial(name, drop),
            }
        })
        .collect();
    tests.push(need(Kind::ORT).trial("inspect warns of a known fault", |_| inspect_warns()));
    tests.push(trial("a sound model is warned of nothing", a_sound_model_is_warned_of_nothing));
    trials::run(tests)
}

fn example(fault: &Fault) -> Model {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/faults");
    onnx::read(&folder.join(format!("{}.onnx", fault.name))).unwrap()
}

fn open(name: &str) -> Box<dyn Runtime> {
    runtime::open(name.parse().unwrap()).unwrap()
}

/// Evenly from -1 to 1.
fn ramp(model: &Model) -> ArrayD<f32> {
    let (_, dims) = model.graph.inputs[0].dims().unwrap();
    let shape: Vec<usize> = dims.iter().map(|dim| dim.known().unwrap()).collect();
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|index| 2.0 * index as f32 / (count - 1) as f32 - 1.0).collect();
    ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap()
}

fn answer(runtime: &dyn Runtime, model: &Model) -> ArrayD<f32> {
    runtime.load(model).unwrap().run(&[ramp(model).view()]).unwrap().remove(0)
}

fn shows(fault: &Fault) {
    let model = example(fault);
    let accused = open(fault.runtime);
    let hit = known_faults(&*accused, &model);
    assert!(hit.iter().any(|(found, _)| std::ptr::eq(*found, fault)), "the pattern misses its own model");
    let given = answer(&*accused, &model);
    let right = match (fault.name, fault.runtime) {
        // As onnx.reference of onnx 1.23.2 computes it on this ramp.
        ("cubic-to-one-pixel", "ort") => given.mapv(|_| -1.0625),
        _ => answer(&*open("ort-plain"), &model),
    };
    let off = given.iter().zip(&right).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    assert!(
        off > 0.01,
        "{} {} does not show it any more: name the last version that does in the table",
        fault.runtime,
        accused.version()
    );
}

fn inspect_warns() {
    let workspace = Workspace::empty();
    let model = upscaler(|graph, image| {
        let step = graph.initializer("step", Tensor::scalar(0.01));
        let zero = graph.initializer("zero", Tensor::i8(&[], vec![0]).unwrap());
        let whole = graph.node("QuantizeLinear", "whole", &[image, &step, &zero], []);
        let real = graph.node("DequantizeLinear", "real", &[&whole, &step], []);
        let turned =
            graph.node("Transpose", "turned", &[&real], [("perm", Attribute::Ints(vec![0, 1, 3, 2]))]);
        let back = graph.node("Transpose", "back", &[&turned], [("perm", Attribute::Ints(vec![0, 1, 3, 2]))]);
        mix(graph, &back, 0.25)
    });
    workspace.model("model.onnx", &model);
    let output = workspace.temper(&["inspect", "model.onnx"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("ort is known to be wrong at DequantizeLinear node `real`"), "{said}");
}

fn a_sound_model_is_warned_of_nothing() {
    let model = upscaler(|graph, image| mix(graph, image, 0.25));
    assert!(known_faults(&*open("tract"), &model).is_empty());
}
