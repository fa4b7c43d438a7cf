//! What an audit says against its own numbers, what it leaves out, and the thresholds of pipelines.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::{Workspace, apart, rippled, rows, upscaler};
use serde_json::Value;
use temper::onnx::{Model, Tensor};

const AUDIT: [&str; 6] = ["model.onnx", "--images", "photos", "--range", "0..1", "--runtime"];

fn audit<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&AUDIT[..], &["tract"], more].concat()
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// Upscales x as sixteen levels: no gradient passes.
fn stepped() -> Model {
    upscaler(|graph, image| {
        let fine = graph.initializer("fine", Tensor::scalar(16.0));
        let levels = graph.node("Mul", "levels", &[image, &fine], []);
        let rounded = graph.node("Round", "rounded", &[&levels], []);
        let stepped = graph.node("Div", "stepped", &[&rounded, &fine], []);
        apart(graph, &stepped)
    })
}

#[test]
fn a_gradient_that_is_right_and_leads_nowhere_is_an_alarm() {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &rippled());
    let flags = ["--attack", "ifgsm,square", "--budget", "8", "--iterations", "20", "--queries", "200"];
    let (table, report) = workspace.audit(&audit(&flags));
    let check = &report["gradient_checks"][0];
    assert!(check["slope"].as_f64().unwrap() / check["gradient_slope"].as_f64().unwrap() > 0.95, "{check}");
    assert!(check["problem"].as_str().unwrap().contains("no image of 8 bits shows"), "{check}");
    assert_eq!(codes(&report)[0], "gradient-not-trusted", "{table}");
    assert!(table.contains("gradient not trusted: within 0.50/255"), "{table}");
}

#[test]
fn a_quantising_step_is_an_alarm_and_is_broken_without_gradients() {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &stepped());
    let flags = ["--attack", "ifgsm", "--budget", "8", "--iterations", "5", "--queries", "200"];
    let (_, report) = workspace.audit(&audit(&flags));
    assert_eq!(codes(&report)[0], "gradient-not-trusted");
    let broken =
        rows(&report).iter().all(|row| row["attack"] == "square" && row["sr_psnr"].as_f64().unwrap() < 35.0);
    assert!(broken, "{:?}", rows(&report));
}

/// Upscales x through a stair of saturating gates, which is smooth and mostly flat.
fn gated() -> Model {
    upscaler(|graph, image| {
        let steep = graph.initializer("steep", Tensor::scalar(1000.0));
        let share = graph.initializer("share", Tensor::scalar(1.0 / 32.0));
        let mut sum = graph.initializer("half", Tensor::scalar(0.5));
        for step in 0..16 {
            let edge = graph.initializer(&format!("edge{step}"), Tensor::scalar((step as f32 + 0.5) / 16.0));
            let from = graph.node("Sub", &format!("from{step}"), &[image, &edge], []);
            let scaled = graph.node("Mul", &format!("scaled{step}"), &[&from, &steep], []);
            let gate = graph.node("Tanh", &format!("gate{step}"), &[&scaled], []);
            let part = graph.node("Mul", &format!("part{step}"), &[&gate, &share], []);
            sum = graph.node("Add", &format!("sum{step}"), &[&sum, &part], []);
        }
        apart(graph, &sum)
    })
}

#[test]
fn a_saturating_gate_is_an_alarm_and_is_broken_without_gradients() {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &gated());
    let flags = ["--attack", "ifgsm,square", "--budget", "8", "--iterations", "10", "--queries", "300"];
    let (table, report) = workspace.audit(&audit(&flags));
    assert_eq!(report["findings"][0]["level"], "alarm", "{table}");
    let square = rows(&report).iter().filter(|row| row["attack"] == "square");
    let left: Vec<f64> = square.map(|row| row["sr_psnr"].as_f64().unwrap()).collect();
    assert!(!left.is_empty() && left.iter().all(|left| *left < 36.0), "{left:?}");
}

#[test]
fn an_honest_network_raises_no_alarm_and_its_rows_say_what_bicubic_does() {
    let workspace = Workspace::new();
    let flags = ["--attack", "ifgsm,square", "--budget", "4", "--iterations", "20", "--queries", "50"];
    let (table, report) = workspace.audit(&audit(&flags));
    let alarms = report["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "alarm");
    assert_eq!(alarms.count(), 0, "{table}");
    for row in rows(&report) {
        let number = |name: &str| row[name].as_f64().unwrap();
        let expected = 10f64.powf((number("lr_psnr") - number("sr_psnr")) / 20.0);
        assert!((number("amplification") - expected).abs() < 1e-9 * expected);
        // Bicubic's kernel is no amplifier: the sum of its squared weights is below 1, but for edges.
        assert!(number("bicubic_amplification") < 1.1 && number("sr_ssim") < 1.0, "{row}");
    }
    let worst = &report["worst"][0];
    let least =
        rows(&report).iter().map(|row| row["sr_psnr"].as_f64().unwrap()).fold(f64::INFINITY, f64::min);
    assert_eq!(worst["image_sr_psnr"].as_f64().unwrap(), least);
    assert_eq!(report["noise"].as_array().unwrap().len(), 2);
}

#[test]
fn a_threshold_that_is_missed_fails_with_the_rows_and_keeps_the_report() {
    let workspace = Workspace::new();
    let run = |threshold: &str| {
        let flags = ["--budget", "1,8", "--iterations", "3", "--out", "out", "--min-sr-psnr", threshold];
        workspace.temper(&[&["audit"], &audit(&flags)[..]].concat()).output().unwrap()
    };
    assert_eq!(run("1").status.code(), Some(0));
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let missed = run("1@1,99@8");
    let said = String::from_utf8(missed.stderr).unwrap();
    assert_eq!(missed.status.code(), Some(1), "{said}");
    assert!(said.contains("2 lines fail --min-sr-psnr") && !said.contains("at 1/255"), "{said}");
    for image in ["a.png", "b.png"] {
        assert!(said.contains(&format!("model.onnx on tract, strongest at 8/255, {image}: ")), "{said}");
    }
    assert!(workspace.path("out/report.json").exists());
    std::fs::remove_dir_all(workspace.path("out")).unwrap();
    let flags =
        ["audit", "model.onnx", "--images", "photos", "--budget", "1,8", "--out", "out", "--min-sr-psnr"];
    let unknown = workspace.refused(&[&flags[..], &["30@4"]].concat(), 2);
    assert!(unknown.contains("30@4 names no row: the budgets are 1, 8"), "{unknown}");
    let odd = workspace.temper(&[&flags[..], &["much"]].concat()).output().unwrap();
    assert_eq!(odd.status.code(), Some(2));
}

#[test]
fn a_quick_look_says_what_it_leaves_out() {
    let workspace = Workspace::new();
    for name in ["c", "d", "e"] {
        workspace.photo(&format!("photos/{name}.png"), 70, 24);
    }
    let (table, report) = workspace.audit(&["model.onnx", "--images", "photos", "--runtime", "tract"]);
    assert!(table.contains("Left out: this is a quick look"), "{table}");
    assert_eq!(report["images"].as_array().unwrap().len(), 3);
    let images = report["images"].as_array().unwrap();
    assert!(images.iter().all(|image| image["size"][0].as_u64().unwrap() <= 64), "{images:?}");
    // Said what to attack with, nothing is left out.
    let flags =
        ["model.onnx", "--images", "photos", "--runtime", "tract", "--budget", "4", "--iterations", "2"];
    let (table, report) = workspace.audit(&flags);
    assert!(!table.contains("Left out"), "{table}");
    assert_eq!(report["images"].as_array().unwrap().len(), 5);
}

#[test]
fn a_time_limit_is_kept_by_attacking_less_and_said() {
    let workspace = Workspace::new();
    let flags = ["--attack", "ifgsm", "--iterations", "2000", "--budget", "4", "--time-limit", "0.002"];
    let start = std::time::Instant::now();
    let (table, report) = workspace.audit(&[&audit(&flags)[..], &["--crop", "12"]].concat());
    assert!(report["images"].as_array().unwrap().len() == 2 && rows(&report).len() == 1, "{table}");
    assert!(table.contains("only the first 1 of 2 images were attacked, to keep --time-limit"), "{table}");
    assert!(start.elapsed().as_secs() < 180);
}

#[test]
fn members_that_cost_the_least_strength_are_left_out_before_images() {
    let workspace = Workspace::new();
    let flags = ["--attack", "strongest", "--iterations", "60", "--budget", "4", "--time-limit", "0.001"];
    let (table, report) =
        workspace.audit(&audit(&[&flags[..], &["--crop", "12", "--queries", "20"]].concat()));
    let left_out = report["settings"]["left_out"].as_array().unwrap();
    let members = "strongest ran without features, singular, luma, to keep --time-limit";
    assert_eq!(left_out[0], members, "{table}");
    assert!(left_out[1].as_str().unwrap().starts_with("only the first 1 of 2 images"), "{left_out:?}");
    let ran: Vec<&str> = rows(&report)[0]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["name"].as_str().unwrap())
        .collect();
    let stay = ["apgd", "eight-bit", "inner", "transfer", "square"];
    assert!(stay.iter().all(|name| ran.contains(name)) && !ran.contains(&"luma"), "{ran:?}");
}

#[test]
fn clever_takes_one_gradient_a_sample() {
    let workspace = Workspace::new();
    let steps = |more: &[&str]| {
        let flags = [&["--iterations", "2", "--budget", "4", "--no-cache"], more].concat();
        workspace.audit(&audit(&flags)).1["timing"]["gradient_steps"].as_u64().unwrap()
    };
    assert_eq!(steps(&["--clever=50"]) - steps(&[]), 2 * 50, "two images");
}

/// On a linear network every gradient of the distance has the same direction up to the output's: CLEVER is
/// the largest over the samples of ||W^T r||_1 with r the output's unit vector.
#[test]
fn clever_is_that_of_a_linear_network_and_grows_with_its_weights() {
    let workspace = Workspace::new();
    let index = |weight: f32, samples: &str| {
        workspace.model("model.onnx", &upscaler(|graph, image| common::mix(graph, image, weight)));
        let (table, report) = workspace.audit(&audit(&["--iterations", "2", "--budget", "4", samples]));
        assert!(table.contains("CLEVER"), "{table}");
        let found = report["clever"].as_array().unwrap().clone();
        assert_eq!(found.len(), 2);
        // Every output is w times the sum s of a pixel's colours: the distance is w sqrt(12) ||s||_2, whose
        // gradient is w sqrt(12) s / ||s||_2 in each of 3 colours. Its L1 norm is at most 3 w sqrt(12 n) for n
        // pixels, and near 3 w sqrt(12 n) sqrt(2 / pi) for many, where s is the sum of three uniform numbers.
        let pixels = 22.0 * 30.0f64;
        let most = 3.0 * f64::from(weight) * (12.0 * pixels).sqrt();
        let index = found[0]["index"].as_f64().unwrap();
        assert!(index < most && index > 0.78 * most, "{index} of {most}");
        (index, found[0]["extreme"]["bound"].as_f64())
    };
    let (little, none) = index(0.1, "--clever=16");
    assert_eq!(none, None, "too few samples for an extreme value");
    let (much, bound) = index(0.2, "--clever=512");
    assert!(much > 1.95 * little, "{much} {little}");
    assert!(bound.is_none_or(|bound| bound >= much), "{bound:?} {much}");
}
