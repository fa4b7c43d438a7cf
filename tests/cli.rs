//! The command line as a person meets it: what is refused and how it is said, and that nothing is
//! left half-written.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use common::{Workspace, apart, first_half, mix, picture, rows, upscaler};
use ndarray::{ArrayD, Axis, IxDyn};
use temper::onnx::{self, Attribute, DType, Dim, GraphBuilder, Model, Node, Tensor, ValueInfo};
use temper::runtime::Kind;

/// An audit of `model` that is quick where it works at all.
fn audit(model: &str) -> Vec<&str> {
    let rest = "--images photos --budget 4 --iterations 1 --runtime tract --out out";
    [vec!["audit", model], rest.split(' ').collect()].concat()
}

/// The same with the value of one flag replaced.
fn audit_with<'a>(flag: &'a str, value: &'a str) -> Vec<&'a str> {
    let mut arguments = audit("model.onnx");
    match arguments.iter().position(|argument| *argument == flag) {
        Some(at) => arguments[at + 1] = value,
        None => arguments.extend([flag, value]),
    }
    arguments
}

/// A message must name all of these.
#[track_caller]
fn names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn a_file_that_is_no_model_is_refused_by_name() {
    let workspace = Workspace::new();
    workspace.file("empty.onnx", b"");
    workspace.file("cut.onnx", &first_half(&workspace.path("model.onnx")));
    workspace.file("picture.onnx", &std::fs::read(workspace.path("photos/a.png")).unwrap());
    workspace.file("text.onnx", b"hello, this is not a model at all");
    let cases: [(&str, &[&str]); 6] = [
        ("missing.onnx", &["missing.onnx", "no such file", "check"]),
        ("photos", &["photos", "folder", "give"]),
        ("empty.onnx", &["empty.onnx", "empty", "copy it again"]),
        ("cut.onnx", &["cut.onnx", "cut short", "again"]),
        ("picture.onnx", &["picture.onnx", "PNG image", "pass a file"]),
        ("text.onnx", &["text.onnx", "is a text file", "pass a file"]),
    ];
    for (model, parts) in cases {
        names(&workspace.refused(&audit(model), 2), parts);
        names(&workspace.refused(&["grad", model, "--input", "8x8", "-o", "out/gradient.onnx"], 2), parts);
    }
}

#[test]
fn a_model_of_two_inputs_is_refused_naming_both() {
    let workspace = Workspace::new();
    let mut model = upscaler(|graph, image| mix(graph, image, 0.3));
    model.graph.inputs.push(ValueInfo::tensor("strength", DType::F32, []));
    workspace.model("two.onnx", &model);
    names(&workspace.refused(&audit("two.onnx"), 2), &["two.onnx", "the image", "`strength`", "--feed"]);
    let grad = ["grad", "two.onnx", "--input", "8x8", "-o", "gradient.onnx"];
    names(&workspace.refused(&grad, 2), &["two.onnx", "image", "`strength`"]);
    assert!(!workspace.path("gradient.onnx").exists());
}

#[test]
fn an_interface_that_is_not_taken_is_named() {
    let workspace = Workspace::new();
    let with_input = |dtype, channels: usize, rank: usize| {
        let mut graph = GraphBuilder::new("odd");
        let dims = [1, channels, 8, 8].into_iter().take(rank).map(Dim::Known);
        let x = graph.input(ValueInfo::tensor("x", dtype, dims));
        let y = graph.node("Relu", "y", &[&x], []);
        graph.output(ValueInfo::tensor(y, dtype, []));
        Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Default::default()
        }
    };
    let cases = [
        (with_input(DType::F32, 2, 4), vec!["`x`", "[1, 2, 8, 8]", "3 or 1 channels"]),
        (with_input(DType::F32, 3, 3), vec!["`x`", "[1, 3, 8]", "four axes"]),
        (with_input(DType::U8, 3, 4), vec!["`x`", "uint8", "float32 and float16"]),
        (ending_in(7), vec!["`converted`", "int64", "float32 or float16 output"]),
        (shrinking(), vec!["24x32", "48x64", "expected"]),
    ];
    for (model, parts) in cases {
        workspace.model("odd.onnx", &model);
        let message = workspace.refused(&audit("odd.onnx"), 2);
        names(&message, &[&["odd.onnx"], parts.as_slice()].concat());
    }
}

/// A model whose output is cast to the element type of this code.
fn ending_in(code: i64) -> Model {
    let mut model = upscaler(apart);
    let output = &mut model.graph.outputs[0];
    let cast = Node {
        op: "Cast".into(),
        inputs: vec![std::mem::replace(&mut output.name, "converted".into())],
        outputs: vec![output.name.clone()],
        attributes: [("to".to_owned(), Attribute::Int(code))].into(),
        ..Default::default()
    };
    model.graph.nodes.push(cast);
    model
}

/// A model whose output is smaller than its input.
fn shrinking() -> Model {
    upscaler(|graph, image| {
        let weights = graph.initializer("weights", Tensor::f32(&[12, 3, 1, 1], vec![0.1; 36]).unwrap());
        let strides = ("strides", Attribute::Ints(vec![4, 4]));
        graph.node("Conv", "strided", &[image, &weights], [strides])
    })
}

#[test]
fn images_that_cannot_be_used_are_refused_by_name() {
    let workspace = Workspace::new();
    workspace.file("zero/nothing.png", b"");
    workspace.file("text/notes.png", b"these are notes");
    workspace.file("cut/half.png", &first_half(&workspace.path("photos/a.png")));
    workspace.file("none/readme.txt", b"no pictures here");
    let cases: [(&str, &[&str]); 6] = [
        ("zero", &["nothing.png", "empty (0 bytes)"]),
        ("text", &["notes.png", "not an image", "give PNG"]),
        ("cut", &["half.png", "damaged"]),
        ("none", &["none", "no images"]),
        ("nowhere", &["nowhere", "cannot be read as a folder", "give a folder"]),
        ("model.onnx", &["model.onnx", "cannot be read as a folder"]),
    ];
    for (folder, parts) in cases {
        names(&workspace.refused(&audit_with("--images", folder), 2), parts);
        let truth = ["audit", "model.onnx", "--truth", folder, "--runtime", "tract", "--out", "out"];
        names(&workspace.refused(&truth, 2), parts);
    }
}

#[test]
fn an_audit_without_images_says_how_to_give_them() {
    let workspace = Workspace::new();
    let message = workspace.refused(&["audit", "model.onnx", "--out", "out"], 2);
    names(&message, &["--images", "--truth"]);
}

#[test]
fn ground_truth_of_another_size_or_name_is_refused() {
    let workspace = Workspace::new();
    workspace.photo("wrong/a.png", 44, 61);
    workspace.photo("wrong/b.png", 50, 48);
    workspace.photo("unnamed/c.png", 44, 60);
    let message = workspace.refused(&audit_with("--truth", "wrong"), 2);
    names(&message, &["a.png", "44", "61", "60", "model.onnx"]);
    names(&workspace.refused(&audit_with("--truth", "unnamed"), 2), &["a.png", "no ground truth", "unnamed"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_work_starts() {
    let workspace = Workspace::new();
    workspace.file("file", b"in the way");
    for out in ["file", "file/below", "/proc/nowhere"] {
        // The model is missing too: the folder is tried first.
        let arguments = ["audit", "missing.onnx", "--images", "photos", "--out", out];
        names(&workspace.refused(&arguments, 2), &[out, "folder"]);
    }
    assert_eq!(std::fs::read(workspace.path("file")).unwrap(), b"in the way");
}

#[test]
fn what_is_no_budget_is_refused() {
    let workspace = Workspace::new();
    for budget in ["0", "-1", "nan", "inf", "256", "four", "4,0", ""] {
        let message = workspace.refused(&audit_with("--budget", budget), 2);
        names(&message, &["budget", "1/255"]);
    }
    names(&workspace.refused(&audit_with("--budget", "4,4"), 2), &["twice"]);
}

#[test]
fn what_is_unknown_gets_the_nearest_or_all_there_is() {
    let workspace = Workspace::new();
    names(&workspace.refused(&audit_with("--attack", "ifgms"), 2), &["ifgms", "did you mean `ifgsm`"]);
    names(
        &workspace.refused(&audit_with("--runtime", "onnx"), 2),
        &["onnx", "ort, ort-plain, ort-cuda, tract, torch"],
    );
    names(&workspace.refused(&audit_with("--iterations", "0"), 2), &["--iterations"]);
    names(&workspace.refused(&audit_with("--iterations", "-3"), 2), &["--iterations"]);
}

#[test]
fn a_runtime_that_was_named_and_is_missing_ends_it() {
    let workspace = Workspace::new();
    let arguments = audit_with("--runtime", "tract,ort");
    let output = workspace.temper(&arguments).env("ORT_DYLIB_PATH", "/nonexistent/lib.so").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    names(&said, &["error: ", "ort", "/nonexistent/lib.so", "make setup"]);
    assert!(!workspace.path("out").exists());
}

#[test]
fn a_runtime_that_nobody_named_is_left_out_with_a_word() {
    let workspace = Workspace::new();
    let arguments = ["audit", "model.onnx", "--images", "photos", "--budget", "4", "--iterations", "2"];
    let arguments = [&arguments[..], &["--out", "out"]].concat();
    let output = workspace.temper(&arguments).env("ORT_DYLIB_PATH", "/nonexistent/lib.so").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    names(&said, &["ort", "/nonexistent/lib.so"]);
    let report = workspace.report("out");
    assert_eq!(report["runtimes"].as_array().unwrap().len(), 1);
    assert_eq!(report["runtimes"][0]["name"], "tract");
}

#[test]
fn a_report_that_was_there_outlives_a_failed_audit() {
    let workspace = Workspace::new();
    workspace.file("kept/report.json", b"{}");
    workspace.file("zero/nothing.png", b"");
    let mut arguments = audit_with("--images", "zero");
    let at = arguments.iter().position(|argument| *argument == "out").unwrap();
    arguments[at] = "kept";
    workspace.refused(&arguments, 2);
    assert_eq!(workspace.files_in("kept"), ["report.json"]);
    assert_eq!(std::fs::read(workspace.path("kept/report.json")).unwrap(), b"{}");
}

/// A gradient that is zero must never be climbed: an attack that goes nowhere looks like a robust
/// model. The model is attacked without, and that is said.
#[test]
fn a_gradient_that_cannot_be_trusted_is_never_a_verdict() {
    let workspace = Workspace::new();
    workspace.photo("photos/a.png", 120, 160);
    let rounded = upscaler(|graph, image| {
        let rounded = graph.node("Round", "rounded", &[image], []);
        mix(graph, &rounded, 0.3)
    });
    let constant = upscaler(|graph, image| mix(graph, image, 0.0));
    let not_a_number = upscaler(|graph, image| mix(graph, image, f32::NAN));
    // Rounded to 16 levels, with a path beside it that lets almost nothing through.
    let masked = upscaler(|graph, image| {
        let sixteen = graph.initializer("sixteen", Tensor::scalar(16.0));
        let little = graph.initializer("little", Tensor::scalar(1e-4));
        let levels = graph.node("Mul", "levels", &[image, &sixteen], []);
        let rounded = graph.node("Round", "rounded", &[&levels], []);
        let leak = graph.node("Mul", "leak", &[image, &little], []);
        let both = graph.node("Add", "both", &[&rounded, &leak], []);
        mix(graph, &both, 0.02)
    });
    // One colour goes through steps, so that its part of the gradient is missing.
    let partly = upscaler(|graph, image| {
        let fine = graph.initializer("fine", Tensor::scalar(64.0));
        let coarse = graph.initializer("coarse", Tensor::scalar(1.0 / 64.0));
        let levels = graph.node("Mul", "levels", &[image, &fine], []);
        let rounded = graph.node("Round", "rounded", &[&levels], []);
        let stepped = graph.node("Mul", "stepped", &[&rounded, &coarse], []);
        let first = |value| Tensor::f32(&[1, 3, 1, 1], vec![value, 1.0 - value, 1.0 - value]).unwrap();
        let [red, others] =
            [("red", 1.0), ("others", 0.0)].map(|(name, v)| graph.initializer(name, first(v)));
        let red = graph.node("Mul", "red_steps", &[&stepped, &red], []);
        let others = graph.node("Mul", "other_colours", &[image, &others], []);
        let both = graph.node("Add", "both", &[&red, &others], []);
        apart(graph, &both)
    });
    for (name, model, reason) in [
        ("partly.onnx", partly, "only a zero gradient passes Round node `rounded`"),
        ("masked.onnx", masked, "only a zero gradient passes Round node `rounded`"),
        ("rounded.onnx", rounded, "zero gradient everywhere: Round node `rounded`"),
        ("constant.onnx", constant, "100.0% of its entries are exactly zero"),
    ] {
        workspace.model(name, &model);
        // None of these upscales as bicubic does; stated, an interface is believed.
        let arguments = [&audit(name)[1..10], &["--range", "0..1", "--queries", "20"]].concat();
        let (table, report) = workspace.audit(&arguments);
        let trust = &report["gradient_checks"][0];
        assert_eq!(trust["trusted"], false, "{trust}");
        names(trust["problem"].as_str().unwrap(), &[reason]);
        names(&table, &[name, "gradient not trusted", "attacked without gradients"]);
        assert!(rows(&report).iter().all(|row| row["attack"] == "square"), "{table}");
        std::fs::remove_dir_all(workspace.path("out")).unwrap();
    }
    workspace.model("nan.onnx", &not_a_number);
    let arguments = [&audit("nan.onnx")[..], &["--range", "0..1"]].concat();
    names(&workspace.refused(&arguments, 3), &["nan.onnx", "not finite"]);
}

/// The last model is tried before the first is attacked: this one would take days.
#[test]
fn all_gradients_are_tested_before_the_first_attack() {
    let workspace = Workspace::new();
    workspace.model("nan.onnx", &upscaler(|graph, image| mix(graph, image, f32::NAN)));
    let mut arguments = audit_with("--iterations", "100000000");
    arguments.insert(2, "nan.onnx");
    arguments.extend(["--range", "0..1"]);
    names(&workspace.refused(&arguments, 3), &["nan.onnx", "not finite"]);
}

#[test]
fn what_the_gradient_does_not_see_is_said() {
    let workspace = Workspace::new();
    let model = upscaler(|graph, image| {
        let little = graph.initializer("little", Tensor::scalar(1e-6));
        let rounded = graph.node("Round", "rounded", &[image], []);
        let trace = graph.node("Mul", "trace", &[&rounded, &little], []);
        let both = graph.node("Add", "both", &[image, &trace], []);
        apart(graph, &both)
    });
    workspace.model("model.onnx", &model);
    let (table, report) = workspace.audit(&audit("model.onnx")[1..10]);
    let stopped = report["models"][0]["stopped"].as_array().unwrap();
    assert_eq!(stopped.len(), 1);
    names(stopped[0]["node"].as_str().unwrap(), &["Round", "rounded"]);
    assert!(!stopped[0]["reason"].as_str().unwrap().is_empty());
    names(&table, &["model.onnx: only a zero gradient passes Round node `rounded`: "]);
}

#[test]
fn an_image_too_large_for_the_memory_is_refused_before_the_first_attack() {
    let workspace = Workspace::new();
    let large = ["photos/a.png", "model.onnx", "22x30", "may take ", " MiB, and 0.1 MiB may be", "--memory"];
    names(&workspace.refused(&audit_with("--memory", "0.0001"), 2), &large);
    for amount in ["0", "-1", "nan", "much"] {
        names(&workspace.refused(&audit_with("--memory", amount), 2), &["GiB above 0"]);
    }
}

#[test]
fn ground_truth_too_small_to_compare_is_refused_by_name() {
    let workspace = Workspace::new();
    workspace.photo("small/a.png", 14, 40);
    let small = |more: &[&str]| {
        let arguments = ["audit", "model.onnx", "--runtime", "tract", "--out", "out", "--truth"];
        workspace.refused(&[&arguments[..], more].concat(), 2)
    };
    names(&small(&["small"]), &["small/a.png", "14x40", "15x15"]);
    names(&small(&["photos", "--crop", "5"]), &["photos/a.png", "10x10", "15x15", "--crop"]);
}

#[test]
fn one_of_several_outputs_must_be_named() {
    let workspace = Workspace::new();
    let mut model = upscaler(apart);
    let more = model.graph.nodes[0].outputs[0].clone();
    model.graph.outputs.insert(0, ValueInfo { name: more.clone(), ..model.graph.outputs[0].clone() });
    workspace.model("model.onnx", &model);
    let grad = ["grad", "model.onnx", "--input", "8x9", "-o", "g.onnx"];
    let both = [more.as_str(), "`upscaled`", "--output NAME"];
    names(&workspace.refused(&grad, 2), &both);
    names(&workspace.refused(&audit("model.onnx"), 2), &both);
    names(&workspace.refused(&audit_with("--output", "sr"), 2), &["`sr`", "`upscaled`"]);
    // The size of `target` tells which one was taken.
    for (name, size) in [("upscaled", vec![1, 3, 16, 18]), (more.as_str(), vec![1, 12, 8, 9])] {
        workspace.temper(&[&grad[..], &["--output", name]].concat()).assert().success();
        let gradient = onnx::read(&workspace.path("g.onnx")).unwrap();
        let target = gradient.graph.inputs.iter().find(|input| input.name == "target").unwrap();
        let dims: Vec<usize> = target.dims().unwrap().1.iter().map(|dim| dim.known().unwrap()).collect();
        assert_eq!(dims, size);
    }
    workspace.audit(&[&audit("model.onnx")[1..10], &["--output", "upscaled"]].concat());
}

#[test]
fn a_gradient_is_never_written_over_its_model() {
    let workspace = Workspace::new();
    let before = std::fs::read(workspace.path("model.onnx")).unwrap();
    workspace.file("folder/other", b"");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("model.onnx", workspace.path("link.onnx")).unwrap();
        std::fs::hard_link(workspace.path("model.onnx"), workspace.path("twin.onnx")).unwrap();
        for (model, out) in
            [("model.onnx", "link.onnx"), ("link.onnx", "model.onnx"), ("model.onnx", "twin.onnx")]
        {
            let message = workspace.refused(&["grad", model, "--input", "8x8", "-o", out], 2);
            names(&message, &[out, model, "another name"]);
        }
    }
    for out in ["model.onnx", "./model.onnx", "folder/../model.onnx"] {
        let message = workspace.refused(&["grad", "model.onnx", "--input", "8x8", "-o", out], 2);
        names(&message, &[out, "the model's own file", "another name"]);
    }
    assert_eq!(std::fs::read(workspace.path("model.onnx")).unwrap(), before);
}

/// As `temper ... | head -1` does.
#[test]
#[cfg(unix)]
fn a_reader_that_has_gone_is_the_end_of_the_output() {
    use std::process::{Command, Stdio};
    let workspace = Workspace::new();
    let grad = vec!["grad", "model.onnx", "--input", "8x8", "-o", "g.onnx"];
    for arguments in [audit("model.onnx"), grad, vec!["--help"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
        command.args(&arguments).current_dir(workspace.path("")).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("Plan: ")).collect();
        assert_eq!((output.status.code(), &said[..]), (Some(0), &[][..]), "{arguments:?}");
    }
    assert!(workspace.path("out/report.json").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_the_output_is_an_error_and_no_panic() {
    let workspace = Workspace::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_temper"));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    command.args(audit("model.onnx")).current_dir(workspace.path("")).stdout(full);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    names(
        &String::from_utf8_lossy(&output.stderr),
        &["error: standard output cannot be written", "elsewhere"],
    );
}

#[test]
fn a_gradient_graph_is_a_model_like_any_other() {
    let workspace = Workspace::new();
    let grad = ["grad", "model.onnx", "--input", "12x17", "-o", "gradient.onnx"];
    workspace.temper(&grad).assert().success();
    let model = onnx::read(&workspace.path("gradient.onnx")).unwrap();
    let inputs: Vec<&str> = model.graph.required_inputs().map(|input| input.name.as_str()).collect();
    assert_eq!(inputs, ["image", "target"]);
    let outputs: Vec<String> = model.graph.outputs.iter().map(|output| output.name.clone()).collect();
    assert_eq!(outputs, ["value", "gradient"]);
    let sizes = |info: &ValueInfo| info.dims().unwrap().1.iter().map(|dim| dim.known().unwrap()).collect();
    let gradient: Vec<usize> = sizes(&model.graph.outputs[1]);
    assert_eq!(gradient, [1, 3, 12, 17]);
    let standard = model.graph.nodes.iter().all(|node| node.domain.is_empty());
    assert!(standard, "only standard operators");
}

#[test]
fn a_size_or_a_place_that_cannot_be_is_refused() {
    let workspace = Workspace::new();
    for size in ["12", "0x8", "8x0", "axb", "8x8x8", "-8x8", "99999999999999999999x8"] {
        let message = workspace.refused(&["grad", "model.onnx", "--input", size, "-o", "g.onnx"], 2);
        names(&message, &[size]);
    }
    let message = workspace.refused(&["grad", "model.onnx", "--input", "8x8", "-o", "no/folder/g.onnx"], 2);
    names(&message, &["no/folder", "create"]);
    assert!(!workspace.path("g.onnx").exists() && !workspace.path("no").exists());
}

/// Ctrl-C ends an audit between two steps; a report is whole or not there, and what was done is kept unless
/// that was not wanted.
#[test]
#[cfg(unix)]
fn an_interrupted_audit_leaves_no_report() {
    let said = interrupted(&[], &["cache"]);
    assert!(said.contains("the same command goes on from here"), "{said}");
    let said = interrupted(&["--no-cache"], &[]);
    assert!(said.contains("interrupted: nothing was written"), "{said}");
}

/// What an audit says that Ctrl-C ends, and that leaves this in its folder.
#[cfg(unix)]
fn interrupted(more: &[&str], left: &[&str]) -> String {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let workspace = Workspace::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
    let mut arguments = audit("model.onnx");
    let at = arguments.iter().position(|argument| *argument == "1").unwrap();
    arguments[at] = "10000000";
    command.args(arguments).args(more).current_dir(workspace.path(""));
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(180);
    let awaited = left.first().map_or_else(|| workspace.path("out"), |name| workspace.path("out").join(name));
    while !awaited.exists() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > limit {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_eq!(workspace.files_in("out"), left, "{said}");
    said
}

/// What was written for any size is, at another one, what is written for that size.
#[test]
fn a_dynamic_gradient_is_that_of_every_size() {
    let workspace = Workspace::new();
    let grad = |size: &str, out: &str, more: &[&str]| {
        let asked = ["--json", "grad", "model.onnx", "--input", size, "-o", out];
        let output = workspace.temper(&[&asked[..], more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (said, onnx::read(&workspace.path(out)).unwrap())
    };
    let (said, open) = grad("8x10", "any.onnx", &["--dynamic"]);
    assert_eq!((&said["any_size"], said.get("one_size")), (&true.into(), None), "{said}");
    let (said, fixed) = grad("13x9", "one.onnx", &[]);
    assert_eq!(said["any_size"], false, "{said}");
    let image = picture(13, 9).insert_axis(Axis(0)).into_dyn();
    let scale = fixed.graph.inputs[1].dims().unwrap().1[2].known().unwrap() / 13;
    let target = ArrayD::from_elem(IxDyn(&[1, 3, 13 * scale, 9 * scale]), 0.4_f32);
    let of = |model: &Model| {
        let shapes = [image.shape(), target.shape()];
        let model = temper::rewrite::specialise(model, &shapes).unwrap();
        let mut session = temper::runtime::open(Kind::TRACT).unwrap().load(&model).unwrap();
        session.run(&[image.view(), target.view()]).unwrap()
    };
    assert_eq!(of(&open), of(&fixed));
}

#[test]
fn a_gradient_that_knows_its_size_is_written_for_it_and_says_why() {
    let workspace = Workspace::new();
    // The mean over all pixels divides by their number.
    let pooled = upscaler(|graph, image| {
        let mean = graph.node("GlobalAveragePool", "mean", &[image], []);
        let lit = graph.node("Mul", "lit", &[image, &mean], []);
        mix(graph, &lit, 0.3)
    });
    workspace.model("pooled.onnx", &pooled);
    let mut fixed = upscaler(|graph, image| mix(graph, image, 0.3));
    fixed.graph.inputs[0] = ValueInfo::tensor("image", DType::F32, [1, 3, 8, 8].map(Dim::Known));
    workspace.model("fixed.onnx", &fixed);
    // Another network above 64 pixels.
    let deciding = upscaler(|graph, image| {
        let shape = graph.node("Shape", "shape", &[image], []);
        let height = graph.initializer("axis", Tensor::i64(&[], vec![2]).unwrap());
        let height = graph.node("Gather", "height", &[&shape, &height], []);
        let [most, dim, lit] = [
            ("most", Tensor::i64(&[], vec![64]).unwrap()),
            ("dim", Tensor::scalar(0.5)),
            ("lit", Tensor::scalar(1.0)),
        ]
        .map(|(name, tensor)| graph.initializer(name, tensor));
        let large = graph.node("Greater", "large", &[&height, &most], []);
        let factor = graph.node("Where", "factor", &[&large, &dim, &lit], []);
        let image = graph.node("Mul", "image_lit", &[image, &factor], []);
        mix(graph, &image, 0.3)
    });
    workspace.model("deciding.onnx", &deciding);
    for (model, reason) in
        [("pooled.onnx", "depends on it"), ("deciding.onnx", "depends on it"), ("fixed.onnx", "at 9x8: ")]
    {
        let asked = ["grad", model, "--input", "8x8", "-o", "g.onnx", "--dynamic"];
        let output = workspace.temper(&asked).assert().success().get_output().stdout.clone();
        let said = String::from_utf8(output).unwrap();
        assert!(said.contains("for 8x8 alone: ") && said.contains(reason), "{said}");
        let gradient = onnx::read(&workspace.path("g.onnx")).unwrap();
        assert!(
            gradient.graph.inputs.iter().all(|input| input
                .dims()
                .unwrap()
                .1
                .iter()
                .all(|dim| dim.known().is_some()))
        );
    }
}
