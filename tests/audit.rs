//! An audit end to end: attacks that find what is known to be there, within their budget to the
//! last bit, the same on every runtime and every time.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Workspace, mix, picture, rows, upscaler};
use ndarray::{Array4, Axis};
use serde_json::Value;
use temper::attack::{Attack, Attacked, Ball, Goal, Settings, parse_budgets, seeded};
use temper::metric::psnr;
use temper::onnx::{GraphBuilder, Model, Tensor};
use temper::oracle::{Objective, Oracle, OracleError};
use temper::runtime::{self, Kind};
use temper::zoo::Edsr;

/// The runtimes of this machine, as a flag takes them.
fn runtimes() -> String {
    let there = |kind: &Kind| match runtime::open(*kind) {
        Ok(_) => true,
        Err(reason) => {
            // Where `make setup` has brought it, it must be there.
            let set_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("native/onnxruntime/lib").exists();
            assert!(*kind == Kind::TORCH || !set_up || std::env::var_os("ORT_DYLIB_PATH").is_some());
            eprintln!("without {kind}: {reason}");
            false
        }
    };
    let names: Vec<&str> = Kind::all().filter(|kind| there(kind)).map(|kind| kind.name()).collect();
    names.join(",")
}

fn oracle(model: Model) -> Oracle {
    let runtime = Arc::from(runtime::open(Kind::TRACT).unwrap());
    Oracle::new(runtime, Arc::new(model), Objective::Distance)
}

/// Attacks a grey-ish image with I-FGSM on tract; gives x0, what the attack gave, and the budget's
/// radius.
fn attack(model: Model, budget: &str, iterations: usize) -> (Array4<f32>, Attacked, f64) {
    let x0 = picture(9, 11).mapv(|value| 0.3 + 0.4 * value).insert_axis(Axis(0));
    let budget = parse_budgets(budget).unwrap()[0];
    let ball = Ball::new(x0.view(), budget.radius());
    let mut oracle = oracle(model);
    let target = oracle.forward(x0.view()).unwrap();
    let mut rng = seeded(0, "x0", Attack::IFGSM, budget);
    let (goal, settings) = (Goal::new(ball, target), Settings { iterations, ..Settings::default() });
    let attacked = Attack::IFGSM.run_one(&mut oracle, &goal, &settings, &mut rng, &mut || Ok(())).unwrap();
    goal.ball.check(attacked.image.view()).unwrap();
    (x0, attacked, budget.radius())
}

/// ||S(a) - S(b)||_2.
fn distance(model: Model, a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let mut oracle = oracle(model);
    let [a, b] = [a, b].map(|x| oracle.forward(x.view()).unwrap());
    a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

/// Where every output is w times the sum of a pixel's three colours, the worst a ball of radius r
/// holds is 3 r w in each of the 12 outputs of a pixel.
#[test]
fn on_a_linear_network_the_attack_finds_the_worst_there_is() {
    const WEIGHT: f32 = 0.25;
    let model = || upscaler(|graph, image| mix(graph, image, WEIGHT));
    let (x0, attacked, radius) = attack(model(), "4", 50);
    let pixels = (x0.shape()[2] * x0.shape()[3]) as f64;
    let worst = 3.0 * radius * f64::from(WEIGHT) * (12.0 * pixels).sqrt();
    let found = distance(model(), &attacked.image, &x0);
    assert!(found <= worst * (1.0 + 1e-4), "{found} is beyond the worst there is, {worst}");
    // What started on the wrong side of x0 ends two steps short of the border.
    assert!(found >= worst * (1.0 - 2.0 / 50.0), "{found} is far from the worst there is, {worst}");
    let rises = attacked.values.windows(2).all(|pair| pair[1] > pair[0]);
    assert!(rises && attacked.values.len() == 50, "{:?}", attacked.values);
}

/// Relu(x - 1/2) has no slope below one half: what lies deeper than the budget stays where the
/// start put it, and what lies above goes to the border.
#[test]
fn on_a_relu_the_attack_moves_what_can_be_moved() {
    let model = || {
        upscaler(|graph: &mut GraphBuilder, image| {
            let half = graph.initializer("half", Tensor::scalar(0.5));
            let above = graph.node("Sub", "above", &[image, &half], []);
            let relu = graph.node("Relu", "relu", &[&above], []);
            mix(graph, &relu, 0.25)
        })
    };
    let (x0, attacked, radius) = attack(model(), "8", 50);
    for (&x, &x0) in attacked.image.iter().zip(&x0) {
        let far_below = f64::from(x0) < 0.5 - 1.1 * radius;
        assert!(!far_below || f64::from((x - x0).abs()) <= radius / 50.0 * 1.001, "{x0} went to {x}");
    }
    let above = attacked.image.iter().zip(&x0).filter(|(_, x0)| **x0 > 0.55);
    let moved: Vec<f64> = above.map(|(x, x0)| f64::from((x - x0).abs())).collect();
    let far = moved.iter().filter(|moved| **moved > 0.9 * radius).count();
    assert!(far * 10 > moved.len() * 9, "{far} of {} moved to the border", moved.len());
}

#[test]
fn budgets_hold_to_the_last_bit() {
    let model = || upscaler(|graph, image| mix(graph, image, 0.25));
    for budget in ["0.1", "1", "3.7", "8", "255"] {
        let (x0, attacked, radius) = attack(model(), budget, 7);
        for (&x, &x0) in attacked.image.iter().zip(&x0) {
            assert!((f64::from(x) - f64::from(x0)).abs() <= radius && (0.0..=1.0).contains(&x));
        }
    }
}

#[test]
fn an_output_that_is_no_number_is_an_error_and_no_verdict() {
    let x = Array4::from_elem((1, 3, 4, 4), 0.5);
    let mut broken = oracle(upscaler(|graph, image| mix(graph, image, f32::NAN)));
    let error = broken.forward(x.view()).unwrap_err();
    assert!(matches!(error, OracleError::NotFinite { count: 192, .. }), "{error}");
    let mut large = oracle(upscaler(|graph, image| mix(graph, image, 3e38)));
    assert!(matches!(large.forward(x.view()), Err(OracleError::NotFinite { .. })));
}

/// What every audit here asks for.
const QUICK: [&str; 8] =
    ["model.onnx", "--images", "photos", "--budget", "1,8", "--iterations", "5", "--runtime"];

fn quick(runtimes: &str) -> Vec<&str> {
    [&QUICK[..], &[runtimes]].concat()
}

/// The report without the part that is allowed to differ.
fn timeless(mut report: Value) -> Value {
    assert!(report.as_object_mut().unwrap().remove("timing").is_some());
    report
}

#[test]
fn the_same_audit_gives_the_same_bytes() {
    let workspace = Workspace::new();
    let runtimes = runtimes();
    let anew = [&quick(&runtimes)[..], &["--no-cache"]].concat();
    let (first, second) = (workspace.audit(&anew), workspace.audit(&anew));
    assert_eq!(first.0, second.0);
    assert_eq!(timeless(first.1), timeless(second.1));
    let other_seed = workspace.audit(&[&quick("tract")[..], &["--seed", "1"]].concat()).1;
    let of = |report: &Value| rows(report)[0]["sr_psnr"].as_f64().unwrap();
    assert_ne!(of(&other_seed), of(&workspace.audit(&quick("tract")).1));
}

#[test]
fn what_happens_to_an_image_does_not_depend_on_the_others() {
    let workspace = Workspace::new();
    let both = workspace.audit(&quick("tract")).1;
    std::fs::remove_file(workspace.path("photos/a.png")).unwrap();
    let alone = workspace.audit(&quick("tract")).1;
    let of_b: Vec<&Value> = rows(&both).iter().filter(|row| row["image"] == "b.png").collect();
    assert_eq!(of_b, rows(&alone).iter().collect::<Vec<_>>());
    assert_eq!(of_b.len(), 2);
}

#[test]
fn a_row_says_who_did_what_to_which() {
    let workspace = Workspace::new();
    let runtimes = runtimes();
    let report = workspace.audit(&quick(&runtimes)).1;
    let count = runtimes.split(',').count();
    assert_eq!(rows(&report).len(), 2 * 2 * count * count, "images x budgets x crafted on x judged on");
    for row in rows(&report) {
        assert_eq!(row["model"], "model.onnx");
        assert_eq!(row["attack"], "ifgsm");
        assert_eq!((&row["iterations"], &row["seed"]), (&Value::from(5), &Value::from(0)));
        assert_eq!(row["model_sha256"], report["models"][0]["sha256"]);
        for key in ["crafted_on", "judged_on"] {
            assert!(runtimes.split(',').any(|name| row[key] == name), "{row}");
        }
        // No pixel moved by more than the budget, so neither did their mean square.
        let least = 20.0 * (255.0 / row["budget"].as_f64().unwrap()).log10();
        assert!(row["lr_psnr"].as_f64().unwrap() >= least - 1e-9, "{row}");
        let [start, end] = ["objective_start", "objective_end"].map(|key| row[key].as_f64().unwrap());
        assert!(end > start, "the attack went nowhere: {row}");
    }
    for runtime in report["runtimes"].as_array().unwrap() {
        assert!(runtime["version"].as_str().unwrap().contains('.'), "{runtime}");
    }
    for key in ["sr_psnr", "lr_psnr", "start", "null"] {
        let conventions = report["conventions"].as_array().unwrap();
        assert!(conventions.iter().any(|convention| convention["name"] == key), "{key} is not explained");
    }
    assert_eq!(report["models"][0]["path"], "model.onnx");
    assert_eq!(report["models"][0]["scale"], 2);
    assert_eq!(report["gradient_checks"].as_array().unwrap().len(), count);
}

#[test]
fn every_runtime_comes_to_the_same_verdict() {
    let workspace = Workspace::new();
    let report = workspace.audit(&quick(&runtimes())).1;
    let mut cells: Vec<(f64, f64)> = Vec::new();
    for cell in report["summary"].as_array().unwrap() {
        let [budget, found] = ["budget", "sr_psnr"].map(|key| cell[key].as_f64().unwrap());
        match cells.iter().find(|(known, _)| *known == budget) {
            Some((_, first)) => assert!((found - first).abs() <= 0.1, "{found} here, {first} there: {cell}"),
            None => cells.push((budget, found)),
        }
    }
    assert!(cells.len() == 2 && cells[0].1 > cells[1].1, "a larger budget does more harm: {cells:?}");
}

#[test]
fn an_attack_does_more_harm_than_noise_of_its_size() {
    let workspace = Workspace::new();
    let model = temper::onnx::read(&workspace.path("model.onnx")).unwrap();
    let (x0, attacked, radius) = attack(model.clone(), "4", 10);
    let sign = |index: usize| if (index * 2654435761) >> 13 & 1 == 0 { 1.0 } else { -1.0 };
    let noise: Vec<f32> = (0..x0.len()).map(|index| sign(index) * radius as f32).collect();
    let noisy = &x0 + &Array4::from_shape_vec(x0.raw_dim(), noise).unwrap();
    let sr_psnr = |x: &Array4<f32>| {
        let mut oracle = oracle(model.clone());
        let [clean, x] = [&x0, x].map(|x| oracle.forward(x.view()).unwrap());
        psnr(clean.index_axis(Axis(0), 0), x.index_axis(Axis(0), 0)).unwrap()
    };
    let (attacked, noisy) = (sr_psnr(&attacked.image), sr_psnr(&noisy));
    assert!(attacked < noisy - 1.0, "{attacked} dB under attack, {noisy} dB under noise");
}

#[test]
fn models_of_one_name_are_told_apart() {
    let workspace = Workspace::new();
    workspace.network("lambda0/model.onnx", 2, 1);
    workspace.network("lambda1/model.onnx", 2, 2);
    let models = ["lambda0/model.onnx", "lambda1/model.onnx"];
    let (table, report) = workspace.audit(&[&models[..], &quick("tract")[1..]].concat());
    for (name, of) in models.iter().zip(report["models"].as_array().unwrap()) {
        assert!(table.contains(name), "{table}");
        assert!(of["name"] == *name && rows(&report).iter().any(|row| row["model"] == *name));
    }
    assert_ne!(report["models"][0]["sha256"], report["models"][1]["sha256"]);
}

#[test]
fn lr_images_are_made_from_ground_truth_at_the_scale_of_each_model() {
    let workspace = Workspace::empty();
    workspace.network("two.onnx", 2, 0);
    workspace.network("three.onnx", 3, 0);
    workspace.photo("truth/odd.png", 47, 50);
    let flags = ["--truth", "truth", "--budget", "4", "--iterations", "1", "--runtime", "tract"];
    let (table, report) = workspace.audit(&[&["two.onnx", "three.onnx"], &flags[..]].concat());
    let sizes: Vec<&Value> =
        report["images"].as_array().unwrap().iter().map(|image| &image["size"]).collect();
    assert_eq!(sizes, [&serde_json::json!([23, 25]), &serde_json::json!([15, 16])]);
    for clean in report["clean"].as_array().unwrap() {
        // Random weights upscale worse than bicubic does.
        assert!(clean["psnr"].as_f64().unwrap() < clean["bicubic_psnr"].as_f64().unwrap(), "{clean}");
        assert!(clean["ssim"].as_f64().unwrap() <= 1.0);
    }
    assert!(table.contains("bicubic"), "{table}");
}

/// What `--memory` is compared with is no less than what the attacks then took, and not many times it.
/// Linux says how much memory a process held.
#[cfg(target_os = "linux")]
#[test]
fn an_audit_stays_below_its_bound_on_memory() {
    /// The program, its libraries and the images.
    const ITSELF: f64 = 300e6;
    let workspace = Workspace::empty();
    let network = Edsr { features: 16, blocks: 2, scale: 4 };
    workspace.model("model.onnx", &network.build(0).unwrap());
    workspace.photo("photos/a.png", 120, 144);
    let runtimes = runtimes();
    let flags =
        ["model.onnx", "--images", "photos", "--iterations", "2", "--budget", "4", "--runtime", &runtimes];
    let (_, report) = workspace.audit(&flags);
    let peak = report["timing"]["peak_memory"].as_f64().unwrap();
    let bound = report["models"][0]["memory_bound"].as_f64().unwrap();
    assert!(peak < bound + ITSELF && bound < 5.0 * peak, "held {peak:e}, bound {bound:e}");
}
