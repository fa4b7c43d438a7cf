//! ONNX Runtime and tract on the same models: the same numbers, the same every time, and one line
//! for what they cannot do.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

use std::path::Path;
use std::process::Command;

use ndarray::{ArrayD, ArrayViewD, IxDyn, Slice};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo, ValueType};
use temper::runtime::{self, Kind, Level, Ort, OrtOptions, Runtime, RuntimeError};
use temper::zoo::Edsr;

/// The runtimes of this machine, but for libtorch, whose interpreter has tests of its own. ONNX Runtime is a
/// library that may not be installed; where `make setup` has brought it, it must be there.
fn runtimes() -> Vec<Box<dyn Runtime>> {
    let set_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("native/onnxruntime/lib").exists();
    let mut runtimes = Vec::new();
    for kind in Kind::all().filter(|kind| *kind != Kind::TORCH) {
        match runtime::open(kind) {
            Ok(runtime) => runtimes.push(runtime),
            Err(error) => {
                let may_lack = kind == Kind::ORT && !set_up || std::env::var_os("ORT_DYLIB_PATH").is_some();
                assert!(may_lack, "{error}");
                eprintln!("without {kind}: {error}");
            }
        }
    }
    runtimes
}

/// The model for an input of one size.
fn fixed(mut model: Model, shape: [usize; 4]) -> Model {
    if let Some(ValueType::Tensor { shape: dims, .. }) = &mut model.graph.inputs[0].ty {
        *dims = Some(shape.map(Dim::Known).to_vec());
    }
    model
}

/// A model of one operator on a float32 tensor of shape 1x3x8x9.
fn single<const N: usize>(op: &str, weights: &[Tensor], attributes: [(&str, Attribute); N]) -> Model {
    let mut graph = GraphBuilder::new("single");
    let mut inputs = vec![graph.input(ValueInfo::tensor("x", DType::F32, [1, 3, 8, 9].map(Dim::Known)))];
    inputs.extend(weights.iter().map(|weight| graph.initializer("weight", weight.clone())));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let output = graph.node(op, "y", &inputs, attributes);
    let mut untyped = ValueInfo::tensor(output, DType::F32, []);
    untyped.ty = None;
    graph.output(untyped);
    let opsets = [(String::new(), 17)].into();
    Model { ir_version: 8, opsets, graph: graph.finish(), ..Default::default() }
}

fn image(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.random_range(0.0..=1.0))
}

fn run(
    runtime: &dyn Runtime,
    model: &Model,
    input: ArrayViewD<'_, f32>,
) -> Result<ArrayD<f32>, RuntimeError> {
    Ok(runtime.load(model)?.run(&[input])?.remove(0))
}

/// The largest difference as a share of the range of `reference`.
fn difference(output: &ArrayD<f32>, reference: &ArrayD<f32>) -> f32 {
    assert_eq!(output.shape(), reference.shape());
    let (low, high) = reference.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let worst = output.iter().zip(reference).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    worst / (high - low)
}

#[test]
fn runtimes_agree_on_every_scale_and_size() {
    let runtimes = runtimes();
    for scale in 2..=4 {
        let model = Edsr { features: 16, blocks: 3, scale }.build(scale as u64).unwrap();
        for (batch, height, width) in [(1, 8, 8), (1, 13, 21), (1, 1, 1), (2, 7, 32), (1, 40, 33)] {
            let shape = [batch, 3, height, width];
            let (model, input) = (fixed(model.clone(), shape), image(&shape, 5));
            let outputs: Vec<_> =
                runtimes.iter().map(|runtime| run(&**runtime, &model, input.view()).unwrap()).collect();
            assert_eq!(outputs[0].shape(), [batch, 3, height * scale, width * scale]);
            for output in &outputs {
                let difference = difference(output, &outputs[0]);
                assert!(difference <= 1e-4, "{difference} apart at scale {scale}, {shape:?}");
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let model = fixed(Edsr { features: 32, blocks: 2, scale: 3 }.build(1).unwrap(), [1, 3, 45, 64]);
    let input = image(&[1, 3, 45, 64], 2);
    let bits = |output: ArrayD<f32>| output.mapv(f32::to_bits);
    for runtime in runtimes() {
        let mut session = runtime.load(&model).unwrap();
        let first = bits(session.run(&[input.view()]).unwrap().remove(0));
        assert_eq!(bits(session.run(&[input.view()]).unwrap().remove(0)), first);
        assert_eq!(bits(run(&*runtime, &model, input.view()).unwrap()), first, "another session");
    }
}

#[test]
fn inputs_need_not_lie_in_one_piece() {
    let model = fixed(Edsr { features: 4, blocks: 1, scale: 2 }.build(1).unwrap(), [1, 3, 6, 9]);
    let wide = image(&[1, 6, 6, 18], 3);
    let every_other = wide.slice_each_axis(|axis| {
        let step = if axis.axis.index() % 2 == 1 { 2 } else { 1 };
        Slice::new(0, None, step)
    });
    for runtime in runtimes() {
        let scattered = run(&*runtime, &model, every_other.view()).unwrap();
        let dense = run(&*runtime, &model, every_other.as_standard_layout().view()).unwrap();
        assert_eq!(scattered, dense);
    }
}

#[test]
fn without_optimisations_the_numbers_are_the_same_but_for_rounding() {
    let Ok(plain) = Ort::open(OrtOptions { level: Level::None, threads: Some(1), ..OrtOptions::default() })
    else {
        return;
    };
    let model = fixed(Edsr { features: 16, blocks: 2, scale: 2 }.build(4).unwrap(), [1, 3, 24, 31]);
    let input = image(&[1, 3, 24, 31], 4);
    let plain = run(&plain, &model, input.view()).unwrap();
    for runtime in runtimes() {
        assert!(difference(&run(&*runtime, &model, input.view()).unwrap(), &plain) <= 1e-5);
    }
}

#[test]
fn versions_are_told() {
    for runtime in runtimes() {
        let version = runtime.version();
        assert!(version.split('.').count() == 3, "{version}");
        assert!(version.split('.').all(|number| number.parse::<u32>().is_ok()), "{version}");
    }
}

#[test]
fn every_refusal_is_one_line_that_names_the_runtime_and_the_place() {
    let weight = |shape: &[usize]| Tensor::f32(shape, vec![0.5; shape.iter().product::<usize>()]).unwrap();
    let pads = |pads: &[i64]| [("pads", Attribute::Ints(pads.to_vec()))];
    let cases = [
        (single("Frobnicate", &[], []), "Frobnicate"),
        (single("Conv", &[weight(&[4, 5, 3, 3])], []), "5"),
        (single("Add", &[weight(&[1, 2, 8, 9])], []), "Add"),
        (single("Reshape", &[Tensor::ints(&[7])], []), "7"),
        (single("Cast", &[], [("to", Attribute::Int(7))]), "`y` is"),
        // These two make tract panic, and a kernel beyond the image makes `ort` panic.
        (single("Conv", &[weight(&[4, 3, 3, 3])], pads(&[1, 1])), ""),
        (single("Transpose", &[], [("perm", Attribute::Ints(vec![0, 1, 1, 7]))]), ""),
    ];
    for runtime in runtimes() {
        for (model, named) in &cases {
            let error = run(&*runtime, model, image(&[1, 3, 8, 9], 0).view()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("runtime {} failed to ", runtime.kind())), "{error}");
            // rten names the node and its operator, and not the size.
            let names_node = runtime.kind().name() == "rten" && error.contains(&model.graph.nodes[0].op);
            assert!(error.lines().count() == 1 && (error.contains(named) || names_node), "{error}");
        }
    }
}

#[test]
fn a_crate_that_panics_on_a_model_does_not_end_the_program() {
    let weight = Tensor::f32(&[4, 3, 30, 3], vec![0.5; 4 * 3 * 30 * 3]).unwrap();
    let model = single("Conv", &[weight], []);
    for runtime in runtimes() {
        // What comes of it is up to the runtime; a well-formed model must still run after it.
        let _ = run(&*runtime, &model, image(&[1, 3, 8, 9], 0).view());
        let relu = single("Relu", &[], []);
        assert!(run(&*runtime, &relu, image(&[1, 3, 8, 9], 0).view()).is_ok());
    }
}

#[test]
fn an_operator_of_a_foreign_domain_is_not_taken_for_the_standard_one() {
    let mut model = single("Relu", &[], []);
    model.opsets.insert("com.example".into(), 1);
    model.graph.nodes[0].domain = "com.example".into();
    for runtime in runtimes() {
        let error = run(&*runtime, &model, image(&[1, 3, 8, 9], 0).view()).unwrap_err().to_string();
        assert!(error.contains("com.example"), "{error}");
    }
}

#[test]
fn a_graph_that_hands_its_input_through_runs() {
    let mut model = single("Relu", &[], []);
    model.graph.outputs = vec![model.graph.inputs[0].clone()];
    let input = image(&[1, 3, 8, 9], 6);
    for runtime in runtimes() {
        assert_eq!(run(&*runtime, &model, input.view()).unwrap(), input);
    }
}

#[test]
fn inputs_of_the_wrong_number_or_shape_are_refused() {
    let model = single("Relu", &[], []);
    let input = image(&[1, 3, 9, 8], 0);
    for runtime in runtimes() {
        let mut session = runtime.load(&model).unwrap();
        let error = session.run(&[input.view()]).unwrap_err().to_string();
        assert!(error.contains("`x`") && error.contains("[1, 3, 9, 8]"), "{error}");
        let error = session.run(&[]).unwrap_err().to_string();
        assert!(error.contains("takes 1 input(s) (`x`), and 0 came"), "{error}");
    }
}

/// The library is loaded once per process, so that each case needs its own.
fn open_ort_in_a_child(library: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child_opens_ort", "--nocapture", "--test-threads=1"]);
    let output = child.env("ORT_DYLIB_PATH", library).env("TEMPER_CHILD", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn child_opens_ort() {
    if std::env::var_os("TEMPER_CHILD").is_none() {
        return;
    }
    for _ in 0..2 {
        match runtime::open(Kind::ORT) {
            Ok(_) => println!("\nsaid: opened"),
            Err(error) => println!("\nsaid: {error}"),
        }
    }
}

#[test]
fn a_library_that_was_named_and_is_missing_is_told_with_the_remedy() {
    let said = open_ort_in_a_child("/nonexistent/libonnxruntime.so");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("said: ")).collect();
    let start = "said: runtime ort is not available: ORT_DYLIB_PATH names `/nonexistent/libonnxruntime.so`";
    assert!(lines[0].starts_with(start), "{said}");
    assert!(lines[0].contains("No such file") && lines[0].contains("make setup"), "{said}");
    assert_eq!(lines[0], lines[1], "the second time is like the first");
}

#[test]
fn torch_is_one_line_away_where_it_was_left_out() {
    if cfg!(feature = "torch") {
        return;
    }
    let error = runtime::open(Kind::TORCH).err().unwrap().to_string();
    let reason = "this program was built without libtorch; `temper-torch` has it";
    assert_eq!(error, format!("runtime torch is not available: {reason}"));
}
