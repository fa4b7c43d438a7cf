//! `--adversarial`: a fault that only values beyond those of any sample show is shown by attacked inputs, within the
//! budget that was stated.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use temper::onnx::{Attribute, DType, GraphBuilder, Model, Tensor, ValueInfo};

use super::common::Workspace;
use super::parity;

const SHAPE: [usize; 4] = [1, 3, 12, 12];

/// The magnitude of a sum of an image's elements with random signs, of 432 elements; the faulty file caps it where
/// no sample comes.
fn summed(faulty: bool) -> Model {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut graph = GraphBuilder::new("summed");
    graph.input(ValueInfo::tensor("x", DType::F32, SHAPE.map(Into::into)));
    let [zero, one] =
        [("zero", 0.0), ("one", 1.0)].map(|(name, v)| graph.initializer(name, Tensor::scalar(v)));
    let image = graph.node("Clip", "image", &["x", &zero, &one], []);
    let count: usize = SHAPE.iter().product();
    let signs: Vec<f32> = (0..count).map(|_| if rng.random() { 1.0 } else { -1.0 }).collect();
    let signs = graph.initializer("signs", Tensor::f32(&SHAPE, signs).unwrap());
    let signed = graph.node("Mul", "signed", &[&image, &signs], []);
    let axes = graph.initializer("axes", Tensor::i64(&[3], vec![1, 2, 3]).unwrap());
    let sum = graph.node("ReduceSum", "sum", &[&signed, &axes], [("keepdims", Attribute::Int(1))]);
    let mut y = graph.node("Abs", "size", &[&sum], []);
    if faulty {
        let cap = graph.initializer("cap", Tensor::scalar(30.0));
        y = graph.node("Min", "capped", &[&y, &cap], []);
    }
    graph.output(ValueInfo::tensor(y, DType::F32, [1, 1, 1, 1].map(Into::into)));
    Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Model::default() }
}

fn pair(workspace: &Workspace) -> [&'static str; 5] {
    workspace.model("good.onnx", &summed(false));
    workspace.model("bad.onnx", &summed(true));
    ["bad.onnx", "--reference", "good.onnx", "--runtime", "tract"]
}

fn rows(report: &Value) -> Vec<&str> {
    let rows = report["comparisons"][0]["outputs"].as_array().unwrap();
    rows.iter().map(|row| row["input"].as_str().unwrap()).collect()
}

#[test]
fn a_fault_that_no_sample_shows_is_shown_by_an_attacked_one() {
    let workspace = Workspace::empty();
    let asked = pair(&workspace);
    let plain = parity(&workspace, &asked, 0);
    assert_eq!(plain["verdict"], "pass", "a sample shows it: the test proves nothing");
    let attacking = [&asked[..], &["--adversarial=16"]].concat();
    let report = parity(&workspace, &attacking, 1);
    assert_eq!(report["first_divergence"]["node"], "capped", "{report}");
    assert!(report["first_divergence"]["input"].as_str().unwrap().ends_with(", attacked"), "{report}");
    let names = rows(&report);
    let attacked = rows(&plain).iter().filter(|name| names.contains(&&*format!("{name}, attacked"))).count();
    assert_eq!(attacked, rows(&plain).len(), "{names:?}");
    assert_eq!(parity(&workspace, &attacking, 1), report, "one seed, one report");
}

/// 1/255 of 432 elements moves the sum by 1.7, which no sample is near enough to the cap for.
#[test]
fn an_attack_stays_in_its_budget() {
    let workspace = Workspace::empty();
    let asked = pair(&workspace);
    let report = parity(&workspace, &[&asked[..], &["--adversarial=1"]].concat(), 0);
    assert!(rows(&report).contains(&"noise, attacked"), "{report}");
}

#[test]
fn a_budget_out_of_range_is_refused_and_a_model_without_a_gradient_is_said() {
    let workspace = Workspace::empty();
    let asked = pair(&workspace);
    for flag in ["--adversarial=0", "--adversarial=256", "--adversarial=x"] {
        workspace.refused(&[&["parity"], &asked[..], &[flag]].concat(), 2);
    }
    let mut graph = GraphBuilder::new("added");
    for name in ["a", "b"] {
        graph.input(ValueInfo::tensor(name, DType::F32, [4.into()]));
    }
    let y = graph.node("Add", "y", &["a", "b"], []);
    graph.output(ValueInfo::tensor(y, DType::F32, [4.into()]));
    let opsets = [(String::new(), 17)].into();
    let model = Model { ir_version: 8, opsets, graph: graph.finish(), ..Model::default() };
    workspace.model("added.onnx", &model);
    let asked = ["added.onnx", "--reference", "added.onnx", "--runtime", "tract", "--adversarial"];
    let report = parity(&workspace, &asked, 0);
    assert!(report["notes"][0].as_str().unwrap().starts_with("no adversarial inputs:"), "{report}");
}
