//! The small trained networks in `models/`, a pair and a hardened twin: what the card says of them, and what a real
//! network must give on every runtime.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod common;

use std::path::PathBuf;

use common::{Workspace, picture};
use ndarray::Axis;
use serde_json::Value;
use temper::onnx::{self, Model};
use temper::rewrite::specialise;
use temper::runtime::{self, Kind};

const PAIR: [&str; 2] = ["edsr-small-lambda0.onnx", "edsr-small-lambda1.onnx"];
/// What the first of them became by adversarial fine-tuning.
const ROBUST: &str = "edsr-small-robust.onnx";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

fn read(name: &str) -> Model {
    onnx::read(&path(name)).unwrap()
}

fn recipe(model: &Model) -> Value {
    serde_json::from_str(&model.metadata["temper.recipe"]).unwrap()
}

/// The runtimes at hand, each with its name.
fn runtimes() -> impl Iterator<Item = Kind> {
    Kind::all().filter(|kind| match runtime::open(*kind) {
        Ok(_) => true,
        Err(reason) => {
            eprintln!("without {kind}: {reason}");
            false
        }
    })
}

#[test]
fn the_two_differ_in_lambda_alone() {
    let [mut plain, mut hardened] = PAIR.map(|name| recipe(&read(name)));
    assert_eq!([&plain["lambda"], &hardened["lambda"]], [0.0, 1.0]);
    for recipe in [&mut plain, &mut hardened] {
        recipe.as_object_mut().unwrap().remove("lambda");
    }
    assert_eq!(plain, hardened);
}

#[test]
fn they_are_small_and_hold_the_backbone_alone() {
    for name in PAIR {
        assert!(path(name).metadata().unwrap().len() < 300_000);
        assert_eq!(temper::zoo::parameter_count(&read(name)), 40_323, "{name}");
    }
}

#[test]
fn the_hardened_twin_was_fine_tuned_from_the_plain_one() {
    let model = read(ROBUST);
    assert_eq!(
        model.metadata["temper.from"],
        temper::digest::of_bytes(&std::fs::read(path(PAIR[0])).unwrap())
    );
    assert!(recipe(&model)["adversarial"].as_f64().unwrap() > 0.0);
    assert_eq!(temper::zoo::parameter_count(&model), 40_323);
    assert_eq!(model.graph.nodes.len(), read(PAIR[0]).graph.nodes.len());
}

#[test]
fn every_runtime_gives_the_same_output() {
    let image = picture(33, 46).insert_axis(Axis(0)).into_dyn();
    for name in PAIR.into_iter().chain([ROBUST]) {
        let model = specialise(&read(name), &[image.shape()]).unwrap();
        let outputs: Vec<_> = runtimes()
            .map(|kind| {
                let mut session = runtime::open(kind).unwrap().load(&model).unwrap();
                (kind, session.run(&[image.view()]).unwrap().remove(0))
            })
            .collect();
        let (_, first) = &outputs[0];
        assert_eq!(first.shape(), [1, 3, 132, 184]);
        let range = first.fold(f32::MIN, |a, &b| a.max(b)) - first.fold(f32::MAX, |a, &b| a.min(b));
        for (kind, output) in &outputs[1..] {
            let worst = first.iter().zip(output).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst <= 1e-4 * range, "{name} on {kind}: {worst} of a range of {range}");
        }
    }
}

/// I-FGSM with the demo's settings: every runtime comes to the same verdict, and the network that
/// was trained with the entropy term stands it better.
#[test]
fn training_with_the_entropy_term_makes_a_network_stand_more() {
    let workspace = Workspace::empty();
    for name in PAIR {
        workspace.file(name, &std::fs::read(path(name)).unwrap());
    }
    workspace.photo("photos/a.png", 40, 44);
    let names: Vec<&str> = runtimes().map(Kind::name).collect();
    let flags = ["--images", "photos", "--budget", "1,4,8", "--iterations", "20", "--runtime"];
    let (_, report) = workspace.audit(&[&PAIR[..], &flags, &[&names.join(",")]].concat());
    let sr_psnr = |model: &str, budget: f64| {
        let cells = report["summary"].as_array().unwrap().iter();
        let of = cells.filter(|cell| cell["model"] == model && cell["budget"] == budget);
        let found: Vec<f64> = of.map(|cell| cell["sr_psnr"].as_f64().unwrap()).collect();
        let [least, most] = [f64::min, f64::max].map(|pick| found.iter().copied().reduce(pick).unwrap());
        assert!(most - least <= 0.1, "{model} at {budget}/255: {found:?}");
        least
    };
    for budget in [1.0, 4.0, 8.0] {
        let [plain, hardened] = PAIR.map(|model| sr_psnr(model, budget));
        assert!(hardened > plain, "{plain} dB without and {hardened} dB with it at {budget}/255");
    }
}
