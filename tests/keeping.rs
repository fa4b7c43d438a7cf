//! Audits that go on where they stopped, that grow, and that are shared out among jobs: always the report
//! of one run.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod common;

use std::time::Duration;

use common::{Workspace, rows};
use serde_json::Value;

const AUDIT: &str = "one.onnx two.onnx --truth truth --runtime tract --attack ifgsm,square --iterations 4 \
                     --queries 12 --clever=8 --cost 3";

/// Two models that take the same images, and five of these.
fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.network("one.onnx", 2, 1);
    workspace.network("two.onnx", 2, 2);
    for (name, side) in ["a", "b", "c", "d", "e"].iter().zip([44, 46, 48, 44, 50]) {
        workspace.photo(&format!("truth/{name}.png"), side, 48);
    }
    workspace
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn audit(workspace: &Workspace, flags: &str) -> Value {
    workspace.audit(&words(&format!("{AUDIT} {flags}"))).1
}

/// The report as text, without the part that is allowed to differ.
fn timeless(report: &Value) -> String {
    let mut report = report.clone();
    assert!(report.as_object_mut().unwrap().remove("timing").is_some());
    serde_json::to_string_pretty(&report).unwrap()
}

/// Compares all but the time, and shows where two reports part.
fn assert_same(one: &Value, other: &Value) {
    let (one, other) = (timeless(one), timeless(other));
    let apart = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(one == other, "first in line {apart:?}");
}

fn steps(report: &Value) -> u64 {
    report["timing"]["gradient_steps"].as_u64().unwrap()
}

#[test]
fn an_audit_that_was_killed_goes_on_to_the_report_of_one_run() {
    let workspace = workspace();
    let whole = audit(&workspace, "--budget 2,8 --no-cache");
    assert!(!workspace.path("out/cache").exists());
    let command = format!("audit {AUDIT} --budget 2,8 --out killed --cache kept");
    // Moments that differ from run to run and from machine to machine.
    for milliseconds in [300, 450, 700, 1100] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_temper"))
            .args(words(&command))
            .current_dir(workspace.path("."))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("after {milliseconds} ms: {} entries", workspace.files_in("kept").len());
    }
    let last = audit(&workspace, "--budget 2,8 --cache kept");
    assert_same(&last, &whole);
    let again = audit(&workspace, "--budget 2,8 --cache kept");
    assert_same(&again, &whole);
    assert_eq!((steps(&again), &again["timing"]["forward_runs"]), (0, &Value::from(0)), "nothing is new");
    assert!(steps(&whole) > 0);
}

#[test]
fn a_wider_audit_computes_what_is_new_alone() {
    let workspace = workspace();
    // The budget between the two leaves the gradient check as it is, which reaches from the smallest to the largest.
    let narrow = audit(&workspace, "--budget 8,2");
    let wide = audit(&workspace, "--budget 8,3,2");
    let fresh = audit(&workspace, "--budget 8,3,2 --no-cache");
    assert_same(&wide, &fresh);
    // One more budget: I-FGSM's four steps on five images for two models.
    assert_eq!(steps(&wide), 4 * 5 * 2);
    assert!(steps(&narrow) > steps(&wide) && steps(&fresh) == steps(&narrow) + steps(&wide));
    let other = audit(&workspace, "--budget 8,3,2 --seed 1");
    assert_ne!(rows(&other)[0]["sr_psnr"], rows(&wide)[0]["sr_psnr"], "another seed is another audit");
    assert_eq!(steps(&other), steps(&fresh));
}

/// Which draws of a random pre-processing an image is judged at is the seed's to say.
#[test]
fn another_seed_is_another_judgement_behind_a_random_defence() {
    let workspace = workspace();
    let audit = |more: &str| {
        let flags = "one.onnx --truth truth --runtime tract --attack fgsm --budget 8 --preprocess resize=0.8";
        workspace.audit(&words(&format!("{flags} {more}"))).1
    };
    let clean = |report: &Value| report["clean"].as_array().unwrap().last().unwrap()["psnr"].clone();
    let first = audit("--seed 0");
    let kept = audit("--seed 1");
    assert_ne!(clean(&kept), clean(&first));
    assert_same(&kept, &audit("--seed 1 --no-cache"));
}

#[test]
fn what_was_kept_and_then_damaged_is_computed_anew() {
    let workspace = workspace();
    let whole = audit(&workspace, "--budget 8");
    for (index, name) in workspace.files_in("out/cache").iter().enumerate() {
        let path = workspace.path("out/cache").join(name);
        let bytes = std::fs::read(&path).unwrap();
        let damaged = match index % 3 {
            0 => bytes[..bytes.len() / 2].to_vec(),
            1 => b"{}".to_vec(),
            _ => bytes.iter().map(|byte| !byte).collect(),
        };
        std::fs::write(&path, damaged).unwrap();
    }
    let again = audit(&workspace, "--budget 8");
    assert_same(&again, &whole);
    assert_eq!(steps(&again), steps(&whole));
}

#[test]
fn shards_merge_to_the_report_of_one_run() {
    let workspace = workspace();
    let whole = audit(&workspace, "--budget 2,8 --no-cache");
    let shards = ["1/3", "2/3", "3/3"];
    for (shard, out) in shards.iter().zip(["s1", "s2", "s3"]) {
        let command = format!("audit {AUDIT} --budget 2,8 --shard {shard} --out {out} --cache kept");
        workspace.temper(&words(&command)).assert().success();
        assert_eq!(workspace.report(out)["settings"]["shard"], *shard);
    }
    let reports = ["s3/report.json", "s1/report.json", "s2/report.json"];
    let merged = workspace.temper(&[&["report", "merge"], &reports[..], &["--out", "all"]].concat());
    let table = merged_table(merged);
    assert_same(&workspace.report("all"), &whole);
    let show = |path| merged_table(workspace.temper(&["report", "show", path]));
    assert_eq!(show("all/report.json"), show("out/report.json"));
    assert!(
        table.contains("Written: all/report.html and all/report.json") && table.contains("on 5 images"),
        "{table}"
    );
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let missing = workspace.refused(&words("report merge s1/report.json s3/report.json --out out2"), 2);
    assert!(missing.contains("of shards 2/3 the report is missing"), "{missing}");
}

fn merged_table(mut command: assert_cmd::Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_cannot_be_shared_out_or_joined_is_refused() {
    let workspace = Workspace::new();
    let refused = |flags: &str| {
        let command = format!("audit model.onnx --images photos --runtime tract --out out {flags}");
        workspace.refused(&words(&command), 2)
    };
    assert!(refused("--shard 3/2").contains("`3/2` is no shard; give i/n"));
    assert!(refused("--shard 1/2 --time-limit 1").contains("--time-limit"));
    assert!(refused("--shard 1/2 --universal").contains("--universal"));
    assert!(refused("--shard 1/2 --craft-on fastest").contains("name one, such as --craft-on ort"));
    assert!(refused("--craft-on ort").contains("not among the runtimes"));
    assert!(refused("--craft-on quickest").contains("there is no runtime `quickest`"));
    workspace.file("odd.json", b"{\"schema\": 1}");
    let odd = workspace.refused(&words("report merge odd.json --out out"), 2);
    assert!(odd.contains("odd.json: is no report of `temper audit`"), "{odd}");
    assert!(workspace.refused(&words("report show none.json"), 2).contains("none.json: no such file"));
    workspace.file("deep.json", "[".repeat(100_000).as_bytes());
    assert!(workspace.refused(&words("report show deep.json"), 2).contains("is no report"));
}
