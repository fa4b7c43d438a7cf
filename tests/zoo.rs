//! The networks as they are used: each trains at its small setting until it overfits one image,
//! and what is exported gives one output and one gradient on every runtime.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

#[path = "common/question.rs"]
mod question;
#[path = "common/trials.rs"]
mod trials;

use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{Array3, ArrayD, Axis};
use question::{Question, relative};
use temper::harden::{Event, Recipe, Record, Settings, Start, harden};
use temper::image::save_png;
use temper::metric::{bicubic, downscale_8_bit};
use temper::onnx::{self, Model};
use temper::rewrite::specialise;
use temper::runtime::{self, Kind};
use temper::torch;
use temper::zoo::{Arch, Discriminator, Network, Preset};
use trials::{runtime as need, trial};

const SCALE: usize = 2;
const SIDE: usize = 48;

/// Shades, edges and fine stripes, as photographs have them; the same on every machine.
fn picture() -> Array3<f32> {
    Array3::from_shape_fn((3, SIDE, SIDE), |(c, y, x)| {
        let (y, x, c) = (y as f32, x as f32, c as f32);
        let shades = 0.15 * (0.09 * x + 0.05 * y + c).sin();
        let stripes = 0.12 * (1.9 * x - 0.8 * y).sin() + 0.08 * (0.7 * y + 0.3 * c).cos();
        let edge = if (x - 25.0).hypot(y - 20.0) < 13.0 { 0.2 } else { -0.15 };
        ((0.5 + shades + stripes + edge) * 255.0).round().clamp(0.0, 255.0) / 255.0
    })
}

/// Settings that take seconds: the one image is one crop, in its eight flips and turns.
fn recipe(arch: Arch) -> Recipe {
    let (steps, learning_rate) = (STEPS, 2e-3);
    let (preset, scale, batch, patch) = (Preset::Small, SCALE, 4, SIDE / SCALE);
    Recipe { size: preset, scale, steps, batch, patch, learning_rate, halve_every: 150, ..Recipe::of(arch) }
}

const STEPS: u64 = 300;

fn settings(recipe: Recipe, folder: &Path) -> Settings {
    let data = folder.join("data");
    if !data.exists() {
        std::fs::create_dir(&data).unwrap();
        save_png(&data.join("picture.png"), picture().view()).unwrap();
    }
    let out = folder.join("out");
    Settings::new(recipe, data, out)
}

struct Trained {
    arch: Arch,
    model: Model,
    log: Vec<Record>,
}

/// Every network after its training; the exported file is read back.
static TRAINED: LazyLock<Vec<Trained>> = LazyLock::new(|| {
    torch::set_threads(1);
    let train = |arch: Arch| {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Vec::new();
        let mut watch = |event: Event<'_>| {
            if let Event::Logged(record) = event {
                log.push(record.clone());
            }
        };
        let settings = settings(recipe(arch), folder.path());
        let outcome = harden(&settings, Start::Fresh, &AtomicBool::new(false), &mut watch).unwrap();
        assert_eq!(outcome.difference, 0.0, "{arch}: the file is not what was trained");
        Trained { arch, model: onnx::read(&outcome.files[0]).unwrap(), log }
    };
    Arch::ALL.map(train).into()
});

fn on(kind: Kind, model: &Model, image: &ArrayD<f32>) -> ArrayD<f32> {
    let fixed = specialise(model, &[image.shape()]).unwrap();
    runtime::open(kind).unwrap().load(&fixed).unwrap().run(&[image.view()]).unwrap().remove(0)
}

/// The output of a runtime, which lies within 1e-4 of the output's range from libtorch's.
#[track_caller]
fn one_output(model: &Model, image: &ArrayD<f32>, kind: Kind) -> ArrayD<f32> {
    let expected = on(Kind::TORCH, model, image);
    let most = expected.fold(f32::MIN, |a, &b| a.max(b));
    let range = most - expected.fold(f32::MAX, |a, &b| a.min(b));
    let found = on(kind, model, image);
    let worst = found.iter().zip(&expected).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst <= 1e-4 * range, "{worst} of a range of {range}");
    found
}

/// A part of the picture with sides that no stride divides.
fn part(height: usize, width: usize) -> ArrayD<f32> {
    picture().slice_move(ndarray::s![.., ..height, ..width]).insert_axis(Axis(0)).into_dyn()
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for arch in Arch::ALL {
        tests.push(trial(format!("overfits one image: {arch}"), move || trains_until_it_overfits(arch)));
        for kind in [Kind::ORT, Kind::TRACT] {
            let mut on_each = |what: &str, test: fn(Arch, Kind)| {
                let name = format!("{what}: {arch} on {kind}");
                tests.push(need(kind).trial(name, move |kind| test(arch, kind)));
            };
            on_each("the export gives libtorch's output", |arch, kind| {
                one_output(&trained(arch).model, &part(19, 26), kind);
            });
            on_each("the export has libtorch's gradient", the_export_has_one_gradient);
            on_each("the full size builds, exports and runs", the_full_size_runs);
        }
        tests.push(trial(format!("every scale gives an image of its size: {arch}"), move || {
            every_scale(arch)
        }));
    }
    for kind in [Kind::ORT, Kind::TRACT] {
        let name = format!("the discriminator gives one logit per image of any size, on {kind}");
        tests.push(need(kind).trial(name, one_logit_per_image));
    }
    // Those whose training has a state of its own.
    for arch in [Arch::SrResNet, Arch::Srgan] {
        let name = format!("a resumed run is the run that never stopped: {arch}");
        tests.push(trial(name, move || resumes_exactly(arch)));
    }
    tests.push(trial("running statistics are exported", running_statistics_are_exported));
    tests.push(trial("a content loss on features trains", a_content_loss_on_features_trains));
    tests.push(trial("bicubic does not give the picture", bicubic_does_not_give_the_picture));
    trials::run(tests)
}

fn trained(arch: Arch) -> &'static Trained {
    TRAINED.iter().find(|trained| trained.arch == arch).unwrap()
}

fn trains_until_it_overfits(arch: Arch) {
    let target = picture();
    let lr = downscale_8_bit(target.view(), SCALE);
    let error = |image: &Array3<f32>| f64::from((image - &target).mapv(f32::abs).mean().unwrap());
    let by_bicubic = error(&bicubic(lr.view(), SIDE, SIDE));
    let Trained { model, log, .. } = trained(arch);
    let (first, last) = (&log[0], &log[log.len() - 1]);
    let output = on(Kind::TORCH, model, &lr.insert_axis(Axis(0)).into_dyn());
    let learned = error(&output.index_axis_move(Axis(0), 0).into_dimensionality().unwrap());
    assert!(last.reconstruction < 0.5 * first.reconstruction, "{first:?} {last:?}");
    assert!(last.entropy < first.entropy, "{first:?} {last:?}");
    assert!(learned < 0.7 * by_bicubic, "{learned} against {by_bicubic} of bicubic");
    assert_eq!(last.discriminator.is_some(), arch == Arch::Srgan);
}

fn the_export_has_one_gradient(arch: Arch, kind: Kind) {
    let question = Question::new(trained(arch).model.clone(), [9, 11]);
    let error = relative(&question.by_graph(kind), &question.by_autograd());
    assert!(error <= 1e-4, "{error:e}");
}

fn the_full_size_runs(arch: Arch, kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let network = Network { arch, preset: Preset::Full, features: None, blocks: None, scale: 4 };
    let path = folder.path().join(format!("{arch}.onnx"));
    onnx::write(&network.build(1).unwrap(), &path).unwrap();
    let output = one_output(&onnx::read(&path).unwrap(), &part(6, 5), kind);
    assert_eq!(output.shape(), [1, 3, 24, 20]);
    assert!(output.iter().all(|value| value.is_finite()));
}

fn every_scale(arch: Arch) {
    for &scale in arch.scales() {
        let network = Network { arch, preset: Preset::Small, features: None, blocks: None, scale };
        let output = on(Kind::TORCH, &network.build(1).unwrap(), &part(5, 7));
        assert_eq!(output.shape(), [1, 3, 5 * scale, 7 * scale], "x{scale}");
    }
}

fn one_logit_per_image(kind: Kind) {
    let model = Discriminator { features: 4 }.build(3).unwrap();
    for (height, width) in [(1, 1), (24, 24), (33, 17)] {
        assert_eq!(on(kind, &model, &part(height, width)).shape(), [1, 1]);
    }
    let batch = ndarray::concatenate(Axis(0), &[part(24, 24).view(), part(24, 24).mapv(|v| 1.0 - v).view()]);
    assert_eq!(one_output(&model, &batch.unwrap(), kind).shape(), [2, 1]);
}

/// BatchNormalization's running statistics, and SRGAN's discriminator with its own, are in the
/// checkpoint: nothing else would give the same file.
fn resumes_exactly(arch: Arch) {
    let files = [false, true].map(|stops| {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe { steps: 6, features: Some(4), ..recipe(arch) };
        let (settings, mut start) = (settings(recipe, folder.path()), Start::Fresh);
        if stops {
            let stop = AtomicBool::new(false);
            let mut watch = |event: Event<'_>| {
                if let Event::Step { done } = event {
                    stop.store(done >= 3, Ordering::Relaxed);
                }
            };
            assert!(harden(&settings, start, &stop, &mut watch).unwrap().interrupted);
            start = Start::Resume;
        }
        let outcome = harden(&settings, start, &AtomicBool::new(false), &mut |_| {}).unwrap();
        std::fs::read(&outcome.files[0]).unwrap()
    });
    assert!(files[0] == files[1], "the resumed run gave another file");
}

fn running_statistics_are_exported() {
    let trained = trained(Arch::SrResNet);
    let norms = trained.model.graph.nodes.iter().filter(|node| node.op == "BatchNormalization");
    for norm in norms {
        for (input, start) in [(3, 0.0), (4, 1.0)] {
            let name = norm.input(input).unwrap();
            let values = trained.model.graph.initializers[name].as_f32().unwrap();
            assert!(values.iter().all(|&value| value != start && value.is_finite()), "{name}");
        }
        assert!(norm.attributes.get("training_mode").is_none() && norm.outputs.len() == 1);
    }
}

fn a_content_loss_on_features_trains() {
    let folder = tempfile::tempdir().unwrap();
    // Any network of images serves: the features of an untrained discriminator's second block.
    let path = folder.path().join("features.onnx");
    onnx::write(&Discriminator { features: 8 }.build(9).unwrap(), &path).unwrap();
    let (vgg, vgg_tap) = (Some(path), Some("body.1.relu".into()));
    let mut settings = settings(Recipe { steps: 40, vgg, vgg_tap, ..recipe(Arch::Srgan) }, folder.path());
    let mut errors = Vec::new();
    let mut watch = |event: Event<'_>| {
        if let Event::Logged(record) = event {
            errors.push(record.reconstruction);
        }
    };
    harden(&settings, Start::Fresh, &AtomicBool::new(false), &mut watch).unwrap();
    assert!(errors[3] < errors[0], "{errors:?}");
    let other = folder.path().join("other");
    settings.recipe.vgg_tap = Some("nothing".into());
    settings.run.out = Some(other.clone());
    let error = harden(&settings, Start::Fresh, &AtomicBool::new(false), &mut |_| {}).err().unwrap();
    assert!(error.is_bad_input() && error.to_string().contains("called `nothing`"), "{error}");
    assert!(!other.exists());
}

/// The picture is not flat, so that there is something to learn.
fn bicubic_does_not_give_the_picture() {
    let target = picture();
    let lr = downscale_8_bit(target.view(), SCALE);
    let large = bicubic(lr.view(), SIDE, SIDE);
    assert!((large - &target).mapv(f32::abs).mean().unwrap() > 0.02);
}
