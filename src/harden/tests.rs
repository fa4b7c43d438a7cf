//! Training, from the job down, on small images made here.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::Array3;

use super::network::Network;
use super::trainer::Trainer;
use super::*;
use crate::image::save_png;
use crate::onnx;
use crate::runtime::torch::Program;
use crate::torch::{Device, Kind, no_grad};

/// Edges, gradients and texture, as photographs have them.
fn picture(seed: usize) -> Array3<f32> {
    Array3::from_shape_fn((3, 64, 72), |(c, y, x)| {
        let (y, x, s) = (y as f32, x as f32, seed as f32);
        let wave =
            (0.13 * (s + 1.0) * x + 0.07 * y + c as f32).sin() + (0.31 * y - 0.11 * x * (s + 1.0)).cos();
        let edge = if x * 0.6 + s * 7.0 > y { 0.25 } else { -0.15 };
        ((0.5 + 0.15 * wave + edge) * 255.0).round().clamp(0.0, 255.0) / 255.0
    })
}

fn images(folder: &Path, count: usize) -> std::path::PathBuf {
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    for seed in 0..count {
        save_png(&data.join(format!("{seed}.png")), picture(seed).view()).unwrap();
    }
    data
}

fn small() -> Recipe {
    Recipe {
        features: Some(6),
        blocks: Some(1),
        scale: 2,
        steps: 6,
        batch: 3,
        patch: 8,
        learning_rate: 1e-3,
        ..Recipe::default()
    }
}

fn job(recipe: Recipe, data: &Path, out: &Path) -> Job {
    Job { log_every: 1, save_every: 2, ..Job::new(recipe, data, out) }
}

fn run(job: &Job) -> Result<Outcome, HardenError> {
    harden(job, &AtomicBool::new(false), &mut |_| {})
}

/// Runs a job and stops it after a step.
fn run_until(job: &Job, last: u64) -> Outcome {
    let stop = AtomicBool::new(false);
    let mut watch = |event: Event<'_>| {
        if let Event::Step { done } = event {
            stop.store(done >= last, Ordering::Relaxed);
        }
    };
    harden(job, &stop, &mut watch).unwrap()
}

fn records(out: &Path) -> Vec<Record> {
    let text = fs::read_to_string(out.join("train.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_loss_falls_on_one_image() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    for lambda in [0.0, 1.0] {
        let recipe = Recipe { steps: 150, lambda, features: Some(8), learning_rate: 2e-3, ..small() };
        let out = folder.path().join(format!("out{lambda}"));
        run(&Job { log_every: 10, ..job(recipe, &data, &out) }).unwrap();
        let records = records(&out);
        assert_eq!(records.len(), 15);
        let (first, last) = (&records[0], &records[14]);
        assert!(last.reconstruction < 0.5 * first.reconstruction, "{first:?} {last:?}");
        match (first.entropy, last.entropy) {
            (None, None) => assert_eq!(lambda, 0.0),
            (Some(first), Some(last)) => assert!(last < first && lambda == 1.0, "{first} {last}"),
            both => panic!("{both:?}"),
        }
    }
}

#[test]
fn one_seed_gives_one_file_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 3);
    let file = |name: &str, seed| {
        let out = folder.path().join(name);
        run(&job(Recipe { seed, ..small() }, &data, &out)).unwrap();
        fs::read(out.join("model.onnx")).unwrap()
    };
    let first = file("a", 1);
    assert!(first == file("b", 1), "the same seed gave another file");
    assert!(first != file("c", 2));
}

#[test]
fn a_run_that_stops_and_resumes_is_the_run_that_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 3);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    run(&job(small(), &data, &whole)).unwrap();

    let first = job(small(), &data, &parts);
    let stopped = run_until(&first, 3);
    assert!(stopped.interrupted && stopped.steps == 3);
    let steps = &onnx::read(&parts.join("model.onnx")).unwrap().metadata[STEPS];
    assert_eq!(steps, "3");
    let refused = run(&first).unwrap_err().to_string();
    assert!(refused.contains("stopped at step 3 of 6; pass --resume"), "{refused}");
    let finished = run(&Job { resume: true, ..first }).unwrap();
    assert!(!finished.interrupted);
    for name in ["model.onnx", "checkpoint.safetensors"] {
        let read = |out: &Path| {
            let path = out.join(name);
            if name == "model.onnx" {
                return fs::read(path).unwrap();
            }
            let checkpoint = Checkpoint::read(&path).unwrap();
            let moments = [&checkpoint.estimator, &checkpoint.adam.first, &checkpoint.adam.second];
            let values = moments.into_iter().flatten().flat_map(|(_, tensor)| {
                crate::torch::to_vec::<f32>(tensor).unwrap().into_iter().flat_map(f32::to_le_bytes)
            });
            values.collect()
        };
        assert!(read(&whole) == read(&parts), "{name} differs");
    }
    let steps = |out: &Path| records(out).iter().map(|record| record.step).collect::<Vec<_>>();
    assert_eq!(steps(&parts), steps(&whole));
}

#[test]
fn a_checkpoint_of_another_recipe_is_refused_naming_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let out = folder.path().join("out");
    let first = job(small(), &data, &out);
    run_until(&first, 2);
    let recipe = Recipe { lambda: 0.5, ..small() };
    let other = run(&Job { recipe, resume: true, ..first.clone() }).unwrap_err().to_string();
    assert!(other.contains("lambda is 0.5 now and was 1.0"), "{other}");
    fs::write(out.join("checkpoint.safetensors"), b"something else entirely").unwrap();
    let broken = run(&Job { resume: true, ..first.clone() }).unwrap_err().to_string();
    assert!(broken.contains("not a checkpoint of this program"), "{broken}");
    fs::remove_file(out.join("checkpoint.safetensors")).unwrap();
    let missing = run(&Job { resume: true, ..first }).unwrap_err().to_string();
    assert!(missing.contains("checkpoint.safetensors: no such file"), "{missing}");
}

#[test]
fn lambda_0_is_the_plain_network() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 2);
    let out = folder.path().join("out");
    let mut estimator = None;
    let plain = job(Recipe { lambda: 0.0, ..small() }, &data, &out);
    let mut watch = |event: Event<'_>| {
        if let Event::Ready { estimator: count, .. } = event {
            estimator = Some(count);
        }
    };
    harden(&plain, &AtomicBool::new(false), &mut watch).unwrap();
    assert_eq!(estimator, Some(0));
    assert!(Checkpoint::read(&out.join("checkpoint.safetensors")).unwrap().estimator.is_empty());
    // Without noise, delta has no say.
    let before = fs::read(out.join("model.onnx")).unwrap();
    let other = Recipe { lambda: 0.0, delta: 7.0, ..small() };
    let weights = |bytes: &[u8]| onnx::from_bytes(bytes).unwrap().graph.initializers;
    run(&job(other, &data, &out)).unwrap();
    assert!(weights(&before) == weights(&fs::read(out.join("model.onnx")).unwrap()));
}

/// The estimator's parameters and the first line of the log.
fn ready_and_first(recipe: Recipe) -> (usize, Record) {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 2);
    let out = folder.path().join("out");
    let mut parameters = 0;
    let mut watch = |event: Event<'_>| {
        if let Event::Ready { estimator, .. } = event {
            parameters = estimator;
        }
    };
    harden(&job(recipe, &data, &out), &AtomicBool::new(false), &mut watch).unwrap();
    (parameters, records(&out).remove(0))
}

#[test]
fn the_four_cases_of_the_ablation_are_four() {
    let case = |estimator, noise| ready_and_first(Recipe { estimator, noise, steps: 1, ..small() });
    let [plain, estimated, noisy, both] =
        [(false, false), (true, false), (false, true), (true, true)].map(|(pe, noise)| case(pe, noise));
    // 6 channels of 43 parameters each.
    assert_eq!([plain.0, estimated.0, noisy.0, both.0], [0, 6 * 43, 0, 6 * 43]);
    let entropies = [&plain, &estimated, &noisy, &both].map(|(_, record)| record.entropy.is_some());
    assert_eq!(entropies, [false, true, false, true]);
    // At the first step all have the same weights, so only the noise can move the reconstruction.
    assert_eq!(plain.1.reconstruction, estimated.1.reconstruction);
    assert_eq!(noisy.1.reconstruction, both.1.reconstruction);
    assert_ne!(plain.1.reconstruction, noisy.1.reconstruction);
    assert_ne!(estimated.1.entropy, both.1.entropy);
    // The spread is that of Phi before the noise.
    assert!(plain.1.spread > 0.0 && plain.1.spread == both.1.spread);
}

#[test]
fn the_tap_is_where_the_recipe_says() {
    let at = |tap: &str| ready_and_first(Recipe { tap: tap.into(), steps: 1, ..small() });
    let (last, first, named) = (at("last"), at("first"), at("head"));
    assert_ne!(last.1.entropy, first.1.entropy);
    assert_eq!(first.1.entropy, named.1.entropy);
    // Before the shuffle there are four times as many channels.
    assert_eq!(at("upsample.0").0, 4 * last.0);

    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let refused = |tap: &str| {
        let recipe = Recipe { tap: tap.into(), ..small() };
        let error = run(&job(recipe, &data, &folder.path().join("out"))).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        error.to_string()
    };
    assert!(refused("upsample").contains("did you mean `upsample.0"), "{}", refused("upsample"));
}

#[test]
fn adversarial_training_sees_every_crop_twice() {
    let case = |adversarial, estimator, noise| {
        ready_and_first(Recipe { adversarial, estimator, noise, steps: 1, ..small() }).1
    };
    let plain = case(0.0, false, false);
    let slight = case(1e-4, false, false);
    let strong = case(8.0, false, false);
    // A half of the loss is that of the clean crops, whatever the attack does to the other.
    assert!((slight.reconstruction - plain.reconstruction).abs() < 1e-3 * plain.reconstruction);
    assert!(strong.reconstruction > plain.reconstruction);
    let both = case(8.0, true, true);
    assert!(both.entropy.is_some() && both.reconstruction != strong.reconstruction);
}

/// A file as others make them: no metadata, some weights in Constant nodes.
fn stranger(path: &Path) {
    let trained = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/edsr-small-lambda0.onnx");
    let mut model = onnx::read(&trained).unwrap();
    model.metadata.clear();
    let graph = &mut model.graph;
    for name in ["head.weight", "upsample.0.weight"] {
        let tensor = graph.initializers.shift_remove(name).unwrap();
        let attributes = [("value".to_owned(), onnx::Attribute::Tensor(tensor))];
        let constant = onnx::Node {
            op: "Constant".into(),
            outputs: vec![name.into()],
            attributes: attributes.into_iter().collect(),
            ..Default::default()
        };
        graph.nodes.insert(0, constant);
    }
    onnx::write(&model, path).unwrap();
}

/// Weights in initializers and in Constant nodes, without the constants of the pixel range.
fn parameter_count(model: &onnx::Model) -> usize {
    let constants =
        model.graph.nodes.iter().filter(|node| node.op == "Constant" && node.outputs[0].ends_with(".weight"));
    let constants = constants.map(|node| match &node.attributes["value"] {
        onnx::Attribute::Tensor(tensor) => tensor.len(),
        _ => 0,
    });
    constants.sum::<usize>() + crate::zoo::parameter_count(model)
}

#[test]
fn a_strangers_file_is_fine_tuned_in_its_own_graph() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 2);
    let (file, out) = (folder.path().join("given.onnx"), folder.path().join("out"));
    stranger(&file);
    let recipe = Recipe { from: Some(file.clone()), ..small() };
    let mut chosen = None;
    let mut watch = |event: Event<'_>| {
        if let Event::Ready { tap, chosen: Some(how), parameters, .. } = event {
            chosen = Some((tap.to_owned(), how.to_owned(), parameters));
        }
    };
    let tuned = job(recipe, &data, &out);
    harden(&tuned, &AtomicBool::new(false), &mut watch).unwrap();
    let (tap, how, parameters) = chosen.unwrap();
    assert_eq!(tap, "features");
    assert!(how.contains("DepthToSpace node `upsample.0.shuffle`"), "{how}");

    let (given, written) = (onnx::read(&file).unwrap(), onnx::read(&out.join("model.onnx")).unwrap());
    assert_eq!(parameters, parameter_count(&given));
    assert_eq!((&given.graph.inputs, &given.graph.outputs), (&written.graph.inputs, &written.graph.outputs));
    assert_eq!(given.opsets, written.opsets);
    assert_eq!(given.graph.nodes.len(), written.graph.nodes.len());
    for (before, after) in given.graph.nodes.iter().zip(&written.graph.nodes) {
        assert_eq!((&before.op, &before.inputs, &before.outputs), (&after.op, &after.inputs, &after.outputs));
        let weight = before.outputs[0].ends_with(".weight");
        assert_eq!(before.attributes != after.attributes, weight, "{}", before.label());
    }
    for (name, tensor) in &given.graph.initializers {
        assert_ne!(&written.graph.initializers[name], tensor, "{name} was not trained");
    }
    assert_eq!(written.metadata[FROM].len(), 64);
    assert!(written.metadata[UNIT].parse::<f64>().unwrap() > 0.0);

    // It stops and resumes like any other run, units of the features and all.
    let parts = Job { out: folder.path().join("parts"), ..tuned.clone() };
    run_until(&parts, 3);
    run(&Job { resume: true, ..parts.clone() }).unwrap();
    let read = |out: &Path| fs::read(out.join("model.onnx")).unwrap();
    assert!(read(&out) == read(&parts.out));
}

#[test]
fn a_file_that_cannot_be_trained_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let file = folder.path().join("given.onnx");
    let refused = |tap: &str| {
        let recipe = Recipe { from: Some(file.clone()), tap: tap.into(), ..small() };
        let error = run(&job(recipe, &data, &folder.path().join("out"))).unwrap_err();
        assert!(error.is_bad_input() && !folder.path().join("out").exists(), "{error}");
        error.to_string()
    };
    assert!(refused("last").contains("given.onnx: no such file"), "{}", refused("last"));
    fs::write(&file, b"not a model").unwrap();
    assert!(refused("last").contains("given.onnx"), "{}", refused("last"));
    stranger(&file);
    assert!(refused("featurs").contains("did you mean `features`?"), "{}", refused("featurs"));
    assert!(refused("first").contains("does not say which"), "{}", refused("first"));
    let mut model = onnx::read(&file).unwrap();
    model.graph.nodes.iter_mut().filter(|node| node.op == "Relu").for_each(|node| node.op = "Erosion".into());
    onnx::write(&model, &file).unwrap();
    assert!(
        refused("last").contains("given.onnx") && refused("last").contains("Erosion"),
        "{}",
        refused("last")
    );
}

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
fn a_diverging_run_stops_with_the_step_and_the_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let recipe = Recipe { learning_rate: 1e30, steps: 20, lambda: 0.0, ..small() };
    let out = folder.path().join("out");
    let error = run(&job(recipe, &data, &out)).unwrap_err();
    assert!(!error.is_bad_input());
    let message = error.to_string();
    assert!(message.contains("at step") && message.contains("learning rate that is too high"), "{message}");
    assert!(!out.join("model.onnx").exists());
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
fn what_is_wrong_is_found_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let out = folder.path().join("deep").join("out");
    let refused = |recipe: Recipe, data: &Path| {
        let error = run(&job(recipe, data, &out)).unwrap_err();
        assert!(error.is_bad_input() && !folder.path().join("deep").exists(), "{error}");
        error.to_string()
    };
    assert!(refused(Recipe { patch: 48, ..small() }, &data).contains("use --patch 32 or less"));
    assert!(refused(Recipe { delta: -1.0, ..small() }, &data).starts_with("delta is -1"));
    assert!(refused(small(), &folder.path().join("absent")).contains("absent"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(refused(small(), &empty).contains("no images in this folder"));
}
