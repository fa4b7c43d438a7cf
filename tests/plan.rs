//! `temper plan`: what an audit would do and how long it would take, before anything is attacked.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::Workspace;
use serde_json::Value;

fn planned(workspace: &Workspace, flags: &str) -> Value {
    let words = ["plan", "model.onnx", "--images", "photos", "--runtime", "tract", "--json"];
    let words: Vec<&str> = words.into_iter().chain(flags.split_whitespace()).collect();
    let output = workspace.temper(&words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_preset_is_named_with_its_time() {
    let workspace = Workspace::new();
    let plans = planned(&workspace, "");
    let names: Vec<&str> = plans.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["quick", "standard", "paper"]);
    for plan in plans.as_array().unwrap() {
        assert!(
            plan["steps"].as_u64() > Some(0) && plan["jobs"][0]["seconds"].as_f64() > Some(0.0),
            "{plan}"
        );
    }
    assert!(workspace.files_in(".").iter().all(|name| ["model.onnx", "photos"].contains(&name.as_str())));
}

#[test]
fn what_flags_ask_for_is_planned_for_one_job_and_for_several() {
    let plans = planned(&Workspace::new(), "--attack ifgsm --budget 4 --iterations 7 --shards 2,5");
    let [plan] = &plans.as_array().unwrap()[..] else { panic!("{plans}") };
    assert_eq!((&plan["name"], &plan["steps"]), (&"as asked".into(), &14.into()));
    let jobs = plan["jobs"].as_array().unwrap();
    assert_eq!(jobs.iter().map(|it| it["jobs"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 5]);
    let seconds: Vec<f64> = jobs.iter().map(|it| it["seconds"].as_f64().unwrap()).collect();
    assert!(seconds[0] > seconds[1] && seconds[1] == seconds[2], "two images: {seconds:?}");
}

#[test]
fn what_an_audit_refuses_its_plan_refuses() {
    let workspace = Workspace::new();
    let flags = ["plan", "model.onnx", "--images", "photos", "--runtime", "tract", "--craft-on", "fastest"];
    let message = workspace.refused(&[&flags[..], &["--shards", "2"]].concat(), 2);
    assert!(message.contains("--craft-on fastest"), "{message}");
}
