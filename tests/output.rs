//! How much the program says, and what it writes for shells and `man`.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use std::process::Output;

use common::{SHORT_AUDIT, Workspace};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn quiet_says_nothing_but_results() {
    let workspace = Workspace::new();
    let run =
        |flag: &[&str]| workspace.temper(&[&SHORT_AUDIT, flag, &["--out", "out"]].concat()).output().unwrap();
    assert_eq!(stderr(&run(&["-q"])), "");
    assert!(stderr(&run(&[])).contains("Plan: "));
    assert!(stderr(&run(&["-v"])).contains(" s, ") && stderr(&run(&["-v"])).contains("inside the runtimes"));
    let refused = workspace
        .temper(&["-q", "audit", "missing.onnx", "--images", "photos", "--out", "new"])
        .output()
        .unwrap();
    assert!(stderr(&refused).starts_with("error: "));
}

#[test]
fn completions_and_manual_pages_cover_every_verb() {
    let workspace = Workspace::empty();
    for shell in ["bash", "zsh", "fish"] {
        let output = workspace.temper(&["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && script.contains("min-sr-psnr") && script.contains("harden"),
            "{shell}"
        );
    }
    workspace.temper(&["man", "--out", "man1"]).assert().success();
    let pages = workspace.files_in("man1");
    for page in ["temper.1", "temper-audit.1", "temper-harden.1", "temper-report-merge.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} is not among {pages:?}");
    }
    let page = std::fs::read_to_string(workspace.path("man1/temper-audit.1")).unwrap();
    assert!(page.contains(".SH SYNOPSIS") && page.contains("budget"), "{page}");
}
