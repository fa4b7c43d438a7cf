//! `temper harden` as a user meets it: what it writes, what it says, and what it refuses.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;
use temper::image::save_png;
use temper::onnx;

fn photographs(folder: &Path, sizes: &[(usize, usize)]) {
    fs::create_dir_all(folder).unwrap();
    for (index, &(height, width)) in sizes.iter().enumerate() {
        let pixels = Array3::from_shape_fn((3, height, width), |(c, y, x)| {
            ((index * 31 + c * 50 + y * 3 + x * 2 + (y / 9 + x / 7) % 2 * 60) % 256) as f32 / 255.0
        });
        save_png(&folder.join(format!("{index}.png")), pixels.view()).unwrap();
    }
}

/// The command with settings that take seconds, in a folder that holds `photos`; writes to `out`.
fn harden(folder: &Path) -> Command {
    harden_to(folder, "out")
}

fn harden_to(folder: &Path, out: &str) -> Command {
    let mut command = Command::cargo_bin("temper").unwrap();
    // Threads that spin while others compute would make these small runs slow.
    command.env("OMP_NUM_THREADS", "1");
    command.current_dir(folder).args(["harden", "--device", "cpu", "--data", "photos", "--out", out]);
    command.args(["--features", "4", "--blocks", "1", "--scale", "2", "--batch", "2", "--patch", "8"]);
    command
}

#[test]
fn writes_a_model_a_log_and_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50), (33, 61), (10, 90)]);
    fs::write(folder.path().join("photos/torn.jpg"), b"\xff\xd8\xff\xe0 torn").unwrap();
    harden(folder.path())
        .args(["--steps", "4", "--log-every", "2", "--lambda", "0.5"])
        .assert()
        .success()
        .stdout(contains("4 steps in").and(contains("out/model.onnx: verified")))
        .stdout(contains("temper audit out/model.onnx"))
        .stderr(contains("on 2 images").and(contains("Skipped 2 images")))
        .stderr(contains("2.png: 90x10 pixels are less than a patch").and(contains("torn.jpg")));
    let out = folder.path().join("out");
    let mut names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["checkpoint.safetensors", "model.onnx", "train.jsonl"]);

    let model = onnx::read(&out.join("model.onnx")).unwrap();
    let recipe: serde_json::Value = serde_json::from_str(&model.metadata["temper.recipe"]).unwrap();
    assert_eq!((recipe["lambda"].as_f64(), recipe["steps"].as_u64()), (Some(0.5), Some(4)));
    assert_eq!(recipe["widths"], serde_json::json!([3, 3, 3]));
    assert_eq!(model.metadata["temper.seed"], "0");
    assert!(model.graph.initializers.keys().all(|name| !name.contains("density")));

    let log = fs::read_to_string(out.join("train.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for key in ["loss", "reconstruction", "entropy", "learning_rate", "seconds", "examples_per_second"] {
        assert!(lines[1][key].as_f64().is_some_and(f64::is_finite), "{key}");
    }
    assert_eq!(lines[1]["step"], 4);
}

#[test]
fn a_killed_run_resumes_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50), (33, 61)]);
    let flags = ["--steps", "300", "--save-every", "2"];
    harden_to(folder.path(), "whole").args(["--steps", "300"]).assert().success();

    let binary = assert_cmd::cargo::cargo_bin("temper");
    let checkpoint = folder.path().join("out/checkpoint.safetensors");
    for run in 0..2 {
        let mut child = std::process::Command::new(&binary);
        child
            .env("OMP_NUM_THREADS", "1")
            .current_dir(folder.path())
            .args(harden(folder.path()).get_args())
            .args(flags);
        if run > 0 {
            child.arg("--resume");
        }
        let before = fs::metadata(&checkpoint).and_then(|file| file.modified()).ok();
        let mut child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
        while fs::metadata(&checkpoint).and_then(|file| file.modified()).ok() == before {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_millis(17 * (run + 1)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(!folder.path().join("out/model.onnx").exists(), "the run ended before it was killed");
    harden(folder.path()).args(flags).assert().code(2).stderr(contains("pass --resume"));
    harden(folder.path())
        .args(flags)
        .arg("--resume")
        .assert()
        .success()
        .stderr(contains("Going on after step"));
    let model = |out: &str| fs::read(folder.path().join(out).join("model.onnx")).unwrap();
    assert!(model("whole") == model("out"), "the resumed run gave another file");
}

#[test]
fn every_network_trains_by_name_with_its_own_loss_and_lambda() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    for (arch, lambda, parts) in [
        ("edsr", 1.0, 0),
        ("srresnet", 0.1, 0),
        ("srgan", 0.1, 2),
        ("rcan", 1.0, 0),
        ("msrn", 1.0, 0),
        ("carn", 1.0, 0),
    ] {
        let mut command = Command::cargo_bin("temper").unwrap();
        command.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
        command.args(["harden", "--arch", arch, "--preset", "small", "--data", "photos", "--out", arch]);
        command.args(["--scale", "2", "--steps", "2", "--batch", "2", "--patch", "8", "--device", "cpu"]);
        command.assert().success().stdout(contains(format!("{arch}/model.onnx: verified")));
        let model = onnx::read(&folder.path().join(arch).join("model.onnx")).unwrap();
        let recipe: serde_json::Value = serde_json::from_str(&model.metadata["temper.recipe"]).unwrap();
        let stated = (recipe["arch"].as_str(), recipe["preset"].as_str(), recipe["lambda"].as_f64());
        assert_eq!(stated, (Some(arch), Some("small"), Some(lambda)));
        let log = fs::read_to_string(folder.path().join(arch).join("train.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        let contest = ["fooling", "discriminator"].iter().filter(|key| line[**key].is_f64()).count();
        assert_eq!(contest, parts, "{arch}: {line}");
    }
}

#[test]
fn settings_that_a_network_does_not_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    for (flags, message) in [
        (&["--arch", "srgan", "--scale", "3"][..], "SRResNet has scales 2 and 4, not 3"),
        (&["--arch", "carn", "--blocks", "4"], "carn has three blocks of three by design"),
        (&["--arch", "rcan", "--blocks", "0"], "RCAN takes 1 to 4096 blocks, not 0"),
        (&["--vgg", "net.onnx", "--vgg-tap", "relu"], "left out: only srgan has a content loss on features"),
        (
            &[
                "--arch",
                "srgan",
                "--preset",
                "small",
                "--patch",
                "6",
                "--vgg",
                "net.onnx",
                "--vgg-tap",
                "relu",
            ],
            "net.onnx",
        ),
    ] {
        let mut command = Command::cargo_bin("temper").unwrap();
        command.current_dir(folder.path()).args(["harden", "--data", "photos", "--out", "out"]).args(flags);
        command.assert().code(2).stdout("").stderr(contains(message));
        assert!(!folder.path().join("out").exists(), "{flags:?} left something behind");
    }
}

/// The command must stop with exit code 2 and one message, and leave nothing behind.
#[track_caller]
fn refused(folder: &Path, flags: &[&str], message: &str) {
    harden(folder)
        .args(["--steps", "2"])
        .args(flags)
        .assert()
        .code(2)
        .stdout("")
        .stderr(predicate::str::starts_with("error: ").and(contains(message)));
    assert!(!folder.join("out").exists(), "something was left behind");
}

#[test]
fn bad_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    for (flag, value, message) in [
        ("--lambda", "-1", "lambda is -1"),
        ("--lambda", "nan", "lambda is NaN"),
        ("--delta", "0", "delta is 0; it must be a positive number"),
        ("--delta", "inf", "delta is inf"),
        ("--batch", "0", "batch is 0; it must be at least 1"),
        ("--patch", "0", "patch is 0"),
        ("--steps", "-3", "-3"),
        ("--lr", "0", "learning rate is 0"),
        ("--scale", "5", "scales 2, 3 and 4, not 5"),
        ("--features", "0", "1 to 4096 features, not 0"),
        ("--widths", "3,0", "widths is [3, 0]"),
        ("--log-every", "0", "log interval is 0"),
        ("--arch", "vgg", "invalid value 'vgg'"),
        ("--preset", "tiny", "[possible values: full, small]"),
        ("--vgg", "net.onnx", "--vgg-tap <NAME>"),
        ("--device", "gpu", "unknown device `gpu`"),
        ("--patch", "100", "0.png of 50x40 (width x height): use --patch 20 or less"),
    ] {
        // The last of two equal flags is refused by clap, so each stands alone.
        let mut command = Command::cargo_bin("temper").unwrap();
        command.current_dir(folder.path());
        command.args(["harden", "--data", "photos", "--out", "out", "--scale"]);
        if flag == "--scale" {
            command.arg(value);
        } else {
            command.args(["2", flag, value]);
        }
        command.assert().code(2).stdout("").stderr(contains(message));
        assert!(!folder.path().join("out").exists(), "{flag} {value} left something behind");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_refused() {
    if temper::torch::device("cuda").is_ok() {
        eprintln!("skipped: there is a GPU");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    let mut command = Command::cargo_bin("temper").unwrap();
    command.current_dir(folder.path());
    command.args(["harden", "--data", "photos", "--out", "out", "--device", "cuda"]);
    command.assert().code(2).stderr(contains("device cuda is not available").and(contains("--device cpu")));
}

#[test]
fn bad_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &[], "photos: cannot be read as a folder");
    fs::create_dir(folder.path().join("photos")).unwrap();
    refused(folder.path(), &[], "photos: no images in this folder");
    fs::write(folder.path().join("photos/empty.png"), b"").unwrap();
    refused(folder.path(), &[], "empty.png: the file is empty");
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    fs::write(folder.path().join("out"), b"a file").unwrap();
    let taken = harden(folder.path()).assert().code(2).stdout("");
    taken.stderr(contains("out: is a file, and an output folder is wanted"));
    assert_eq!(fs::read(folder.path().join("out")).unwrap(), b"a file");
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_folder_that_takes_no_files_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    let mut command = Command::cargo_bin("temper").unwrap();
    command.current_dir(folder.path());
    command.args(["harden", "--data", "photos", "--out", "/proc/self", "--patch", "8", "--scale", "2"]);
    command.assert().code(2).stderr(contains("/proc/self: is no folder that can be written to"));
}
