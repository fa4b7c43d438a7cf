//! Files that are no SR network, or a random one, or another one at another size; and metadata that lie.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::{Workspace, apart, upscaler};
use serde_json::Value;
use temper::onnx::{Attribute, Model, Tensor};

const AUDIT: [&str; 12] = [
    "model.onnx",
    "--images",
    "photos",
    "--range",
    "0..1",
    "--runtime",
    "tract",
    "--attack",
    "ifgsm",
    "--iterations",
    "2",
    "--budget",
];

/// The codes of the alarms of an audit at 4/255, and its report.
fn alarms(model: &Model) -> (Vec<String>, Value) {
    let workspace = Workspace::new();
    workspace.model("model.onnx", model);
    let (_, report) = workspace.audit(&[&AUDIT[..], &["4", "--queries", "4"]].concat());
    let found = report["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "alarm");
    (found.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect(), report)
}

/// `share` of an upscale, around a half.
fn faded(share: f32) -> Model {
    upscaler(|graph, image| {
        let upscaled = apart(graph, image);
        let share = graph.initializer("share", Tensor::scalar(share));
        let half = graph.initializer("half", Tensor::scalar(0.5));
        let faint = graph.node("Mul", "faint", &[&upscaled, &share], []);
        graph.node("Add", "faded", &[&faint, &half], [])
    })
}

#[test]
fn an_output_that_hardly_depends_on_the_image_is_an_alarm() {
    for share in [0.0, 0.05] {
        let (found, report) = alarms(&faded(share));
        assert!(found.contains(&"no-upscale".to_owned()), "{share}: {found:?}");
        assert_eq!(report["network_checks"].as_array().unwrap().len(), 2, "one for each image");
    }
}

#[test]
fn an_upscale_is_none() {
    let (found, report) = alarms(&upscaler(apart));
    assert!(!found.contains(&"no-upscale".to_owned()), "{found:?}");
    let check = &report["network_checks"][0];
    assert!(check["correlation"].as_f64().unwrap() > 0.9 && check["repeat_difference"] == 0.0, "{check}");
}

/// What an audit says of a model that it does not take.
fn refusal(model: &Model, code: i32) -> String {
    let workspace = Workspace::new();
    workspace.model("model.onnx", model);
    workspace.refused(&[&["audit"], &AUDIT[..], &["4", "--out", "out"]].concat(), code)
}

#[test]
fn a_downscaler_is_refused() {
    let model = common::network(|graph, image| {
        let weight = |index: usize| if index / 12 == index % 12 / 4 { 0.25 } else { 0.0 };
        let weights = Tensor::f32(&[3, 3, 2, 2], (0..36).map(weight).collect::<Vec<_>>()).unwrap();
        let weights = graph.initializer("weights", weights);
        graph.node("Conv", "down", &[image, &weights], [("strides", Attribute::Ints(vec![2, 2]))])
    });
    let said = refusal(&model, 2);
    assert!(said.contains("makes images smaller"), "{said}");
}

#[test]
fn dropout_in_training_mode_is_refused_where_a_runtime_does_not_run_it() {
    let model = upscaler(|graph, image| {
        let upscaled = apart(graph, image);
        let ratio = graph.initializer("ratio", Tensor::scalar(0.1));
        let training = graph.initializer("training", Tensor::bool(&[], vec![true]).unwrap());
        graph.node("Dropout", "dropout", &[&upscaled, &ratio, &training], [])
    });
    let said = refusal(&model, 3);
    assert!(said.contains("Dropout in training mode"), "{said}");
}

/// Metadata of ours on a network whose images are on [0, 255].
#[test]
fn a_range_that_metadata_claim_and_the_network_contradicts_is_ignored_and_said() {
    let workspace = Workspace::new();
    let mut model = upscaler(|graph, image| {
        let full = graph.initializer("full", Tensor::scalar(255.0));
        let zero = graph.initializer("zero", Tensor::scalar(0.0));
        // An upscale that clips to [0, 255] and lifts by 8 levels: on [0, 1] it is far from bicubic.
        let lift = graph.initializer("lift", Tensor::scalar(8.0));
        let upscaled = apart(graph, image);
        let lifted = graph.node("Add", "lifted", &[&upscaled, &lift], []);
        graph.node("Clip", "clipped", &[&lifted, &zero, &full], [])
    });
    model.metadata.insert("temper.scale".into(), "2".into());
    model.metadata.insert("temper.tap".into(), "nowhere".into());
    workspace.model("model.onnx", &model);
    let flags =
        ["model.onnx", "--images", "photos", "--runtime", "tract", "--attack", "ifgsm", "--iterations", "2"];
    let (table, report) = workspace.audit(&[&flags[..], &["--budget", "4", "--queries", "4"]].concat());
    let said = report["models"][0]["metadata_ignored"].as_array().unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(report["models"][0]["interface"]["range"], "0..255", "{table}");
    assert!(table.contains("temper.scale") && table.contains("`nowhere`"), "{table}");
}

/// An If on the height: plain upscaling below 64 pixels, twice as bright above.
#[test]
fn a_branch_on_the_size_is_an_alarm() {
    let model = upscaler(|graph, image| {
        let upscaled = apart(graph, image);
        let shape = graph.node("Shape", "shape", &[image], []);
        let at = graph.initializer("at", Tensor::i64(&[], vec![2]).unwrap());
        let height = graph.node("Gather", "height", &[&shape, &at], []);
        let most = graph.initializer("most", Tensor::i64(&[], vec![64]).unwrap());
        let small = graph.node("Less", "small", &[&height, &most], []);
        let branch = |op: &str| {
            let mut branch = temper::onnx::GraphBuilder::new(op);
            let name = format!("{op}_output");
            branch.reserve(&upscaled);
            let value = branch.node(op, &name, &[&upscaled], []);
            branch.output(temper::onnx::ValueInfo {
                name: value,
                ty: None,
                doc: String::new(),
                metadata: Default::default(),
            });
            Attribute::Graph(Box::new(branch.finish()))
        };
        let branches = [("then_branch", branch("Identity")), ("else_branch", branch("Relu"))];
        graph.node("If", "chosen", &[&small], branches)
    });
    let (found, report) = alarms(&model);
    assert_eq!(report["models"][0]["branches_on_size"], true, "{found:?}");
    assert!(found.contains(&"branches-on-size".to_owned()), "{found:?}");
}
