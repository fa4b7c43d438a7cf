//! Other people's models, as published: each is audited with a gradient that passes its self-test on
//! ONNX Runtime and on tract.
//!
//! They lie under `TEMPER_ASSETS`; where that is not set, there is nothing to test.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod common;

use std::path::{Path, PathBuf};

use common::Workspace;
use temper::onnx;

/// Every model there is, by path.
fn models() -> Vec<PathBuf> {
    let Some(assets) = std::env::var_os("TEMPER_ASSETS") else {
        eprintln!("skipped: TEMPER_ASSETS does not name a folder with models/");
        return vec![];
    };
    let mut found = Vec::new();
    let mut folders = vec![Path::new(&assets).join("models")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "onnx" => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// What the command line is told of a model: nothing but a scale, where it asks for one.
fn arguments(path: &Path) -> Vec<String> {
    let model = onnx::read(path).unwrap();
    let mut arguments = vec!["audit".to_owned(), path.display().to_string()];
    if model.graph.required_inputs().count() > 1 {
        arguments.extend(["--scale".into(), "3".into()]);
    }
    let rest = "--images photos --budget 8 --iterations 1 --runtime ort,tract --out out";
    arguments.extend(rest.split(' ').map(str::to_owned));
    arguments
}

#[test]
fn every_model_is_audited_with_a_trusted_gradient_or_refused_by_name() {
    if temper::runtime::open(temper::runtime::Kind::Ort).is_err() {
        eprintln!("skipped: ONNX Runtime is not there");
        return;
    }
    for path in models() {
        let workspace = Workspace::empty();
        workspace.photo("photos/a.png", 32, 36);
        let arguments = arguments(&path);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let foreign = onnx::read(&path).unwrap().graph.nodes.into_iter().find(|node| !node.domain.is_empty());
        if let Some(node) = foreign {
            let said = workspace.refused(&arguments, 2);
            assert!(said.contains(&node.domain) && said.contains(&node.label()), "{said}");
            continue;
        }
        let output = workspace.temper(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {said}", path.display());
        let report = workspace.report("out");
        for trust in report["gradient_checks"].as_array().unwrap() {
            assert_eq!(trust["trusted"], true, "{trust}");
            assert!(trust["zero_share"].as_f64().unwrap() < 0.5, "{trust}");
        }
        for row in report["rows"].as_array().unwrap() {
            let [before, after] = ["objective_start", "objective_end"].map(|key| row[key].as_f64().unwrap());
            assert!(before > 0.0 && after > 0.0 && row["sr_psnr"].is_number(), "{row}");
        }
    }
}
