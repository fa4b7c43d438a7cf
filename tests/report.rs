//! What becomes of a report: the page, the forms for other programs, and the comparison of two runs.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{SHORT_AUDIT, Workspace, rows};

/// A workspace with an audit of two images in `out`.
fn audited() -> Workspace {
    let workspace = Workspace::new();
    workspace.audit(&[
        "model.onnx",
        "--images",
        "photos",
        "--budget",
        "2,8",
        "--iterations",
        "2",
        "--runtime",
        "tract",
    ]);
    workspace
}

fn run(workspace: &Workspace, arguments: &[&str]) -> Output {
    workspace.temper(&[&["report"], arguments].concat()).output().unwrap()
}

/// The output of a verb that must work.
fn printed(workspace: &Workspace, arguments: &[&str]) -> String {
    let output = run(workspace, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_audit_leaves_a_page_beside_its_report() {
    let workspace = audited();
    let page = std::fs::read_to_string(workspace.path("out/report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("model.onnx") && page.contains("<circle"));
    assert!(!page.contains("http://") && !page.contains("https://"), "it asks for nothing from elsewhere");
    std::fs::remove_file(workspace.path("out/report.html")).unwrap();
    printed(&workspace, &["html", "out"]);
    assert_eq!(std::fs::read_to_string(workspace.path("out/report.html")).unwrap(), page);
}

#[test]
fn a_page_shows_the_worst_images_unless_it_is_told_not_to() {
    let workspace = Workspace::new();
    workspace.photo("photos/large.png", 90, 70);
    let audit = "model.onnx --images photos --budget 8 --iterations 2 --runtime tract";
    let words: Vec<&str> = audit.split(' ').collect();
    workspace.audit(&words);
    let page = std::fs::read_to_string(workspace.path("out/report.html")).unwrap();
    assert_eq!(page.matches("data:image/png").count(), 3 * 5, "five pictures of each of three images");
    let folder = workspace.path("out/pictures/model.onnx/large.png");
    let input = temper::image::load(&folder.join("input.png")).unwrap().pixels;
    let output = temper::image::load(&folder.join("output-tract.png")).unwrap().pixels;
    assert_eq!((input.dim(), output.dim()), ((3, 64, 64), (3, 128, 128)), "the part around the worst window");
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    workspace.audit(&[&words[..], &["--no-pictures"]].concat());
    let page = std::fs::read_to_string(workspace.path("out/report.html")).unwrap();
    assert!(!page.contains("data:image") && !workspace.path("out/pictures").exists());
}

#[test]
fn every_form_holds_every_row() {
    let workspace = audited();
    let report = workspace.report("out");
    let csv = printed(&workspace, &["csv", "out"]);
    let observed = csv.lines().filter(|line| line.starts_with("rows,")).count();
    assert_eq!(observed, rows(&report).len());
    assert_eq!(
        csv.lines().filter(|line| line.starts_with("noise,")).count(),
        report["noise"].as_array().unwrap().len()
    );
    let markdown = printed(&workspace, &["md", "out/report.json"]);
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| model.onnx ")).count(), 2, "{markdown}");
    printed(&workspace, &["junit", "out", "--min-sr-psnr", "90", "-o", "junit.xml"]);
    let junit = std::fs::read_to_string(workspace.path("junit.xml")).unwrap();
    assert_eq!(
        junit.matches("<testcase").count() - report["findings"].as_array().unwrap().len(),
        4,
        "{junit}"
    );
    assert_eq!(junit.matches("leaves an output PSNR of").count(), 4, "{junit}");
    let sarif = printed(&workspace, &["sarif", "out", "--min-sr-psnr", "90"]);
    let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(
        results.iter().filter(|result| result["ruleId"] == "min-sr-psnr").count(),
        rows(&report).len()
    );
    let shown: serde_json::Value =
        serde_json::from_str(&printed(&workspace, &["show", "out", "--json"])).unwrap();
    assert_eq!(shown, report);
}

#[test]
fn a_regression_beyond_the_noise_ends_with_code_1() {
    let workspace = audited();
    let mut worse = temper::report::Report::read(&workspace.path("out/report.json")).unwrap();
    worse.measured.rows.iter_mut().for_each(|row| row.sr_psnr -= 0.5);
    std::fs::create_dir(workspace.path("worse")).unwrap();
    worse.write(&workspace.path("worse/report.json")).unwrap();
    assert!(run(&workspace, &["diff", "out", "out", "--noise", "0"]).status.success());
    assert!(run(&workspace, &["diff", "worse", "out"]).status.success(), "better is no regression");
    assert!(run(&workspace, &["diff", "out", "worse", "--noise", "0.6"]).status.success());
    let output = run(&workspace, &["diff", "out", "worse"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("(-0.50 dB)  regression").count(), 2, "{said}");
    let page = printed(&workspace, &["html", "out", "worse", "-o", "both.html"]);
    assert!(page.contains("both.html"));
    assert!(std::fs::read_to_string(workspace.path("both.html")).unwrap().contains("worse against out"));
}

#[test]
fn a_merged_report_passes_the_same_gate() {
    let workspace = Workspace::new();
    for shard in ["1/2", "2/2"] {
        let out = format!("s{}", &shard[..1]);
        workspace.temper(&[&SHORT_AUDIT[..], &["--shard", shard, "--out", &out]].concat()).assert().success();
    }
    let merge = ["merge", "s1", "s2", "--out", "all"];
    assert!(run(&workspace, &merge).status.success());
    assert!(workspace.path("all/report.html").exists());
    let output = run(&workspace, &[&merge[..], &["--min-sr-psnr", "90"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--min-sr-psnr"), "{said}");
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let workspace = audited();
    workspace.file("text.json", b"hello");
    for (arguments, part) in [
        (&["html", "text.json"] as &[&str], "text.json"),
        (&["csv", "nowhere"], "nowhere"),
        (&["diff", "out", "photos"], "photos"),
        (&["diff", "out", "out", "--noise", "-1"], "-1"),
        (&["html", "out", "--pictures", "photos"], "no pictures"),
    ] {
        let output = run(&workspace, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(part), "{arguments:?}: {said}");
    }
}

/// The browser of the tests; they say so and end where there is none.
fn chromium() -> Option<String> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("skipped: there is no Chromium (Debian: apt-get install chromium)");
    }
    found.map(str::to_owned)
}

/// The page as a browser has built it, and what its console says.
fn opened(chromium: &str, page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(chromium);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("file://{}", page.display()));
    let output = command.output().unwrap();
    let console: Vec<String> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .map(str::to_owned)
        .collect();
    (String::from_utf8_lossy(&output.stdout).into_owned(), console.join("\n"))
}

#[test]
fn a_browser_opens_the_page_without_errors_and_draws_every_point() {
    let Some(chromium) = chromium() else { return };
    let workspace = audited();
    let (built, console) = opened(&chromium, &workspace.path("out/report.html"));
    assert_eq!(console, "");
    let report = workspace.report("out");
    // One point per attacked image, one per budget for the worst case and for noise.
    let points = rows(&report).len() + report["worst"].as_array().unwrap().len() + 2;
    assert_eq!(built.matches("<circle").count(), points, "{built}");
    // What a reader who does not see the page is told.
    assert!(built.contains("<html lang=\"en\"") && built.contains("role=\"img\""));
    let svgs = built.matches("<svg").count();
    let told = built.matches("role=\"img\"").count() + built.matches("aria-hidden=").count();
    assert_eq!(told, svgs, "{built}");
}
