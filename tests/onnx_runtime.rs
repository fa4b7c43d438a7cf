//! What needs ONNX Runtime beside tract: its own operators, its optimisations, two runtimes driven apart.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;
#[path = "common/trials.rs"]
mod trials;

use std::process::ExitCode;
use std::sync::Arc;

use common::{Workspace, mix, picture, rows, upscaler};
use ndarray::Axis;
use temper::attack::{Attack, Ball, Goal, Settings, parse_budgets, seeded};
use temper::onnx::Node;
use temper::oracle::{Objective, Oracle};
use temper::runtime::{self, Kind};
use trials::runtime as need;

fn main() -> ExitCode {
    let tests: [(&str, fn()); 4] = [
        (
            "a model with an unknown operator is attacked where it runs",
            a_model_with_an_unknown_operator_is_attacked_where_it_runs,
        ),
        ("two runtimes are driven apart from the command line", two_runtimes_are_driven_apart),
        (
            "ONNX Runtime is judged with and without its optimisations",
            onnx_runtime_is_judged_with_and_without_its_optimisations,
        ),
        ("parity names the fused group of a quantised graph", parity_names_the_fused_group),
    ];
    trials::run(tests.map(|(name, test)| need(Kind::ORT).trial(name, move |_| test())).into())
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// An operator that Temper does not know stops gradients and batches, and nothing else.
fn a_model_with_an_unknown_operator_is_attacked_where_it_runs() {
    let mut model = upscaler(|graph, image| mix(graph, image, 0.25));
    let image_input = model.graph.inputs[0].name.clone();
    let gelu = Node {
        op: "QuickGelu".into(),
        domain: "com.microsoft".into(),
        name: "gelu".into(),
        inputs: vec![image_input],
        outputs: vec!["gelu".into()],
        ..Default::default()
    };
    model.graph.nodes[0].inputs[0] = "gelu".into();
    model.graph.nodes.insert(0, gelu);
    model.opsets.insert("com.microsoft".into(), 1);
    let mut oracle =
        Oracle::new(Arc::from(runtime::open(Kind::ORT).unwrap()), Arc::new(model), Objective::Distance);
    let x0 = picture(8, 9).mapv(|value| 0.2 + 0.6 * value).insert_axis(Axis(0));
    let clean = oracle.forward(x0.view()).unwrap();
    let goal = Goal::new(Ball::new(x0.view(), 4.0 / 255.0), clean);
    let mut attack = |attack: Attack| {
        let mut rng = seeded(0, "x0", attack, parse_budgets("4").unwrap()[0]);
        let settings = Settings { iterations: 3, queries: 500, batch: 2, ..Settings::default() };
        attack.run_one(&mut oracle, &goal, &settings, &mut rng, &mut || Ok(()))
    };
    let [random, square] = [Attack::RANDOM, Attack::SQUARE].map(|free| attack(free).unwrap().value);
    assert!(square > random, "{square:?}, {random:?}");
    assert!(attack(Attack::IFGSM).unwrap_err().to_string().contains("com.microsoft"));
}

fn two_runtimes_are_driven_apart() {
    let flags =
        "model.onnx --images photos --budget 4 --iterations 3 --runtime tract,ort --objective runtimes";
    let (_, report) = Workspace::new().audit(&words(flags));
    assert!(rows(&report).iter().all(|row| row["objective"] == "||A(x) - B(x)||_2"));
}

fn onnx_runtime_is_judged_with_and_without_its_optimisations() {
    let workspace = Workspace::new();
    let flags = "model.onnx --images photos --budget 4 --iterations 3 --runtime ort,ort-plain,tract";
    let (_, report) = workspace.audit(&words(flags));
    assert_eq!(rows(&report).len(), 2 * 3 * 3, "two images, three crafters, three judges");
    let of = |crafted: &str, judged: &str| {
        let row = rows(&report).iter().find(|row| row["crafted_on"] == crafted && row["judged_on"] == judged);
        row.unwrap()["sr_psnr"].as_f64().unwrap()
    };
    assert!((of("ort", "ort-plain") - of("ort", "ort")).abs() < 0.01);
    assert!(report["gradient_checks"].as_array().unwrap().iter().all(|trust| trust["trusted"] == true));
    if let Err(reason) = runtime::open(Kind::ORT_CUDA) {
        std::fs::remove_dir_all(workspace.path("out")).unwrap();
        let message =
            workspace.refused(&words("audit model.onnx --images photos --runtime ort-cuda --out out"), 2);
        assert!(message.contains(&reason.to_string()) && message.contains("onnxruntime-gpu"), "{message}");
    }
}

/// Fused, the AveragePool rounds otherwise; looked at value by value it does not.
fn parity_names_the_fused_group() {
    let workspace = Workspace::empty();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/faults/quantised-average.onnx");
    let flags = ["parity", model, "--runtime", "ort-plain,ort", "--json", "--bisect", "part"];
    let output = workspace.temper(&flags).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let comparison = &report["comparisons"][0];
    let found = &comparison["first_divergence"];
    assert_eq!((found["node"].as_str(), found["operator"].as_str()), (Some("made"), Some("AveragePool")));
    assert_eq!(found["among"], serde_json::json!(["real", "made", "again"]));
    assert_eq!((&comparison["survives_probing"], &found["isolated_error"]), (&false.into(), &1.0.into()));
    let notes = report["notes"].to_string();
    assert!(notes.contains("32132") && notes.contains("differ by 1.000000000e+00"), "{notes}");
    assert!(workspace.files_in("part").contains(&"show.py".to_owned()));
}
