//! What a person reads: help, messages and the table, word by word.
//!
//! After a wanted change, `INSTA_UPDATE=always cargo test --test wording` writes the new words.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::{Workspace, first_half};
use insta::assert_snapshot;

/// The words of one help text, at a width of 100.
fn help(arguments: &[&str]) -> String {
    let output = Workspace::empty().temper(&[arguments, &["--help"]].concat()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let long = text.lines().find(|line| line.chars().count() > 100);
    assert_eq!(long, None, "wider than the terminal");
    text
}

#[test]
fn help_of_the_verbs() {
    for verb in verbs() {
        assert_snapshot!(format!("help_{verb}"), help(&[&verb]));
    }
}

#[test]
#[cfg(feature = "torch")]
fn help_with_training() {
    assert_snapshot!("help", help(&[]));
}

#[test]
#[cfg(not(feature = "torch"))]
fn help_without_training() {
    assert_snapshot!("help_without_torch", help(&[]));
}

/// The verbs that the help lists, so that none can be forgotten here. Without libtorch the help of `harden` is that
/// of another program, which is not built here.
fn verbs() -> Vec<String> {
    let text = help(&[]);
    let listed = text.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    let elsewhere = |name: &str| name == "harden" && cfg!(not(feature = "torch"));
    let verbs: Vec<_> = names.filter(|name| name != "help" && !elsewhere(name)).collect();
    assert!(verbs.len() >= 4, "{text}");
    verbs
}

#[test]
fn every_help_says_what_the_exit_codes_mean() {
    for text in verbs().iter().map(|verb| help(&[verb])).chain([help(&[])]) {
        assert!(
            text.contains("Exit codes:\n  0 ") && text.contains("  2 ") && text.contains("  3 "),
            "{text}"
        );
    }
}

#[test]
fn messages() {
    let workspace = Workspace::new();
    workspace.file("text.onnx", b"hello, this is not a model at all");
    workspace.file("cut.onnx", &first_half(&workspace.path("model.onnx")));
    workspace.photo("wrong/a.png", 44, 61);
    workspace.photo("wrong/b.png", 50, 48);
    let audit = |rest: &str| {
        let words: Vec<&str> = ["audit"].into_iter().chain(rest.split(' ')).collect();
        workspace.refused(&[&words[..], &["--runtime", "tract", "--out", "out"]].concat(), 2)
    };
    let messages = [
        audit("text.onnx --images photos"),
        audit("cut.onnx --images photos"),
        audit("model.onnx"),
        audit("model.onnx --images photos --truth wrong"),
        audit("model.onnx --images photos --memory 0.0001"),
        audit("model.onnx --images photos --budget 0"),
        workspace.refused(&["grad", "model.onnx", "--input", "8x8", "-o", "model.onnx"], 2),
    ];
    assert_snapshot!("messages", messages.concat());
}

/// Random weights, so the decibels differ from one processor to the next in the last digits only.
#[test]
fn the_table_of_an_audit() {
    let workspace = Workspace::new();
    workspace.network("other.onnx", 3, 1);
    let flags = "model.onnx other.onnx --truth photos --budget 1,8 --iterations 3 --runtime tract";
    let (table, _) = workspace.audit(&flags.split(' ').collect::<Vec<_>>());
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d\d\.\d\d", "##.##");
    settings.add_filter(r"0\.\d{4}", "0.####");
    settings.bind(|| assert_snapshot!("table", table));
}
