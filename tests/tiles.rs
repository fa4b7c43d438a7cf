//! `temper audit` of images that are cut into tiles: the same numbers as whole, and a word about it.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::{Workspace, looks_everywhere, rows};
use serde_json::Value;
use temper::zoo::Edsr;

/// Audits `photos` on tract with these flags beside a short attack; the table and the report.
fn audited(workspace: &Workspace, flags: &[&str]) -> (String, Value) {
    let always = ["model.onnx", "--images", "photos", "--runtime", "tract", "--budget", "4"];
    let short = ["--attack", "pgd"];
    workspace.audit(&[&always[..], &short, flags].concat())
}

fn with_a_photo() -> Workspace {
    let workspace = Workspace::empty();
    workspace.network("model.onnx", 2, 0);
    workspace.photo("photos/a.png", 90, 110);
    workspace
}

#[test]
fn an_attack_tile_by_tile_finds_what_one_on_the_whole_finds() {
    let workspace = with_a_photo();
    let (table, whole) = audited(&workspace, &["--iterations", "4"]);
    assert!(!table.contains("tiles of") && whole["models"][0]["tiles"].is_null(), "{table}");
    let (table, tiled) = audited(&workspace, &["--iterations", "4", "--tile", "48"]);
    let unbroken = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        unbroken.contains("larger images in tiles of 48x48 pixels that overlap by 8 on every"),
        "{table}"
    );
    assert_eq!(tiled["models"][0]["tiles"]["size"], serde_json::json!([48, 48]));
    let psnr = |report: &Value, key: &str| rows(report)[0][key].as_f64().unwrap();
    for key in ["sr_psnr", "lr_psnr"] {
        let (one, other) = (psnr(&whole, key), psnr(&tiled, key));
        assert!((one - other).abs() < 0.05, "{key}: {one} whole, {other} in tiles");
    }
    assert_eq!(rows(&whole)[0]["iterations"], rows(&tiled)[0]["iterations"]);
}

/// Less than the whole image may take is enough for tiles, and the answer says so.
#[test]
fn little_memory_makes_tiles() {
    let workspace = Workspace::empty();
    let network = Edsr { features: 16, blocks: 2, scale: 2 };
    workspace.model("model.onnx", &network.build(0).unwrap());
    workspace.photo("photos/a.png", 150, 170);
    let (_, whole) = audited(&workspace, &["--iterations", "1"]);
    let bound = whole["models"][0]["memory_bound"].as_f64().unwrap();
    let memory = format!("{}", 0.8 * bound / f64::from(1 << 30));
    let (table, tiled) = audited(&workspace, &["--iterations", "1", "--memory", &memory]);
    assert!(tiled["models"][0]["tiles"]["size"][0].as_u64().is_some_and(|side| side < 170), "{table}");
    assert!(tiled["models"][0]["memory_bound"].as_f64().unwrap() <= 0.8 * bound);
}

#[test]
fn a_network_that_looks_everywhere_is_refused_in_tiles() {
    let workspace = Workspace::empty();
    workspace.photo("photos/a.png", 90, 110);
    workspace.model("model.onnx", &looks_everywhere());
    let given =
        ["audit", "model.onnx", "--images", "photos", "--runtime", "tract", "--tile", "48", "--out", "o"];
    let stated = ["--range", "0..1", "--scale", "2"];
    let message = workspace.refused(&[&given[..], &stated].concat(), 2);
    assert!(message.contains("a.png") && message.contains("looks farther"), "{message}");
}

#[test]
fn what_is_not_made_of_parts_is_refused_by_name() {
    let workspace = with_a_photo();
    let given =
        ["audit", "model.onnx", "--images", "photos", "--runtime", "tract", "--tile", "48", "--out", "o"];
    for (flags, what) in [(["--attack", "fda"], "fda"), (["--objective", "l1"], "_1")] {
        let message = workspace.refused(&[&given[..], &flags].concat(), 2);
        assert!(message.contains(what) && message.contains("parts of the output"), "{message}");
    }
}
