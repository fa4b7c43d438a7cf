//! Models damaged on their way: cut short anywhere, or with bytes changed. Each gives a model or one
//! message; none a panic, and none takes long.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use common::{Workspace, apart, upscaler};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{self, Attribute, Tensor};
use temper::oracle::{Objective, gradient_model};
use temper::rewrite::specialise;
use temper::zoo::Edsr;

/// Two models whose bytes are mostly structure: few weights, and operators with attributes and shapes.
fn models() -> [Vec<u8>; 2] {
    let network = Edsr { features: 1, blocks: 1, scale: 2 }.build(0).unwrap();
    let busy = upscaler(|graph, image| {
        let pads = graph.initializer("pads", Tensor::ints(&[0, 0, 1, 1, 0, 0, 1, 1]));
        let padded = graph.node("Pad", "padded", &[image, &pads], []);
        let blur = graph.initializer("blur", Tensor::f32(&[3, 1, 3, 3], vec![0.125; 27]).unwrap());
        let blurred = graph.node("Conv", "blurred", &[&padded, &blur], [("group", Attribute::Int(3))]);
        let shape = graph.node("Shape", "shape", &[&blurred], []);
        let reshaped = graph.node("Reshape", "reshaped", &[&blurred, &shape], []);
        apart(graph, &reshaped)
    });
    [onnx::to_bytes(&network), onnx::to_bytes(&busy)]
}

/// The bytes with one to four of them changed.
fn corrupted(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..bytes.len());
        bytes[at] = rng.random();
    }
    bytes
}

/// Takes the bytes as far as they go; gives the message where they stop.
#[track_caller]
fn survives(bytes: &[u8], what: &str) -> Option<String> {
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let model = onnx::from_bytes(bytes).map_err(|problem| problem.to_string())?;
        specialise(&model, &[&[1, 3, 9, 11]]).map_err(|error| error.to_string())?;
        let shape = [1, 3, 9, 11];
        gradient_model(&model, &Objective::Distance, &shape).map_err(|error| error.to_string())?;
        Ok::<(), String>(())
    }));
    assert!(start.elapsed() < Duration::from_secs(60), "{what} took {:?}", start.elapsed());
    let message = outcome.unwrap_or_else(|_| panic!("{what} panicked")).err()?;
    assert!(!message.trim().is_empty(), "{what} gave an empty message");
    Some(message)
}

#[test]
fn whole_models_pass() {
    for bytes in models() {
        assert_eq!(survives(&bytes, "whole"), None);
    }
}

#[test]
fn a_model_cut_anywhere_gives_a_message() {
    for bytes in models() {
        let mut passed = 0;
        for end in 0..bytes.len() {
            passed += usize::from(survives(&bytes[..end], &format!("cut at {end}")).is_none());
        }
        // Only a cut between two fields after the graph, of which there are three entries of metadata, can
        // leave a whole model.
        assert!(passed <= 3, "{passed} cuts went unseen");
    }
}

#[test]
fn a_model_with_changed_bytes_gives_a_model_or_a_message() {
    for (number, bytes) in models().iter().enumerate() {
        let refused = (0..4000).filter(|&seed| {
            survives(&corrupted(bytes, seed), &format!("model {number}, seed {seed}")).is_some()
        });
        assert!(refused.count() > 1000, "the damage must show");
    }
}

#[test]
fn the_command_gives_one_message_too() {
    let workspace = Workspace::new();
    let [network, busy] = models();
    let cuts = [1, 2, 60, network.len() / 2, network.len() - 1].map(|end| network[..end].to_vec());
    let changes = (0..25).map(|seed| corrupted(&busy, seed));
    for (number, bytes) in cuts.into_iter().chain(changes).enumerate() {
        workspace.file("damaged.onnx", &bytes);
        let flags = "--images photos --budget 4 --iterations 1 --runtime tract --out out";
        let arguments = [vec!["audit", "damaged.onnx"], flags.split(' ').collect()].concat();
        let output = workspace.temper(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let said: String =
            said.lines().filter(|line| !line.starts_with("Plan: ")).collect::<Vec<_>>().join("\n");
        match output.status.code() {
            Some(0) => assert!(workspace.path("out/report.json").exists() && said.is_empty(), "{said}"),
            Some(2 | 3) => {
                assert!(said.starts_with("error: ") && said.contains("damaged.onnx"), "{number}: {said}");
                assert_eq!(said.lines().count(), 1, "{number}: {said}");
            }
            code => panic!("{number} ended with {code:?}: {said}"),
        }
        std::fs::remove_dir_all(workspace.path("out")).ok();
    }
}
