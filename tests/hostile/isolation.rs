//! Runtimes in processes of their own, made to die on purpose.

use std::time::Duration;

use serde_json::Value;
use temper::runtime::{self, Kind};

use crate::common::{Workspace, rows};

const FAULT: &str = "TEMPER_TEST_RUNTIME_FAULT";
const AUDIT: &str = "audit model.onnx --images photos --budget 4 --iterations 2 --out out";

/// How long the program may take on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(400);

/// Another runtime than tract, where there is one.
fn other() -> Option<&'static str> {
    ["ort", "torch"].into_iter().find(|name| {
        let kind: Result<Kind, _> = name.parse();
        kind.is_ok_and(|kind| runtime::open(kind).is_ok())
    })
}

fn words(flags: &str) -> Vec<&str> {
    AUDIT.split(' ').chain(flags.split(' ')).collect()
}

#[test]
fn numbers_are_those_of_the_same_runtime_in_this_process() {
    let workspace = Workspace::new();
    let runtimes = other().map_or("tract".to_owned(), |other| format!("tract,{other}"));
    let audit = |flags: &str| -> Value {
        let flags = format!("--runtime {runtimes} --no-cache{flags}");
        let output = workspace.temper(&words(&flags)).timeout(PATIENCE).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        workspace.report("out")
    };
    let (within, apart) = (audit(""), audit(" --isolate"));
    for part in ["rows", "gradient_checks", "worst", "lost_runtimes"] {
        assert_eq!(within[part], apart[part], "{part}");
    }
}

#[test]
fn a_runtime_that_dies_is_a_finding_and_the_audit_goes_on_with_the_others() {
    let Some(other) = other() else { return };
    let workspace = Workspace::new();
    let runtimes = format!("--runtime {other},tract --isolate --no-cache");
    let ends = [
        ("abort", runtimes.clone(), "signal 6 (abort)"),
        ("hang", format!("{runtimes} --limit run-seconds=20"), "gave no answer in 20 s"),
        ("memory", format!("{runtimes} --memory 1"), "signal 6 (abort)"),
    ];
    for (fault, flags, how) in ends {
        let mut command = workspace.temper(&words(&flags));
        let output = command.env(FAULT, format!("tract:{fault}")).timeout(PATIENCE).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{fault}: {said}");
        let report = workspace.report("out");
        let lost = &report["lost_runtimes"][0];
        assert_eq!((&lost["runtime"], &lost["model"]), (&"tract".into(), &"model.onnx".into()), "{fault}");
        let reason = lost["reason"].as_str().unwrap();
        assert!(
            reason.contains("runtime tract died as it was to run the model") && reason.contains(how),
            "{reason}"
        );
        let finding = report["findings"].as_array().unwrap().iter().find(|it| it["code"] == "runtime-died");
        assert_eq!(finding.unwrap()["level"], "alarm");
        assert!(!rows(&report).is_empty() && rows(&report).iter().all(|row| row["judged_on"] == other));
        assert!(String::from_utf8_lossy(&output.stdout).contains("tract died"), "the table names it");
    }
}

#[test]
fn where_the_only_runtime_dies_there_is_one_message() {
    let workspace = Workspace::new();
    let mut command = workspace.temper(&words("--runtime tract --isolate --no-cache"));
    let output = command.env(FAULT, "tract:abort").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("runtime tract died") && said.contains("signal 6 (abort)"), "{said}");
    assert!(!workspace.path("out").exists());
}
