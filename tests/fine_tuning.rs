//! Two files of other people, a few steps of adversarial training each, photographs that were not trained
//! on: what the validation before the first step and after the last one found.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

#[path = "common/trials.rs"]
mod trials;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assert_cmd::Command;
use serde_json::Value;
use trials::{Need, asset};

/// The files, and how much clean PSNR (dB) the training may cost.
const MODELS: [(&str, f64); 2] = [("carn_m_x4", 2.0), ("imdn_x4", 2.0)];

fn main() -> ExitCode {
    let tests = MODELS.map(|(name, most_lost)| {
        asset(&format!("models/{name}.onnx")).trial(name, move |path| stands_more(&path, most_lost))
    });
    trials::run(tests.into())
}

fn stands_more(model: &Path, most_lost: f64) {
    let folder = tempfile::tempdir().unwrap();
    let photographs = |from: &str, to: &str, places: &[usize]| {
        let Need::Met(from) = asset(from) else { panic!("TEMPER_ASSETS has no {from}") };
        let mut files: Vec<PathBuf> =
            fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        fs::create_dir(folder.path().join(to)).unwrap();
        for &place in places {
            let name = files[place].file_name().unwrap();
            fs::copy(&files[place], folder.path().join(to).join(name)).unwrap();
        }
    };
    photographs("data/train/BSDS500", "photos", &(0..24).collect::<Vec<_>>());
    photographs("data/Set5/HR", "test", &[1, 2]);
    let mut command = Command::cargo_bin("temper").unwrap();
    command.current_dir(folder.path()).args(["harden", "--data", "photos", "--validate", "test", "--from"]);
    command.arg(model).args(["--out", "out", "--device", "cpu", "--no-audit", "--validate-every", "24"]);
    command.args(["--estimator", "off", "--noise", "off", "--adversarial", "8", "--lr", "5e-5"]);
    command.args(["--steps", "24", "--batch", "2", "--patch", "24"]).assert().success();
    let log = fs::read_to_string(folder.path().join("out/validation.jsonl")).unwrap();
    let found: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [before, after] = &found[..] else { panic!("{log}") };
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap();
    let gained = number(after, "attacked") - number(before, "attacked");
    let lost = number(before, "psnr") - number(after, "psnr");
    assert!(gained > 2.0 && lost < most_lost, "{before} {after}");
}
