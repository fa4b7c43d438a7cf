//! What cannot be compared, or cannot be equal, is said: a runtime that dies, numbers drawn at random, a difference
//! that is allowed.

use temper::onnx::{DType, GraphBuilder, Model, Tensor, ValueInfo};

use super::common::Workspace;
use super::{parity, roots, sound};

/// Honoured by processes that run one runtime.
const FAULT: &str = "TEMPER_TEST_RUNTIME_FAULT";

fn report_under(fault: &str, workspace: &Workspace, arguments: &[&str]) -> serde_json::Value {
    let output =
        workspace.temper(&[&["parity", "--json"], arguments].concat()).env(FAULT, fault).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_runtime_that_crashes_fails_its_comparison_and_no_other() {
    let workspace = Workspace::empty();
    workspace.model("model.onnx", &sound(3));
    workspace.model("good.onnx", &sound(3));
    let arguments =
        ["model.onnx", "--reference", "good.onnx", "--runtime", "tract,tract:opt=off", "--search=4"];
    let report = report_under("tract:opt=off:abort", &workspace, &arguments);
    let comparisons = report["comparisons"].as_array().unwrap();
    let on = |side: &str, one: &serde_json::Value| one[side].as_str().unwrap().contains("opt=off");
    for one in comparisons {
        let (died, failed) = (on("candidate", one) || on("reference", one), one["failed"].as_str());
        assert_eq!(
            failed.is_some_and(|reason| reason.contains("tract:opt=off crashed (signal 6)")),
            died,
            "{one}"
        );
        assert_eq!(one["verdict"], if died { "fail" } else { "pass" });
        assert_eq!(one["searched"].is_null(), died, "what did not run is not searched");
    }
    assert_eq!(comparisons.len(), 3, "{report}");
    assert_eq!(report["first_divergence"], serde_json::Value::Null, "a crash is no divergence");
}

#[test]
fn numbers_drawn_at_random_are_said_to_be() {
    let workspace = Workspace::empty();
    for op in ["RandomNormalLike", "RandomUniformLike", "Bernoulli"] {
        let mut graph = GraphBuilder::new("drawn");
        graph.input(ValueInfo::tensor("x", DType::F32, [4.into(), 8.into()]));
        let drawn = graph.node(op, "drawn", &["x"], []);
        let y = graph.node("Add", "y", &["x", &drawn], []);
        graph.output(ValueInfo::tensor(y, DType::F32, [4.into(), 8.into()]));
        let model = Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Model::default()
        };
        workspace.model("drawn.onnx", &model);
        // Whether a runtime knows the operator or not, the note stands.
        let report = parity(&workspace, &["drawn.onnx", "--runtime", "tract,tract:opt=off"], 1);
        let notes = report["notes"].to_string();
        assert!(notes.contains("draws at random") && notes.contains("drawn"), "{op}: {notes}");
    }
}

/// A difference within its tolerance is no place to look at.
#[test]
fn what_is_within_its_tolerance_names_no_divergence() {
    let workspace = Workspace::empty();
    let model = sound(4);
    workspace.model("good.onnx", &model);
    let mut near = model;
    let weight = near.graph.initializers.get_mut("w_up").unwrap();
    let values: Vec<f32> = weight.as_f32().unwrap().iter().map(|value| value * 1.0001).collect();
    *weight = Tensor::f32(weight.shape(), values).unwrap();
    workspace.model("near.onnx", &near);
    let asked = ["near.onnx", "--reference", "good.onnx", "--runtime", "tract", "--tolerance"];
    let wide = parity(&workspace, &[&asked[..], &["rel=1e-2"]].concat(), 0);
    assert_eq!(wide["first_divergence"], serde_json::Value::Null, "{wide}");
    assert_eq!(wide["verdict"], "pass");
    let differs = wide["comparisons"][0]["outputs"].as_array().unwrap().iter();
    assert!(differs.into_iter().any(|output| output["max"].as_f64() > Some(0.0)), "nothing differed at all");
    let narrow = parity(&workspace, &[&asked[..], &["rel=1e-6"]].concat(), 1);
    assert_eq!(narrow["first_divergence"]["node"], "conv_up", "{narrow}");
}

/// The same of one file on two runtimes: NaN on both sides is said and is no difference.
#[test]
fn a_nan_is_counted_on_the_side_that_has_it() {
    let workspace = Workspace::empty();
    workspace.model("good.onnx", &roots(0.0));
    workspace.model("bad.onnx", &roots(-0.5));
    for (model, reference, side) in [
        ("bad.onnx", "good.onnx", "not_finite_in_candidate"),
        ("good.onnx", "bad.onnx", "not_finite_in_reference"),
    ] {
        let asked = [model, "--reference", reference, "--runtime", "tract", "--tolerance", "abs=1e30"];
        let report = parity(&workspace, &asked, 1);
        let noise = &report["comparisons"][0]["outputs"][0];
        assert!(noise["within"] == false && noise[side].as_u64() > Some(0), "{noise}");
        // Of negative numbers both have none: on [-4, 4] most are on both sides.
        let wide = &report["comparisons"][0]["outputs"][1];
        assert!(wide["not_finite_in_both"].as_u64() > Some(0), "{wide}");
    }
    let same = parity(&workspace, &["good.onnx", "--runtime", "tract,tract:opt=off"], 0);
    assert!(same["notes"].to_string().contains("NaN"), "{}", same["notes"]);
}
