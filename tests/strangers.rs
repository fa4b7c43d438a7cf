//! Other people's models, as published: each is audited with a gradient that passes its self-test on
//! ONNX Runtime and on tract. One test per file below `TEMPER_ASSETS/models`.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;
#[path = "common/trials.rs"]
mod trials;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use common::Workspace;
use temper::onnx;
use temper::runtime::Kind;
use trials::{Need, asset, models_below, runtime};

fn main() -> ExitCode {
    let folder = match asset("models") {
        Need::Met(folder) => folder,
        other => return trials::run(vec![other.trial("models", drop)]),
    };
    let models = models_below(&folder);
    let need = match runtime(Kind::ORT) {
        _ if models.is_empty() => Need::Wrong(format!("no .onnx file lies below {}", folder.display())),
        other => other,
    };
    let name = |path: &Path| path.strip_prefix(&folder).unwrap().display().to_string();
    let each = models.iter().cloned().map(|path| {
        let name = name(&path);
        need.clone().trial(name, move |_| is_audited_with_a_trusted_gradient_or_refused_by_name(&path))
    });
    let any = need.clone().trial("there are models", drop);
    trials::run(each.chain([any]).collect())
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

fn is_audited_with_a_trusted_gradient_or_refused_by_name(path: &Path) {
    let workspace = Workspace::empty();
    workspace.photo("photos/a.png", 32, 36);
    let arguments = arguments(path);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let foreign = onnx::read(path).unwrap().graph.nodes.into_iter().find(|node| !node.domain.is_empty());
    if let Some(node) = foreign {
        let said = workspace.refused(&arguments, 2);
        assert!(said.contains(&node.domain) && said.contains(&node.label()), "{said}");
        return;
    }
    // The gradient check of a file whose one size is large takes minutes on a busy machine.
    let output = workspace.temper(&arguments).timeout(Duration::from_secs(400)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let report = workspace.report("out");
    let checks = report["gradient_checks"].as_array().unwrap();
    assert_eq!(checks.len(), 2, "one on each runtime");
    for check in checks {
        assert_eq!(check["trusted"], true, "{check}");
        assert!(check["zero_share"].as_f64().unwrap() < 0.5, "{check}");
    }
    let rows = report["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let [before, after] = ["objective_start", "objective_end"].map(|key| row[key].as_f64().unwrap());
        assert!(before > 0.0 && after > 0.0 && row["sr_psnr"].is_number(), "{row}");
    }
}
