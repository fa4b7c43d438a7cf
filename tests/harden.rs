//! `temper harden` as a user meets it: what it writes, what it says, and what it refuses.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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
    command.arg("--no-audit");
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
    assert_eq!(
        names,
        [
            "MODEL_CARD.md",
            "checkpoint.safetensors",
            "config.toml",
            "model.onnx",
            "train.jsonl",
            "training.html"
        ]
    );

    let page = fs::read_to_string(out.join("training.html")).unwrap();
    let shows =
        ["<h3>Loss</h3>", "<h3>Entropy of Phi</h3>", "<h3>Histogram of Phi</h3>", "on 2 training images"];
    assert!(shows.iter().all(|part| page.contains(part)), "{page}");

    let model = onnx::read(&out.join("model.onnx")).unwrap();
    let recipe: serde_json::Value = serde_json::from_str(&model.metadata["temper.recipe"]).unwrap();
    assert_eq!((recipe["lambda"].as_f64(), recipe["steps"].as_u64()), (Some(0.5), Some(4)));
    assert_eq!(recipe["widths"], serde_json::json!([3, 3, 3]));
    assert_eq!(model.metadata["temper.seed"], "0");
    // Without images to validate on, how it does on its own is in the file, and so is that they are its own.
    let validation: serde_json::Value = serde_json::from_str(&model.metadata["temper.validation"]).unwrap();
    assert_eq!((validation["training"].as_bool(), validation["images"].as_u64()), (Some(true), Some(2)));
    assert!(validation["psnr"].as_f64().is_some_and(f64::is_finite));
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
    // Everything that has a state of its own: Adam, averages, noise, attacks, the schedule.
    let computed =
        ["--steps", "400", "--ema", "0.9", "--clip", "40", "--adversarial", "8", "--schedule", "cosine"];
    let flags = [&computed[..], &["--save-every", "2"]].concat();
    harden_to(folder.path(), "whole").args(computed).assert().success();

    let binary = assert_cmd::cargo::cargo_bin("temper");
    let checkpoint = folder.path().join("out/checkpoint.safetensors");
    let written = || fs::metadata(&checkpoint).and_then(|file| file.modified()).ok();
    // TEMPER_SEED=N repeats the moments of a failure.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let seed = std::env::var("TEMPER_SEED").map_or(now, |seed| seed.parse().unwrap());
    eprintln!("the run is killed at moments of TEMPER_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for run in 0..6 {
        let mut child = std::process::Command::new(&binary);
        child.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
        child.args(harden(folder.path()).get_args()).args(&flags);
        if run > 0 {
            child.arg("--resume");
        }
        let before = written();
        let mut child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
        let pause = |milliseconds| std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        // While it starts, or a moment after a checkpoint: in a step, or in the next checkpoint.
        let starting = run > 0 && rng.random_bool(0.3);
        while !starting && written() == before {
            pause(1);
        }
        pause(rng.random_range(0..90));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(!folder.path().join("out/model.onnx").exists(), "the run ended before it was killed");
    harden(folder.path()).args(&flags).assert().code(2).stderr(contains("pass --resume"));
    harden(folder.path())
        .args(&flags)
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
        command.arg("--no-audit");
        command.assert().success().stdout(contains(format!("{arch}/model.onnx: verified")));
        let model = onnx::read(&folder.path().join(arch).join("model.onnx")).unwrap();
        let recipe: serde_json::Value = serde_json::from_str(&model.metadata["temper.recipe"]).unwrap();
        let stated = (recipe["arch"].as_str(), recipe["size"].as_str(), recipe["lambda"].as_f64());
        assert_eq!(stated, (Some(arch), Some("small"), Some(lambda)));
        let log = fs::read_to_string(folder.path().join(arch).join("train.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        let contest = ["adversarial", "discriminator"].iter().filter(|key| line[**key].is_f64()).count();
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
        ("--preset", "tiny", "there is no preset `tiny`; there are paper, small and robust"),
        ("--size", "tiny", "[possible values: full, small]"),
        ("--ema", "1", "ema is 1; it must be from 0 (none) up to below 1"),
        ("--clip", "-1", "clip is -1"),
        ("--adversarial", "-8", "adversarial budget is -8"),
        ("--adversarial-steps", "0", "adversarial steps is 0"),
        ("--adversarial-weight", "-1", "adversarial weight is -1"),
        ("--adversarial-start", "edge", "[possible values: ball, crop]"),
        ("--adversarial-target", "zero", "[possible values: truth, output]"),
        ("--preset", "robust", "it fine-tunes a trained network: add --from FILE.onnx"),
        ("--estimator", "maybe", "say on or off"),
        ("--schedule", "linear", "[possible values: step, cosine]"),
        ("--tap", "featurs", "did you mean `features`?"),
        ("--validate-every", "0", "validation interval is 0"),
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
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    let mut command = Command::cargo_bin("temper").unwrap();
    command.current_dir(folder.path());
    command.args(["harden", "--data", "photos", "--out", "out", "--device", "cuda"]);
    command.env("CUDA_VISIBLE_DEVICES", "");
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

#[test]
fn a_run_is_repeated_by_its_own_configuration() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50), (33, 61)]);
    let flags = ["--steps", "4", "--lambda", "0.5", "--tap", "first", "--ema", "0.5", "--seed", "3"];
    harden(folder.path()).args(flags).assert().success();
    let again = |out: &str, more: &[&str]| {
        let mut command = Command::cargo_bin("temper").unwrap();
        command.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
        // Another preset has no say: the file holds every key.
        command.args(["harden", "--config", "out/config.toml", "--preset", "small", "--out", out]).args(more);
        command.assert().success();
        fs::read(folder.path().join(out).join("model.onnx")).unwrap()
    };
    let first = fs::read(folder.path().join("out/model.onnx")).unwrap();
    assert!(again("again", &[]) == first, "the configuration gave another file");
    assert!(again("other", &["--seed", "4"]) != first, "a flag did not go over the file");
}

#[test]
fn the_configuration_is_printed_in_full_and_a_slip_in_it_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("temper").unwrap();
    command.args(["harden", "--arch", "carn", "--preset", "small", "--steps", "7", "--print-config"]);
    let printed = command.assert().success().get_output().stdout.clone();
    let printed = String::from_utf8(printed).unwrap();
    for line in ["arch = \"carn\"", "size = \"small\"", "steps = 7", "lambda = 1.0", "# Training steps"] {
        assert!(printed.lines().any(|found| found == line), "{line}: {printed}");
    }
    let given = |text: &str| {
        fs::write(folder.path().join("run.toml"), text).unwrap();
        let mut command = Command::cargo_bin("temper").unwrap();
        command.current_dir(folder.path()).args(["harden", "--config", "run.toml"]);
        command.assert().code(2).stdout("")
    };
    given("[recipe]\nlamda = 1\n")
        .stderr(contains("run.toml: [recipe] has no key `lamda`; did you mean `lambda`?"));
    given("[recipe]\nlambda = -1\n[run]\ndata = \"x\"\nout = \"y\"\n").stderr(contains("lambda is -1"));
    given("[run]\nout = \"x\"\n").stderr(contains("no folder of images to train on: give --data DIR"));
    given("[recipe\n").stderr(contains("run.toml: "));
}

#[test]
fn validation_is_logged_and_the_best_kept() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50), (48, 61)]);
    let flags = ["--steps", "6", "--validate", "photos", "--validate-every", "2", "--lr", "0.002"];
    harden(folder.path()).args(flags).assert().success().stderr(contains("Step 2: PSNR"));
    let log = fs::read_to_string(folder.path().join("out/validation.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4, 6]);
    for key in ["psnr", "ssim", "attacked", "entropy", "spread"] {
        assert!(lines.iter().all(|line| line[key].as_f64().is_some_and(f64::is_finite)), "{key}");
    }
    let best =
        lines.iter().max_by(|a, b| a["psnr"].as_f64().partial_cmp(&b["psnr"].as_f64()).unwrap()).unwrap();
    let kept = onnx::read(&folder.path().join("out/best.onnx")).unwrap();
    assert_eq!(kept.metadata["temper.steps"], best["step"].to_string());
    let last = onnx::read(&folder.path().join("out/model.onnx")).unwrap();
    let stated: serde_json::Value = serde_json::from_str(&last.metadata["temper.validation"]).unwrap();
    let mut logged = lines[2].clone();
    let histogram = logged.as_object_mut().unwrap().remove("histogram").unwrap();
    assert!(histogram.as_array().unwrap().len() > 1, "{histogram}");
    assert_eq!(stated, logged);
    assert_eq!(stated["training"], false);
    assert_eq!(
        (last.metadata["temper.lambda"].as_str(), last.metadata["temper.phi"].as_str()),
        ("1", "features")
    );
    assert_eq!(last.metadata["temper.data"].len(), 64);
}

#[test]
fn a_run_ends_with_an_audit_and_other_runtimes_agree() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(60, 70)]);
    let mut command = harden(folder.path());
    let mut plain = Command::cargo_bin("temper").unwrap();
    plain.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
    plain.args(command.args(["--steps", "2"]).get_args().filter(|flag| *flag != "--no-audit"));
    plain.assert().success().stdout(contains("tract gives the same within").and(contains("A first audit")));
    assert!(folder.path().join("out/audit/report.json").exists());
    assert!(folder.path().join("out/audit/images/0.png").exists());
}

#[test]
fn lr_images_may_be_given_and_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50), (44, 60)]);
    photographs(&folder.path().join("lr"), &[(20, 25), (22, 30)]);
    harden(folder.path()).args(["--steps", "2", "--lr-data", "lr"]).assert().success();
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    photographs(&folder.path().join("lr"), &[(20, 25), (22, 31)]);
    refused(folder.path(), &["--lr-data", "lr"], "lr/1.png has 31x22 pixels and photos/1.png has 60x44");
    fs::remove_file(folder.path().join("lr/1.png")).unwrap();
    refused(folder.path(), &["--lr-data", "lr"], "photos/1.png: no LR image for it in lr");
}

#[test]
fn images_of_every_kind_are_taken_or_skipped_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    photographs(&photos, &[(40, 50)]);
    let header = |kind: &str, levels: &str| format!("{kind}\n50 40\n{levels}\n").into_bytes();
    let grey = [header("P5", "255"), (0..2000u32).map(|at| (at % 251) as u8).collect()].concat();
    fs::write(photos.join("grey.pgm"), grey).unwrap();
    let deep = (0..6000u32).flat_map(|at| ((at * 11 % 65_536) as u16).to_be_bytes()).collect();
    fs::write(photos.join("deep.ppm"), [header("P6", "65535"), deep].concat()).unwrap();
    let (colour, ink) = (jpeg(&[200, 128, 128]), jpeg(&[1, 255, 255, 200]));
    fs::write(photos.join("whole.jpg"), &colour).unwrap();
    fs::write(photos.join("torn.jpg"), &colour[..colour.len() - 20]).unwrap();
    fs::write(photos.join("head.jpg"), &colour[..20]).unwrap();
    fs::write(photos.join("cmyk.jpg"), &ink).unwrap();
    let run = harden(folder.path()).args(["--steps", "2"]).assert().success();
    let (head, torn) = (contains("head.jpg: damaged"), contains("torn.jpg: damaged"));
    run.stderr(contains("on 5 images").and(contains("Skipped 2 images")).and(head).and(torn));
    // Inks, stored as what they leave of the light, become the colours that they make: here cyan.
    let seen = |name: &str| {
        let pixels = temper::image::load(&photos.join(name)).unwrap().pixels;
        [0, 1, 2].map(|channel| (pixels[[channel, 20, 20]] * 255.0).round() as u8)
    };
    assert_eq!(seen("whole.jpg"), [200; 3]);
    assert!(seen("cmyk.jpg")[0] < 3 && seen("cmyk.jpg")[1..].iter().all(|&level| level.abs_diff(200) < 3));
}

/// A JPEG of 50 x 40 pixels (width x height) of one colour in 3 components (Y, Cb, Cr) or, as printers
/// want it, 4 (ITU T.81): only the first block of each says something, its mean.
fn jpeg(colour: &[u8]) -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker], &length[..], content].concat()
    };
    let count = colour.len() as u8;
    let each = |parts: &dyn Fn(u8) -> Vec<u8>| (1..=count).flat_map(parts).collect::<Vec<u8>>();
    let quantisation = [&[0][..], &[1; 64]].concat();
    // `0` is no difference to the block before, and `10` one of ten bits; `0` is no further coefficient.
    let means = [&[0, 1, 1][..], &[0; 14], &[0, 10]].concat();
    let others = [&[0x10, 1][..], &[0; 15], &[0]].concat();
    let frame = [&[8, 0, 40, 0, 50, count][..], &each(&|id| vec![id, 0x11, 0])].concat();
    let scan = [&[count][..], &each(&|id| vec![id, 0]), &[0, 63, 0]].concat();
    let mut bits = String::new();
    for &level in colour {
        let mean = 8 * (i32::from(level) - 128);
        bits += &match mean {
            0 => "00".to_owned(),
            mean => format!("10{:010b}0", if mean < 0 { mean + 1023 } else { mean }),
        };
    }
    bits += &"00".repeat(colour.len() * (5 * 7 - 1));
    let padded = bits.len().next_multiple_of(8);
    bits += &"1".repeat(padded - bits.len());
    let bytes = (0..padded / 8).map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap());
    let data: Vec<u8> =
        bytes.flat_map(|byte| if byte == 0xff { vec![0xff, 0] } else { vec![byte] }).collect();
    let mut file = vec![0xff, 0xd8];
    if count == 4 {
        file.extend(segment(0xee, b"Adobe\0\x64\0\0\0\0\0"));
    }
    for (marker, content) in
        [(0xdb, quantisation), (0xc0, frame), (0xc4, means), (0xc4, others), (0xda, scan)]
    {
        file.extend(segment(marker, &content));
    }
    file.extend(data);
    file.extend([0xff, 0xd9]);
    file
}

#[test]
fn one_image_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(16, 16)]);
    let run = harden(folder.path()).args(["--steps", "2"]).assert().success();
    run.stderr(contains("on 1 images"));
}

/// The model in a file, and what its metadata say was done to it when it was written.
fn exported(path: &Path) -> (onnx::Model, String) {
    let model = onnx::read(path).unwrap();
    let done = model.metadata.get("temper.export").cloned().unwrap_or_default();
    (model, done)
}

#[test]
fn every_network_is_written_in_half_precision_folded_and_of_one_size() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    for (arch, folds) in [("edsr", 0), ("srresnet", 9), ("srgan", 9), ("rcan", 0), ("msrn", 0), ("carn", 0)] {
        let run = |out: &str, flags: &[&str]| {
            let mut command = Command::cargo_bin("temper").unwrap();
            command.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
            command.args(["harden", "--arch", arch, "--preset", "small", "--data", "photos", "--out", out]);
            command.args(["--scale", "2", "--steps", "3", "--batch", "2", "--patch", "8", "--device", "cpu"]);
            let done = command.arg("--no-audit").args(flags).assert().success();
            println!("{arch}: {}", String::from_utf8_lossy(&done.get_output().stdout));
            let (model, exported) = exported(&folder.path().join(out).join("model.onnx"));
            (model, exported, done)
        };
        // Larger than the photograph's LR image, which is then repeated.
        let all = ["--fp16", "--fold-batchnorm", "--fixed", "24x40"];
        let (model, exported, done) = run(&format!("{arch}-exported"), &all);
        done.stdout(contains("(at most 2e-2)").and(contains("tract gives the same within")));
        let told = match folds {
            0 => "no BatchNormalization to fold".to_owned(),
            folds => format!("{folds} BatchNormalizations folded"),
        };
        assert!(exported.contains(&told) && exported.contains("24x40 LR pixels"), "{arch}: {exported}");
        assert!(exported.contains("float16"), "{arch}: {exported}");
        let known = |info: &onnx::ValueInfo| {
            let (dtype, dims) = info.dims().unwrap();
            (dtype, dims.iter().map(|dim| dim.known().unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(known(&model.graph.inputs[0]), (onnx::DType::F32, vec![1, 3, 24, 40]), "{arch}");
        assert_eq!(known(&model.graph.outputs[0]), (onnx::DType::F32, vec![1, 3, 48, 80]), "{arch}");
        assert!(model.graph.nodes.iter().all(|node| node.op != "BatchNormalization"), "{arch}");
        let half = model.graph.initializers.values().all(|tensor| tensor.dtype() == onnx::DType::F16);
        assert!(half, "{arch}");
        // Folded alone it is the same network but for rounding.
        let (folded, ..) = run(&format!("{arch}-folded"), &["--fold-batchnorm"]);
        assert!(folded.graph.nodes.iter().all(|node| node.op != "BatchNormalization"), "{arch}");
    }
}

#[test]
fn export_options_that_make_no_sense_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    for size in ["0x3", "48", "-4x4", "4x", "40000x4", "big"] {
        let message = format!("`{size}` is no size; give height x width in pixels");
        refused(folder.path(), &["--fixed", size], &message);
    }
    fs::write(folder.path().join("run.toml"), "[export]\nfixed = \"7\"\n").unwrap();
    refused(folder.path(), &["--config", "run.toml"], "`7` is no size");
}

/// A file as others make it: our small EDSR for [0, 255], with a number to multiply by as second input.
fn stranger(path: &Path) {
    let trained = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/edsr-small-lambda0.onnx");
    let mut model = onnx::read(&trained).unwrap();
    model.metadata.clear();
    let graph = &mut model.graph;
    let number = |name: &str, value: f32| {
        let tensor = onnx::Attribute::Tensor(onnx::Tensor::scalar(value));
        let attributes = [("value".to_owned(), tensor)].into_iter().collect();
        let outputs = vec![name.to_owned()];
        onnx::Node { op: "Constant".into(), outputs, attributes, ..Default::default() }
    };
    let node = |op: &str, inputs: [&str; 2], output: &str| onnx::Node {
        op: op.into(),
        name: output.to_owned(),
        inputs: inputs.map(str::to_owned).into(),
        outputs: vec![output.to_owned()],
        ..Default::default()
    };
    let image = graph.inputs[0].name.clone();
    graph.inputs[0].name = "bytes".into();
    graph.inputs.push(onnx::ValueInfo::tensor("gain", onnx::DType::F32, [onnx::Dim::Known(1)]));
    let before =
        [number("255", 255.0), node("Div", ["bytes", "255"], "unit"), node("Mul", ["unit", "gain"], &image)];
    graph.nodes.splice(0..0, before);
    let output = graph.outputs[0].name.clone();
    graph.nodes.push(node("Mul", [&output, "255"], "large"));
    graph.outputs[0].name = "large".into();
    onnx::write(&model, path).unwrap();
}

#[test]
fn what_probing_does_not_find_of_a_file_is_stated_by_flags() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(80, 100)]);
    stranger(&folder.path().join("given.onnx"));
    let tune = |flags: &[&str]| {
        let mut command = Command::cargo_bin("temper").unwrap();
        command.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
        command.args(["harden", "--from", "given.onnx", "--data", "photos", "--out", "out", "--no-audit"]);
        command.args(["--steps", "2", "--batch", "2", "--patch", "8", "--device", "cpu"]).args(flags);
        command.assert()
    };
    tune(&[]).code(2).stderr(contains("given.onnx").and(contains("gain")));
    tune(&["--feed", "gian=1"]).code(2).stderr(contains("has no input `gian` to feed"));
    tune(&["--feed", "gain=1", "--layout", "nhwc"]).code(2).stderr(contains("given.onnx"));
    tune(&["--feed", "gain=1", "--range", "0..2"]).code(2).stderr(contains("there is no range `0..2`"));
    assert!(!folder.path().join("out").exists());
    let stated =
        ["--feed", "gain=1", "--range", "0..255", "--layout", "nchw", "--channels", "3", "--scale", "4"];
    tune(&[&stated[..], &["--fixed", "12x16"]].concat())
        .success()
        .stdout(contains("takes one image of 12x16"));
    let config = fs::read_to_string(folder.path().join("out/config.toml")).unwrap();
    for line in ["[recipe.interface]", "range = \"0..255\"", "[recipe.interface.feed]", "gain = [1.0]"] {
        assert!(config.lines().any(|found| found == line), "{line}: {config}");
    }
    let (model, _) = exported(&folder.path().join("out/model.onnx"));
    let inputs = model.graph.required_inputs().map(|input| input.name.as_str()).collect::<Vec<_>>();
    assert_eq!(inputs, ["bytes", "gain"]);
    // The configuration repeats the run.
    let first = fs::read(folder.path().join("out/model.onnx")).unwrap();
    let mut again = Command::cargo_bin("temper").unwrap();
    again.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
    again.args(["harden", "--config", "out/config.toml", "--out", "again"]).assert().success();
    assert!(fs::read(folder.path().join("again/model.onnx")).unwrap() == first);
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    refused(folder.path(), &["--range", "0..255"], "only a file given by --from has one to state");
}

#[test]
fn srgan_starts_from_a_trained_generator() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    let train = |arch: &str, flags: &[&str]| {
        let mut command = Command::cargo_bin("temper").unwrap();
        command.env("OMP_NUM_THREADS", "1").current_dir(folder.path());
        command.args(["harden", "--arch", arch, "--preset", "small", "--data", "photos", "--scale", "2"]);
        command.args(["--batch", "2", "--patch", "8", "--device", "cpu", "--no-audit", "--log-every", "1"]);
        command.args(flags).assert()
    };
    train("srresnet", &["--steps", "60", "--out", "content"]).success();
    let content = ["--steps", "1", "--weights", "content/model.onnx", "--out"];
    train("srgan", &[&content[..], &["tuned"]].concat()).success();
    train("srgan", &["--steps", "1", "--out", "drawn"]).success();
    let first = |out: &str| -> serde_json::Value {
        let log = fs::read_to_string(folder.path().join(out).join("train.jsonl")).unwrap();
        serde_json::from_str(log.lines().next().unwrap()).unwrap()
    };
    let error = |out: &str| first(out)["reconstruction"].as_f64().unwrap();
    assert!(error("tuned") < 0.5 * error("drawn"), "{} {}", error("tuned"), error("drawn"));
    assert!(first("tuned")["adversarial"].is_f64());
    let model = onnx::read(&folder.path().join("tuned/model.onnx")).unwrap();
    assert_eq!(model.metadata["temper.from"].len(), 64);

    let no = |flags: &[&str], message: &str| {
        train("srgan", &[flags, &["--steps", "1", "--out", "no"]].concat()).code(2).stderr(contains(message));
        assert!(!folder.path().join("no").exists());
    };
    no(
        &["--weights", "content/model.onnx", "--features", "8"],
        "no float32 weight `head.weight` of shape [8, 3, 9, 9]",
    );
    no(&["--weights", "absent.onnx"], "absent.onnx: no such file");
    no(&["--weights", "content/model.onnx", "--from", "content/model.onnx"], "cannot be used with");
}

#[test]
fn a_run_that_diverges_names_step_checkpoint_and_causes() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    let flags = ["--lr", "1e30", "--lambda", "0", "--steps", "50", "--save-every", "1"];
    let stopped = harden(folder.path()).args(flags).assert().code(3).stdout("");
    stopped.stderr(
        contains("at step")
            .and(contains("a learning rate that is too high"))
            .and(contains("the last good checkpoint is out/")),
    );
    assert!(!folder.path().join("out/model.onnx").exists());
}

#[test]
fn images_that_change_between_two_parts_of_a_run_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    harden(folder.path()).args(["--steps", "2"]).assert().success();
    photographs(&folder.path().join("photos"), &[(40, 52)]);
    let resumed = harden(folder.path()).args(["--steps", "4", "--resume"]).assert().code(2);
    resumed.stderr(contains("checkpoint.safetensors: was saved by a run on other images"));
}

/// A disk that is full, as far as a process can tell: no file may grow beyond a few kilobytes.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_message_and_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"), &[(40, 50)]);
    let mut shell = std::process::Command::new("bash");
    // A signal that is ignored is an error of the write instead, as on a full disk.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "bash"]);
    shell.arg(assert_cmd::cargo::cargo_bin("temper")).args(harden(folder.path()).get_args());
    shell.args(["--steps", "4", "--save-every", "2"]).current_dir(folder.path()).env("OMP_NUM_THREADS", "1");
    let output = shell.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("out/checkpoint.safetensors: cannot be written: File too large"), "{message}");
    let mut left: Vec<_> =
        fs::read_dir(folder.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["config.toml", "train.jsonl"]);
}
