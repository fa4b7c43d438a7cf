//! The verdict: it is the worst of all attacks on images that can be sent, and a gate does not pass beside an
//! alarm.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::{Workspace, apart, picture, upscaler};
use serde_json::Value;
use temper::image::{load, save_png};
use temper::onnx::{GraphBuilder, Model, Tensor};

const AUDIT: [&str; 4] = ["--images", "photos", "--runtime", "tract"];

fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().unwrap()
}

/// An upscaler whose output holds NaN once a pixel is darker than 14/255: the logarithm of what is then below
/// zero.
fn trapped() -> Model {
    upscaler(|graph: &mut GraphBuilder, image| {
        let value =
            |graph: &mut GraphBuilder, name: &str, value: f32| graph.initializer(name, Tensor::scalar(value));
        let edge = value(graph, "edge", 0.055);
        let above = graph.node("Sub", "above", &[image, &edge], []);
        let logarithm = graph.node("Log", "logarithm", &[&above], []);
        let almost = value(graph, "almost", 1e-6);
        let nothing = graph.node("Mul", "nothing", &[&logarithm, &almost], []);
        let sum = graph.node("Add", "sum", &[image, &nothing], []);
        apart(graph, &sum)
    })
}

#[test]
fn a_verdict_is_printed_first_and_stands_first_in_the_report() {
    let workspace = Workspace::new();
    let flags =
        ["model.onnx", "--attack", "apgd,square", "--budget", "4", "--iterations", "50", "--queries", "300"];
    let (table, report) = workspace.audit(&[&flags[..], &AUDIT].concat());
    let verdict = &report["verdicts"][0];
    let sentence = verdict["sentence"].as_str().unwrap();
    assert_eq!(table.lines().next().unwrap(), sentence);
    let text = std::fs::read_to_string(workspace.path("out/report.json")).unwrap();
    assert!(text.trim_start_matches(['{', '\n', ' ']).starts_with("\"verdicts\""), "{}", &text[..60]);
    // The least of every image over all attacks, as a file carries it.
    let mut least = std::collections::BTreeMap::new();
    for row in rows(&report) {
        let sr_psnr = row["sr_psnr_8bit"].as_f64().unwrap();
        let known = least.entry(row["image"].as_str().unwrap()).or_insert(sr_psnr);
        *known = sr_psnr.min(*known);
    }
    let mean = least.values().sum::<f64>() / least.len() as f64;
    assert!((verdict["sr_psnr"].as_f64().unwrap() - mean).abs() < 1e-9, "{verdict}");
    for row in rows(&report) {
        // A window cannot be better than the whole that windows cover.
        assert!(row["worst_window"]["sr_psnr"].as_f64().unwrap() <= row["sr_psnr_8bit"].as_f64().unwrap());
        assert!(row["output_linf"]["linf"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn an_output_that_is_not_finite_is_the_worst_result_and_the_audit_goes_on() {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &trapped());
    let dark = picture(22, 30);
    let least = dark.iter().copied().fold(1.0, f32::min);
    let dark = dark.mapv(|value| ((255.0 * (value - least)).round() + 16.0) / 255.0);
    save_png(&workspace.path("photos/a.png"), dark.view()).unwrap();
    let flags =
        ["model.onnx", "--attack", "ifgsm,square", "--budget", "8", "--iterations", "4", "--queries", "40"];
    let flags = [&flags[..], &AUDIT].concat();
    let (table, report) = workspace.audit(&flags);
    let met: Vec<_> = rows(&report).iter().filter(|row| row["non_finite"] == "output").collect();
    assert!(!met.is_empty() && met.iter().all(|row| row["sr_psnr"] == 0.0), "{table}");
    assert!(table.lines().next().unwrap().starts_with("FRAGILE at 8/255"), "{table}");
    let codes = report["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]);
    assert!(codes.into_iter().any(|code| code == "non-finite-output"), "{table}");
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let gated = [&["audit"], &flags[..], &["--out", "out", "--min-sr-psnr", "1"]].concat();
    let output = workspace.temper(&gated).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ALARM non-finite-output: model.onnx on tract: "), "{said}");
    assert!(said.contains(": 0.00 dB, not 1"), "{said}");
}

/// Every output is 0.5 but for what a gradient does not show: the gradient is zero almost everywhere.
fn rounded() -> Model {
    upscaler(|graph, image| {
        let steps = graph.initializer("steps", Tensor::scalar(8.0));
        let scaled = graph.node("Mul", "scaled", &[image, &steps], []);
        let round = graph.node("Round", "round", &[&scaled], []);
        let back = graph.node("Div", "back", &[&round, &steps], []);
        apart(graph, &back)
    })
}

#[test]
fn a_gate_does_not_pass_beside_an_alarm_that_is_not_allowed() {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &rounded());
    let run = |more: &[&str]| {
        let flags = ["audit", "model.onnx", "--attack", "ifgsm", "--iterations", "3", "--queries", "10"];
        let gate = ["--budget", "1", "--min-sr-psnr", "5", "--out", "out"];
        let _ = std::fs::remove_dir_all(workspace.path("out"));
        let output = workspace.temper(&[&flags[..], &AUDIT, &gate, more].concat()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ALARM gradient-not-trusted: model.onnx on tract: "), "{said}");
    let (code, said) = run(&["--allow", "gradient-not-trusted"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["--allow", "gradient-untrusted"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("there is no finding `gradient-untrusted`; there are attacks-disagree, "),
        "{said}"
    );
}

#[test]
fn pictures_are_written_and_a_file_in_their_place_is_refused() {
    let workspace = Workspace::new();
    let flags = ["model.onnx", "--attack", "ifgsm", "--budget", "4", "--iterations", "3"];
    workspace.audit(&[&flags[..], &AUDIT, &["--save-images", "pictures"]].concat());
    let picture =
        |name: &str| load(&workspace.path(&format!("pictures/model.onnx/a.png/{name}"))).unwrap().pixels;
    let (input, attacked) = (picture("input.png"), picture("ifgsm-4-tract/attacked.png"));
    let moved = |(a, b): (&f32, &f32)| (255.0 * (a - b)).abs().round() as u32;
    assert_eq!(input.iter().zip(&attacked).map(moved).max(), Some(4));
    let (clean, output) = (picture("output-tract.png"), picture("ifgsm-4-tract/output.png"));
    assert_eq!(clean.dim(), (3, 2 * input.dim().1, 2 * input.dim().2));
    let difference = picture("ifgsm-4-tract/output-difference-times-8.png");
    for ((clean, output), difference) in clean.iter().zip(&output).zip(&difference) {
        // Both outputs are rounded, each by half a level.
        assert!((8.0 * (clean - output).abs()).min(1.0) - difference < 8.5 / 255.0);
    }
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    workspace.file("taken", b"a file");
    let flags = [&["audit"], &flags[..], &AUDIT, &["--save-images", "taken", "--out", "out"]].concat();
    let said = workspace.refused(&flags, 2);
    assert!(said.contains("taken"), "{said}");
}

#[test]
fn budgets_are_levels_and_those_that_no_file_can_carry_are_said_to_be() {
    let workspace = Workspace::new();
    let audit = |budget: &'static str| {
        let flags = ["model.onnx", "--attack", "ifgsm", "--iterations", "3", "--budget", budget];
        [&flags[..], &AUDIT].concat()
    };
    let refused = workspace.refused(&[&["audit"], &audit("0.0157")[..], &["--out", "out"]].concat(), 2);
    assert!(refused.contains("0.0157 of the whole range is 4/255; give 4"), "{refused}");
    let (table, report) = workspace.audit(&audit("0.4"));
    assert_eq!(rows(&report)[0]["sr_psnr_8bit"], Value::Null);
    assert!(table.lines().next().unwrap().contains("survives rounding to 8 bits"), "{table}");
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let (_, report) = workspace.audit(&audit("4/255"));
    assert_eq!(rows(&report)[0]["budget"], 4.0);
}
