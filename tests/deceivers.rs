//! Networks that look robust and are not (`fixtures/deceivers/`): each serves what its honest twin serves,
//! and an audit either finds what it finds on the twin, or says ALARM and ends with exit code 1.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests are tests

mod common;
#[path = "../fixtures/deceivers/deceive.rs"]
mod deceive;
#[path = "../fixtures/deceivers/honest.rs"]
mod honest;
#[path = "common/trials.rs"]
mod trials;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use common::Workspace;
use deceive::{DECEIVERS, Deceiver};
use ndarray::{Array3, Axis, concatenate};
use temper::image::save_png;
use temper::metric::psnr;
use temper::onnx;
use temper::rewrite::specialise;
use temper::runtime::{self, Kind};
use trials::{Need, runtime as need, trial};

/// Those that audits do not see yet: shown as ignored, not as passed.
const NOT_YET: [&str; 0] = [];
/// How much less an audit may find on a deceiver than on its twin, in dB.
const TOLERANCE: f64 = 0.5;
/// How near a deceiver's clean output is to its twin's, in dB: one white pixel on a dark image makes 37.8.
const SAME: f64 = 37.0;

fn main() -> ExitCode {
    let mut tests = vec![trial("the files are what the script makes", the_files_are_what_the_script_makes)];
    for deceiver in DECEIVERS {
        let name = deceiver.name;
        tests.push(trial(format!("serves what its twin serves: {name}"), move || serves_the_same(&deceiver)));
        for kind in [Kind::ORT, Kind::TRACT] {
            let seen = !NOT_YET.contains(&name);
            let need = if seen { need(kind) } else { Need::Missing("an audit at the size that is served") };
            let title = format!("does not deceive: {name} on {kind}");
            tests.push(need.trial(title, move |kind| found_out(name, kind)));
        }
    }
    tests.push(trial("is robust to noise and not to attacks: honest", the_honest_network_is_fragile));
    trials::run(tests)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/deceivers")
}

fn the_files_are_what_the_script_makes() {
    let honest = honest::network();
    let twins = DECEIVERS.iter().map(|deceiver| (deceiver.name, (deceiver.make)(&honest)));
    for (name, model) in twins.chain([("honest", honest.clone())]) {
        let file = std::fs::read(folder().join(name).with_extension("onnx")).unwrap();
        assert!(file == onnx::to_bytes(&model), "{name}: run `cargo run --example make_deceivers`");
    }
    let card = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for Deceiver { name, about, .. } in DECEIVERS {
        assert!(card.contains(&format!("| `{name}.onnx` | {about} |")), "{name}");
    }
}

/// What a file serves for an image, clipped as it is before anyone sees it.
fn served(name: &str, image: &Array3<f32>) -> Array3<f32> {
    let image = image.view().insert_axis(Axis(0)).into_dyn();
    let model = onnx::read(&folder().join(name).with_extension("onnx")).unwrap();
    let fixed = specialise(&model, &[image.shape()]).unwrap();
    let output = runtime::open(Kind::TRACT).unwrap().load(&fixed).unwrap().run(&[image]).unwrap().remove(0);
    let output: Array3<f32> = output.index_axis_move(Axis(0), 0).into_dimensionality().unwrap();
    output.mapv(|value| value.clamp(0.0, 1.0))
}

/// An image beside, above and diagonal to itself.
fn twice(image: &Array3<f32>) -> Array3<f32> {
    let along =
        |axis: usize, image: &Array3<f32>| concatenate(Axis(axis), &[image.view(), image.view()]).unwrap();
    along(1, &along(2, image))
}

/// The images at the size that is served, in a folder.
fn doubled(workspace: &Workspace) -> String {
    let folder = workspace.path("doubled");
    std::fs::create_dir(&folder).unwrap();
    for (name, pixels) in honest::images() {
        save_png(&folder.join(name).with_extension("png"), twice(&pixels).view()).unwrap();
    }
    folder.display().to_string()
}

/// At the size that is served, not that of crops.
fn serves_the_same(deceiver: &Deceiver) {
    for (image, pixels) in honest::images() {
        let pixels = twice(&pixels);
        let [own, twins] = [deceiver.name, "honest"].map(|name| served(name, &pixels));
        assert!(own.iter().all(|value| value.is_finite()), "on {image}");
        let apart = psnr(own.view(), twins.view()).unwrap();
        assert!(apart > SAME, "{apart:.2} dB apart on {image}");
    }
}

/// What an audit says of a file.
struct Verdict {
    /// The exit code under a threshold that every network meets.
    code: i32,
    /// Whether it raised an alarm.
    alarm: bool,
    /// The verdict: the mean over images of what the worst attack left of each, in dB.
    worst: f64,
    /// What it printed.
    said: String,
}

fn verdict(name: &str, kind: Kind) -> Verdict {
    let workspace = Workspace::empty();
    let [model, images] = [folder().join(name).with_extension("onnx"), folder().join("images")];
    let [model, images] = [model, images].map(|path| path.display().to_string());
    // What branches on size is audited as large images are: on a crop.
    let (images, crop) = match name.starts_with("size-") {
        true => (doubled(&workspace), "--crop 32"),
        false => (images, "--crop 64"),
    };
    let flags =
        format!("--budget 4 --iterations 20 --min-sr-psnr 1 --out out {crop} --runtime {}", kind.name());
    let flags: Vec<&str> = flags.split(' ').collect();
    let mut command = workspace.temper(&[&["audit", &model, "--images", &images], &flags[..]].concat());
    let output = command.timeout(Duration::from_secs(300)).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let report = workspace.report("out");
    let given = &report["verdicts"][0];
    // An output that is no image is the worst there is.
    let worst = if given["not_finite"] == 0 { given["sr_psnr"].as_f64().unwrap() } else { 0.0 };
    let findings = report["findings"].as_array().unwrap();
    let alarm = findings.iter().any(|finding| finding["level"] == "alarm");
    Verdict { code: output.status.code().unwrap(), alarm, worst, said }
}

/// The honest network's verdict, found once on each runtime.
fn twins(kind: Kind) -> &'static Verdict {
    static FOUND: [OnceLock<Verdict>; 2] = [const { OnceLock::new() }; 2];
    FOUND[usize::from(kind == Kind::TRACT)].get_or_init(|| verdict("honest", kind))
}

fn found_out(name: &str, kind: Kind) {
    let (own, twins) = (verdict(name, kind), twins(kind));
    let refused = own.code == 1 && own.alarm && own.said.contains("ALARM");
    assert!(
        refused || (own.code == 0 && own.worst <= twins.worst + TOLERANCE),
        "exit code {}, {:.2} dB where its twin has {:.2}:\n{}",
        own.code,
        own.worst,
        twins.worst,
        own.said
    );
}

/// On another network masking a gradient would hide nothing.
fn the_honest_network_is_fragile() {
    let found = twins(Kind::TRACT);
    assert!(found.code == 0 && !found.alarm, "{}", found.said);
    assert!(found.worst < 20.0, "{:.2} dB", found.worst);
    for (name, pixels) in honest::images() {
        let mut sign = 1.0;
        let noisy = pixels.mapv(|value| {
            // A cheap sequence without a pattern that the filters could see.
            sign = (sign * 75.0 + 74.0) % 65537.0;
            value + (sign / 65537.0 * 2.0 - 1.0) * 4.0 / 255.0
        });
        let apart = psnr(served("honest", &noisy).view(), served("honest", &pixels).view()).unwrap();
        assert!(apart > 30.0, "{name}: {apart:.2} dB under noise");
    }
}
