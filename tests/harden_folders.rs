//! `temper harden` and the folder that it writes to: what is there is not lost, and what it leaves explains
//! itself.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;
use temper::image::save_png;

/// A folder with `photos`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    let pixels = Array3::from_shape_fn((3, 48, 56), |(c, y, x)| {
        ((c * 50 + y * 3 + x * 2 + (y / 9 + x / 7) % 2 * 60) % 256) as f32 / 255.0
    });
    save_png(&photos.join("a.png"), pixels.view()).unwrap();
    folder
}

const SMALL: [&str; 17] = [
    "harden",
    "--device",
    "cpu",
    "--data",
    "photos",
    "--no-audit",
    "--features",
    "4",
    "--blocks",
    "1",
    "--scale",
    "2",
    "--batch",
    "2",
    "--patch",
    "8",
    "--out",
];

fn harden(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::cargo_bin("temper").unwrap();
    command.env("OMP_NUM_THREADS", "1").current_dir(folder).args(SMALL).args(flags);
    command
}

#[test]
fn a_finished_run_is_replaced_only_when_asked() {
    let folder = folder();
    let run = |flags: &[&str]| harden(folder.path(), &[&["out", "--steps", "2"], flags].concat()).assert();
    run(&[]).success();
    let model = || fs::read(folder.path().join("out/model.onnx")).unwrap();
    let before = model();
    run(&["--seed", "5"])
        .code(2)
        .stdout("")
        .stderr(contains("a finished run of 2 steps").and(contains("--overwrite")));
    assert!(model() == before);
    run(&["--seed", "5", "--overwrite"]).success();
    assert!(model() != before);
    run(&["--overwrite", "--resume"]).code(2).stderr(contains("cannot be used with"));
}

#[test]
fn a_run_does_not_replace_its_own_source() {
    let folder = folder();
    harden(folder.path(), &["out", "--steps", "2"]).assert().success();
    let before = fs::read(folder.path().join("out/model.onnx")).unwrap();
    let mut tune = Command::cargo_bin("temper").unwrap();
    tune.current_dir(folder.path()).args(["harden", "--data", "photos", "--steps", "1", "--patch", "8"]);
    tune.args(["--from", "out/../out/model.onnx", "--out", "out", "--overwrite"]);
    tune.assert().code(2).stdout("").stderr(contains("out/model.onnx: is the file that --from reads"));
    assert!(fs::read(folder.path().join("out/model.onnx")).unwrap() == before);
}

#[cfg(unix)]
#[test]
fn the_second_of_two_runs_into_one_folder_refuses() {
    let folder = folder();
    let mut first = std::process::Command::new(assert_cmd::cargo::cargo_bin("temper"));
    first.env("OMP_NUM_THREADS", "1").current_dir(folder.path()).args(SMALL);
    first.args(["out", "--steps", "1000000", "--save-every", "1000000"]).stderr(std::process::Stdio::null());
    let mut first = first.spawn().unwrap();
    let (log, start) = (folder.path().join("out/train.jsonl"), Instant::now());
    while !log.exists() && start.elapsed() < Duration::from_secs(180) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = harden(folder.path(), &["out", "--steps", "2"]).assert();
    first.kill().unwrap();
    first.wait().unwrap();
    second.code(2).stdout("").stderr(contains("out: another run writes to this folder"));
    // The lock of a run that was killed holds nobody up.
    harden(folder.path(), &["out", "--steps", "2"]).assert().success();
}

#[test]
fn what_no_machine_holds_is_refused_at_once() {
    let folder = folder();
    for (flags, message) in [
        (&["--widths", "30000,30000"][..], "parameters for every channel"),
        (&["--features", "4096", "--blocks", "4096"], "GiB by estimate"),
        (&["--memory", "0.00001"], "GiB by estimate"),
        (&["--memory", "0"], "memory is 0"),
    ] {
        let start = Instant::now();
        let mut command = Command::cargo_bin("temper").unwrap();
        command.current_dir(folder.path()).args(["harden", "--data", "photos", "--out", "out"]).args(flags);
        command.assert().code(2).stdout("").stderr(contains(message));
        assert!(start.elapsed() < Duration::from_secs(60), "{flags:?}");
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
fn a_run_says_what_it_changed_and_leaves_a_card_and_tensorboard_files() {
    let folder = folder();
    harden(folder.path(), &["plain", "--steps", "4", "--lambda", "0"])
        .assert()
        .success()
        .stdout(contains("SR PSNR under I-FGSM of 4/255 "));
    let flags = ["tuned", "--steps", "4", "--weights", "plain/model.onnx", "--validate", "photos"];
    harden(folder.path(), &[&flags[..], &["--tensorboard", "board", "--log-every", "2"]].concat())
        .assert()
        .success()
        .stdout(contains(" -> ").and(contains("on 1 validation images")));
    let card = fs::read_to_string(folder.path().join("tuned/MODEL_CARD.md")).unwrap();
    let mut lines = card.lines();
    assert_eq!(lines.next(), Some("---"));
    for part in [
        "library_name: onnx",
        "pipeline_tag: image-to-image",
        "model-index:",
        "# EDSR, x2",
        "| before | after |",
    ] {
        assert!(card.contains(part), "{part}: {card}");
    }
    let files: Vec<_> =
        fs::read_dir(folder.path().join("board")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
    let bytes = fs::read(file).unwrap();
    let count = |part: &[u8]| bytes.windows(part.len()).filter(|window| *window == part).count();
    assert_eq!((count(b"train/loss"), count(b"train/learning_rate"), count(b"validation/psnr")), (2, 2, 1));
    assert_eq!((count(b"validation/output"), count(b"\x89PNG")), (1, 1));
}
