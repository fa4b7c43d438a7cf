//! What an audit measures beside its attacks: smallest budgets, one perturbation for all, siblings; and what
//! limits an attack: masks and batches.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod common;

use common::{Workspace, apart, picture, rippled, rows, upscaler};
use ndarray::Array3;
use serde_json::Value;
use temper::image::save_png;

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn audit(workspace: &Workspace, flags: &str) -> (String, Value) {
    workspace.audit(&words(&format!("model.onnx --runtime tract --no-cache {flags}")))
}

fn refused(workspace: &Workspace, flags: &str) -> String {
    workspace.refused(&words(&format!("audit model.onnx --runtime tract --out out {flags}")), 2)
}

/// Every pixel of an image four times.
fn enlarged(image: &Array3<f32>, lighter: f32) -> Array3<f32> {
    let (_, height, width) = image.dim();
    Array3::from_shape_fn((3, 2 * height, 2 * width), |(c, y, x)| image[[c, y / 2, x / 2]] + lighter)
}

/// A network that enlarges, and ground truth that is eight levels lighter than what it gives. Where an attack
/// moves every value by e to either side, the mean square of the luma is c^2 + (0.299^2 + 0.587^2 + 0.114^2)
/// e^2 and doubles at e = 1.497 c; where it moves all of them away from the truth it is (c + e)^2, and
/// doubles at 0.414 c.
#[test]
fn the_smallest_budget_that_costs_three_decibels_is_found() {
    let workspace = Workspace::empty();
    workspace.model("model.onnx", &upscaler(apart));
    let image = picture(30, 32).mapv(|value| ((0.3 + 0.4 * value) * 255.0).round() / 255.0);
    for (folder, image) in [("photos", &image), ("truth", &enlarged(&image, 8.0 / 255.0))] {
        std::fs::create_dir(workspace.path(folder)).unwrap();
        save_png(&workspace.path(folder).join("a.png"), image.view()).unwrap();
    }
    let flags = "--images photos --truth truth --iterations 20 --budget 1 --cost 3.0103";
    let found = |more: &str, expected: f64| {
        let (table, report) = audit(&workspace, &format!("{flags} {more}"));
        let smallest = &report["minimal_budgets"][0];
        let number = |name: &str| smallest[name].as_f64().unwrap();
        let (budget, below) = (number("budget"), number("below"));
        assert!((budget / expected - 1.0).abs() < 0.1, "{budget} where {expected} was to be found");
        assert!(below < budget && budget - below <= budget / 8.0, "{smallest}");
        let clean = report["clean"][0]["psnr"].as_f64().unwrap();
        assert!(clean - number("psnr") >= 3.0103, "{smallest}");
        assert!(table.contains("ifgsm costs 3.0103 dB of PSNR at "), "{table}");
    };
    found("", 1.497 * 8.0);
    found("--objective truth", 0.414 * 8.0);
    let unhurt = audit(&workspace, &flags.replace("3.0103", "90")).1;
    assert_eq!(unhurt["minimal_budgets"][0]["budget"], Value::Null);
    assert_eq!(unhurt["minimal_budgets"][0]["below"], 64.0);
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let untold = refused(&workspace, "--images photos --cost 3");
    assert!(untold.contains("a.png: has no ground truth") && untold.contains("--truth"), "{untold}");
    assert!(refused(&workspace, "--images photos --cost 0").contains("`0` is no number of dB"));
}

/// A workspace of four pictures of one size.
fn of_one_size() -> Workspace {
    let workspace = Workspace::empty();
    workspace.network("model.onnx", 2, 0);
    for (index, name) in ["a", "b", "c", "d"].iter().enumerate() {
        let shift = index as f32 * 0.05;
        std::fs::create_dir_all(workspace.path("photos")).unwrap();
        let path = workspace.path("photos").join(format!("{name}.png"));
        save_png(&path, picture(20, 22).mapv(|value| (value * 0.8 + shift).clamp(0.0, 1.0)).view()).unwrap();
    }
    workspace
}

#[test]
fn one_perturbation_is_judged_on_images_it_was_not_found_with() {
    let workspace = of_one_size();
    let flags = "--images photos --budget 8 --iterations 10 --universal";
    let (table, report) = audit(&workspace, flags);
    let universal = report["universal"].as_array().unwrap();
    let seen: Vec<bool> = universal.iter().map(|one| one["seen"].as_bool().unwrap()).collect();
    assert_eq!(seen, [true, false, true, false]);
    for (one, noise) in universal.iter().zip(report["noise"].as_array().unwrap()) {
        let [found, noise] = [one, noise].map(|row| row["sr_psnr"].as_f64().unwrap());
        assert!(found < noise - 1.0, "{found} dB, and {noise} dB under noise");
    }
    assert!(table.contains("one perturbation of 8/255, found with 2 images, leaves "), "{table}");
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    workspace.photo("photos/e.png", 20, 24);
    let unequal = refused(&workspace, &flags.replace("--images", "--seed 0 --images"));
    assert!(unequal.contains("e.png has 20x24, and one") && unequal.contains("--crop"), "{unequal}");
    audit(&workspace, &format!("{flags} --crop 20"));
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    workspace.photo("single/a.png", 20, 24);
    assert!(refused(&workspace, "--images single --universal").contains("give two or more"));
}

#[test]
fn a_mask_is_a_region_as_a_picture() {
    let workspace = of_one_size();
    let mut mask = Array3::zeros((3, 20, 22));
    mask.slice_mut(ndarray::s![1, 4..12, 3..9]).fill(1.0);
    save_png(&workspace.path("mask.png"), mask.view()).unwrap();
    let flags = "--images photos --budget 8 --iterations 5";
    let masked = audit(&workspace, &format!("{flags} --mask mask.png")).1;
    let region = audit(&workspace, &format!("{flags} --region 3,4,6,8")).1;
    assert_eq!((&masked["rows"], &masked["noise"]), (&region["rows"], &region["noise"]));
    assert!(masked["settings"]["mask"].is_string() && region["settings"]["mask"].is_null());
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let both = refused(&workspace, "--images photos --mask mask.png --region 3,4,6,8");
    assert!(both.contains("cannot be used with"), "{both}");
    let size = refused(&workspace, "--images photos --crop 16 --mask mask.png");
    assert!(size.contains("the mask has 20x22 pixels") && size.contains("a.png"), "{size}");
    save_png(&workspace.path("mask.png"), Array3::zeros((3, 20, 22)).view()).unwrap();
    assert!(refused(&workspace, "--images photos --mask mask.png").contains("leaves no pixel to attack"));
}

#[test]
fn a_batch_changes_the_pace_and_not_the_verdict() {
    let workspace = of_one_size();
    workspace.photo("photos/e.png", 20, 24);
    let flags = "--images photos --budget 8 --iterations 5 --queries 10 --attack ifgsm,square";
    let alone = audit(&workspace, flags).1;
    let together = audit(&workspace, &format!("{flags} --batch 3")).1;
    assert_eq!(rows(&alone).len(), rows(&together).len());
    for (alone, together) in rows(&alone).iter().zip(rows(&together)) {
        assert_eq!((&alone["image"], &alone["attack"]), (&together["image"], &together["attack"]));
        let [one, other] = [alone, together].map(|row| row["sr_psnr"].as_f64().unwrap());
        assert!((one - other).abs() < 0.2, "{one} alone, {other} among others");
    }
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    assert!(refused(&workspace, "--images photos --batch 0").contains("--batch"));
}

/// A model that hides its slope behind ripples does not pass the gradient check, and is broken all the same by
/// what was crafted for one that does not hide it.
#[test]
fn an_attack_for_a_sibling_counts_where_the_gradient_is_hidden() {
    let workspace = of_one_size();
    workspace.model("hidden.onnx", &rippled());
    workspace.model("open.onnx", &upscaler(apart));
    let flags =
        "hidden.onnx open.onnx --images photos --range 0..1 --runtime tract --budget 8 --iterations 20";
    let (_, report) = workspace.audit(&words(flags));
    let transfers = report["transfers"].as_array().unwrap();
    assert_eq!(transfers.len(), 8, "four images, two ways");
    let codes: Vec<&Value> = report["findings"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert!(codes.contains(&&Value::from("gradient-not-trusted")), "{codes:?}");
    let verdict = &report["verdicts"][0];
    assert_eq!(verdict["model"], "hidden.onnx");
    assert_ne!(verdict["level"], "robust", "{verdict}");
}
