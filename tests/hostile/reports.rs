//! Reports and cache entries that are not what was written.

use serde_json::{Value, json};

use crate::common::Workspace;
use crate::watched::bounded;

const AUDIT: &str = "audit model.onnx --images photos --budget 4 --iterations 1 --runtime tract";

fn run(workspace: &Workspace, command: &str) {
    let output = workspace.temper(&command.split(' ').collect::<Vec<_>>()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_shard_that_was_changed_does_not_join_the_others() {
    let workspace = Workspace::new();
    for shard in [1, 2] {
        run(&workspace, &format!("{AUDIT} --shard {shard}/2 --no-cache --out s{shard}"));
    }
    let original = workspace.report("s2");
    let written = std::fs::read(workspace.path("s2/report.json")).unwrap();
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 4] = [
        ("a row is missing", |report| drop(report["rows"].as_array_mut().unwrap().pop())),
        ("a row stands twice", |report| {
            let rows = report["rows"].as_array_mut().unwrap();
            rows.push(rows[0].clone());
        }),
        ("a number is another", |report| report["rows"][0]["sr_psnr"] = json!(99.5)),
        ("the model is another", |report| report["models"][0]["sha256"] = json!("00")),
    ];
    let merge = ["report", "merge", "s1/report.json", "s2/report.json", "--out", "all"];
    for (what, edit) in edits {
        let mut report = original.clone();
        edit(&mut report);
        workspace.file("s2/report.json", report.to_string().as_bytes());
        let outcome = bounded(&workspace, what, &merge);
        assert_eq!(outcome.code, Some(2), "{what}: {}", outcome.said);
        assert!(outcome.said.contains("s2/report.json: was changed after"), "{what}: {}", outcome.said);
    }
    let mut future = original.clone();
    future["schema"] = json!(7);
    workspace.file("s2/report.json", future.to_string().as_bytes());
    let outcome = bounded(&workspace, "schema 7", &merge);
    assert!(outcome.code == Some(2) && outcome.said.contains("schema 7"), "{}", outcome.said);
    workspace.file("s2/report.json", &written);
    run(&workspace, &merge.join(" "));
}

#[test]
fn cache_entries_under_each_others_names_are_not_taken() {
    let workspace = Workspace::new();
    run(&workspace, &format!("{AUDIT} --out out"));
    let first = workspace.report("out");
    let entries = workspace.files_in("out/cache");
    let paths: Vec<_> = entries.iter().map(|name| workspace.path("out/cache").join(name)).collect();
    let contents: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    for (path, content) in paths.iter().zip(contents.iter().cycle().skip(1)) {
        std::fs::write(path, content).unwrap();
    }
    run(&workspace, &format!("{AUDIT} --out out"));
    assert_eq!(workspace.report("out")["rows"], first["rows"]);
}
