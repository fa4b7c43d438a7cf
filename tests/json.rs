//! `--json`: a result as one JSON document on standard output, or a refusal; never nothing at all.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::Workspace;
use serde_json::Value;

fn printed(workspace: &Workspace, arguments: &[&str]) -> Value {
    let output = workspace.temper(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn inspect_prints_what_it_found() {
    let found = printed(&Workspace::new(), &["inspect", "model.onnx", "--json"]);
    assert_eq!((&found["output"]["scale"], &found["input"]["channels"]), (&2.into(), &3.into()));
    assert_eq!(found["input"]["range"], "0..1");
    let operators = found["operators"].as_array().unwrap();
    let conv = operators.iter().find(|used| used["name"] == "Conv").unwrap();
    assert_eq!(conv["gradient"], "differentiable");
    let runtimes = found["runtimes"].as_array().unwrap();
    let tract = runtimes.iter().find(|it| it["runtime"].as_str().unwrap().starts_with("tract")).unwrap();
    assert_eq!((&tract["forward"], &tract["gradient"]), (&true.into(), &true.into()));
    assert!(
        found["cost"]["gradient_flop_per_pixel"].as_f64() > found["cost"]["forward_flop_per_pixel"].as_f64()
    );
}

#[test]
fn grad_prints_what_it_wrote() {
    let workspace = Workspace::new();
    let found =
        printed(&workspace, &["grad", "model.onnx", "--input", "8x12", "-o", "gradient.onnx", "--json"]);
    assert_eq!(found["shape"], serde_json::json!([1, 3, 8, 12]));
    assert_eq!(found["outputs"], serde_json::json!(["value", "gradient"]));
    assert!(workspace.path(found["written"].as_str().unwrap()).is_file());
}

#[test]
fn upscale_prints_every_image() {
    let workspace = Workspace::new();
    let arguments = ["upscale", "model.onnx", "photos", "-o", "out", "--runtime", "tract", "--json"];
    let found = printed(&workspace, &arguments);
    let sizes: Vec<_> = found.as_array().unwrap().iter().map(|it| (&it["height"], &it["width"])).collect();
    assert_eq!(sizes, [(&44.into(), &60.into()), (&50.into(), &48.into())]);
    assert_eq!(found[0]["written"], "out/a_x2.png");
}

#[test]
fn a_command_without_a_result_refuses_it() {
    let workspace = Workspace::new();
    for arguments in [
        &["completions", "bash", "--json"][..],
        &["report", "csv", "audit", "--json"],
        #[cfg(feature = "torch")]
        &["harden", "--data", "photos", "--out", "out", "--json"],
    ] {
        let message = workspace.refused(arguments, 2);
        assert!(message.contains("no result as JSON"), "{message}");
    }
}
