//! Certificates by median smoothing: never above what the worst attack of the radius leaves, where that is
//! known, and the same every time.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests

mod common;

use common::{Workspace, mix, upscaler};
use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use temper::image::save_png;

const AUDIT: &str =
    "model.onnx --images photos --range 0..1 --runtime tract --attack random --budget 4 --certify";

fn audit(workspace: &Workspace, more: &str) -> (String, Value) {
    let words = format!("{AUDIT} {more}");
    workspace.audit(&words.split(' ').collect::<Vec<_>>())
}

/// A standard normal number, as the sum of twelve uniform ones: near enough for a median.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// Every output is w times the sum of a pixel's three colours, so a perturbation d of length r does the most
/// where it is the same in all three, and moves the sums by sqrt(3) r in all. Under noise the squared error is
/// w^2 times the sum over pixels of (sqrt(3) (r e + n))^2, with e any unit vector and n the noise along it.
#[test]
fn on_a_linear_network_no_attack_of_the_radius_leaves_less() {
    const SIDE: usize = 6;
    const WEIGHT: f64 = 0.125;
    const SIGMA: f64 = 8.0 / 255.0;
    let workspace = Workspace::empty();
    workspace.model("model.onnx", &upscaler(|graph, image| mix(graph, image, WEIGHT as f32)));
    std::fs::create_dir(workspace.path("photos")).unwrap();
    // Far from both ends of the range, so that nothing is clipped.
    save_png(&workspace.path("photos/a.png"), Array3::from_elem((3, SIDE, SIDE), 0.5).view()).unwrap();
    let (table, report) = audit(&workspace, "8 --certify-draws 4000");
    let certificate = &report["certificates"][0];
    let bounds = certificate["bounds"].as_array().unwrap();
    assert_eq!(bounds.len(), 4, "{certificate}");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for bound in bounds {
        let number = |key: &str| bound[key].as_f64().unwrap();
        let radius = number("radius");
        assert!((number("rms") - 255.0 * radius / ((3 * SIDE * SIDE) as f64).sqrt()).abs() < 1e-9);
        let mut errors: Vec<f64> = (0..4001)
            .map(|_| {
                let along = (0..SIDE * SIDE).map(|pixel| {
                    let shift = if pixel == 0 { radius } else { 0.0 };
                    shift + SIGMA * normal(&mut rng)
                });
                3.0 * WEIGHT * WEIGHT * along.map(|moved| moved * moved).sum::<f64>() / (SIDE * SIDE) as f64
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        let worst = -10.0 * errors[2000].log10();
        println!("radius {radius:.4}: certified {:.2} dB, worst {worst:.2} dB", number("at_least"));
        assert!(number("at_least") <= worst, "{bound}, and the worst attack leaves {worst}");
        assert!(number("at_least") > worst - 3.0, "{bound} says little of {worst}");
    }
    assert!(certificate["median"].as_f64().unwrap() > bounds[0]["at_least"].as_f64().unwrap());
    assert!(
        table.contains("certified by median smoothing with noise of 8/255 (4000 draws an image, 99.9%"),
        "{table}"
    );
}

#[test]
fn a_certificate_is_the_same_every_time_and_taken_behind_a_pre_processing_too() {
    let workspace = Workspace::new();
    let run = || {
        audit(&workspace, "4 --certify-draws 30 --preprocess jpeg=75,resize=0.8").1["certificates"].clone()
    };
    let first = run();
    assert_eq!(first, run());
    let found = first.as_array().unwrap();
    assert_eq!(found.len(), 3 * 2, "models x images");
    let names: Vec<&str> = found.iter().map(|found| found["model"].as_str().unwrap()).collect();
    assert_eq!(names[2..4], ["model.onnx + jpeg=75"; 2]);
    for certificate in found {
        assert!(certificate["bounds"].as_array().unwrap().len() < 4, "30 draws are too few for two sigmas");
        assert_eq!(
            (&certificate["confidence"], &certificate["sigma"]),
            (&Value::from(0.999), &Value::from(4.0))
        );
    }
}

#[test]
fn what_cannot_be_certified_is_said() {
    let workspace = Workspace::new();
    let refused = |more: &str| {
        let words = format!("audit model.onnx --images photos --out out {more}");
        workspace.refused(&words.split(' ').collect::<Vec<_>>(), 2)
    };
    assert!(refused("--certify 0").contains("`0` is no deviation"));
    assert!(refused("--certify x").contains("such as 4"));
    assert!(refused("--certify 4 --certify-draws 0").contains("--certify-draws"));
    assert!(refused("--certify-draws 10").contains("--certify <SIGMA>"));
}
