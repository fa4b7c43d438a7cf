//! The written file, and steps that try what fits.

use super::metadata::{RECIPE, SEED, STEPS, VERSIONS};
use super::network::Network;
use super::train::Trainer;
use super::*;
use crate::runtime::torch::Program;
use crate::torch::{Device, Kind, no_grad};

#[test]
fn the_exported_file_holds_the_network_alone_and_says_how_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 2);
    let out = folder.path().join("new").join("out");
    let outcome = run(&job(small(), &data, &out)).unwrap();
    assert_eq!(outcome.difference, 0.0);
    let model = onnx::read(&outcome.files[0]).unwrap();
    let start = small().network().unwrap();
    assert!(model.graph.initializers.keys().eq(start.graph.initializers.keys()));
    assert_eq!(model.graph.nodes, start.graph.nodes);
    assert_ne!(model.graph.initializers, start.graph.initializers);
    assert_eq!(serde_json::from_str::<Recipe>(&model.metadata[RECIPE]).unwrap(), small());
    assert_eq!((model.metadata[SEED].as_str(), model.metadata[STEPS].as_str()), ("0", "6"));
    assert!(model.metadata[VERSIONS].contains("libtorch"));
    assert_eq!(model.metadata["temper.scale"], "2");
    let program = Program::compile(&model, Device::Cpu, Kind::Float).unwrap();
    let image = crate::torch::Tensor::rand([1, 3, 5, 9], (Kind::Float, Device::Cpu));
    let output = no_grad(|| program.run(&[image])).unwrap().remove(0);
    assert_eq!(output.size(), [1, 3, 10, 18]);
}

#[test]
fn smaller_steps_are_tried_without_moving_a_weight() {
    let recipe = Recipe { adversarial: 8.0, ..small() };
    let network = Network::new(&recipe, Device::Cpu).unwrap();
    let mut trainer = Trainer::new(&recipe, network, Device::Cpu).unwrap();
    let weights = |trainer: &Trainer| {
        let state = trainer.program().state();
        state.iter().map(|(_, tensor)| crate::torch::to_vec::<f32>(tensor).unwrap()).collect::<Vec<_>>()
    };
    let before = weights(&trainer);
    // Whatever is tried first fits here: a half of three crops.
    assert_eq!(trainer.fitting(), Some([1, 8]));
    assert!(trainer.step() == 0 && weights(&trainer) == before);
}

#[test]
fn a_file_of_mixed_precision_training_is_held_to_the_float32_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let out = folder.path().join("out");
    let recipe = Recipe { amp: true, features: Some(16), steps: 2, ..small() };
    let outcome = run(&job(recipe, &data, &out)).unwrap();
    assert!(outcome.difference <= 1e-5, "{}", outcome.difference);
    // What bfloat16 costs is measured: its 8 bits of significand are seen in the outputs.
    let cost = outcome.bfloat16.unwrap();
    assert!((1e-5..0.1).contains(&cost), "{cost}");
    let exact = run(&job(small(), &data, &folder.path().join("exact"))).unwrap();
    assert_eq!(exact.bfloat16, None);
}
