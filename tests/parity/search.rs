//! `--search`: a fault that no sample shows is found, within the runs and the ball that were stated.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use temper::onnx::{Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};

use super::common::Workspace;
use super::parity;

/// A convolution of an image on [0, 1]; of the faulty file its largest values are cut off, which only an image shows
/// that agrees with the signs of nearly all weights.
fn convolved(faulty: bool) -> Model {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut graph = GraphBuilder::new("convolved");
    graph.input(ValueInfo::tensor("x", DType::F32, [1.into(), 3.into(), Dim::Unknown, Dim::Unknown]));
    let [zero, one] =
        [("zero", 0.0), ("one", 1.0)].map(|(name, v)| graph.initializer(name, Tensor::scalar(v)));
    let image = graph.node("Clip", "image", &["x", &zero, &one], []);
    let weights: Vec<f32> = (0..2 * 27).map(|_| rng.random_range(-1.0..1.0)).collect();
    let most = weights.chunks(27).map(|kernel| kernel.iter().map(|w| w.max(0.0)).sum::<f32>());
    let cap = 0.97 * most.fold(0.0, f32::max);
    let weight = graph.initializer("w", Tensor::f32(&[2, 3, 3, 3], weights).unwrap());
    let pads = [("pads", Attribute::Ints(vec![1; 4]))];
    let mut last = graph.node("Conv", "conv", &[&image, &weight], pads);
    if faulty {
        let cap = graph.initializer("cap", Tensor::scalar(cap));
        last = graph.node("Min", "capped", &[&last, &cap], []);
    }
    let y = graph.node("Relu", "y", &[&last], []);
    graph.output(ValueInfo::tensor(y, DType::F32, [1.into(), 2.into(), Dim::Unknown, Dim::Unknown]));
    Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Model::default() }
}

fn pair(workspace: &Workspace) -> [&'static str; 7] {
    workspace.model("good.onnx", &convolved(false));
    workspace.model("bad.onnx", &convolved(true));
    ["bad.onnx", "--reference", "good.onnx", "--runtime", "tract", "--shape", "x=1,3,12,12"]
}

fn found_row(report: &Value) -> &Value {
    let rows = report["comparisons"][0]["outputs"].as_array().unwrap();
    rows.iter().find(|row| row["input"] == "found by search").unwrap()
}

#[test]
fn a_fault_that_no_sample_shows_is_found_by_a_search() {
    let workspace = Workspace::empty();
    let asked = pair(&workspace);
    assert_eq!(
        parity(&workspace, &asked, 0)["verdict"],
        "pass",
        "a sample shows it: the test proves nothing"
    );
    let searching = [&asked[..], &["--search=60"]].concat();
    let report = parity(&workspace, &searching, 1);
    let searched = &report["comparisons"][0]["searched"];
    assert!(searched["strain"].as_f64().unwrap() > 1.0 && searched["strain_before"] == 0.0, "{searched}");
    assert!(searched["runs"].as_u64().unwrap() <= 60, "{searched}");
    assert_eq!(found_row(&report)["within"], false);
    assert_eq!(report["first_divergence"]["input"], "found by search");
    assert_eq!(report["first_divergence"]["node"], "capped", "{report}");
    assert_eq!(parity(&workspace, &searching, 1), report, "one seed, one search");
}

/// Within 0.01 of noise nothing comes near the ends of the range.
#[test]
fn a_search_stays_in_its_ball() {
    let workspace = Workspace::empty();
    let asked = pair(&workspace);
    let report = parity(&workspace, &[&asked[..], &["--search=30", "--search-ball", "0.01"]].concat(), 0);
    let searched = &report["comparisons"][0]["searched"];
    assert_eq!(
        (searched["runs"].as_u64(), searched["from"].as_str()),
        (Some(30), Some("noise")),
        "{searched}"
    );
    assert_eq!(searched["strain"], 0.0, "{searched}");
}

#[test]
fn a_search_of_nothing_is_refused_or_said() {
    let workspace = Workspace::empty();
    let asked = pair(&workspace);
    for flags in [&["--search=0"][..], &["--search-ball", "0.1"], &["--search=9", "--search-ball", "-1"]] {
        let arguments = [&["parity"], &asked[..], flags].concat();
        workspace.refused(&arguments, 2);
    }
}
