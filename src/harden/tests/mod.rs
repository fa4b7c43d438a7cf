//! Training, from the settings down, on small images made here.

mod export;
mod foreign;
mod parts;
mod resume;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::Array3;

use super::*;
use crate::image::save_png;
use crate::onnx;

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

/// The settings of a run that logs every step and saves every second one.
fn job(recipe: Recipe, data: &Path, out: &Path) -> Settings {
    let mut settings = Settings::new(recipe, data, out);
    (settings.run.log_every, settings.run.save_every) = (1, 2);
    settings
}

fn run(settings: &Settings) -> Result<Outcome, HardenError> {
    start(settings, Start::Fresh)
}

fn start(settings: &Settings, start: Start) -> Result<Outcome, HardenError> {
    harden(settings, start, &AtomicBool::new(false), &mut |_| {})
}

/// Runs a job and stops it after a step.
fn run_until(settings: &Settings, last: u64) -> Outcome {
    let stop = AtomicBool::new(false);
    let mut watch = |event: Event<'_>| {
        if let Event::Step { done } = event {
            stop.store(done >= last, Ordering::Relaxed);
        }
    };
    harden(settings, Start::Fresh, &stop, &mut watch).unwrap()
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
        let mut settings = job(recipe, &data, &out);
        settings.run.log_every = 10;
        run(&settings).unwrap();
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
