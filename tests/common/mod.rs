//! What the tests of the command line share: a folder with small models and pictures in it, and the
//! program started there.

#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part; helpers of tests are tests

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use ndarray::Array3;
use serde_json::Value;
use temper::image::save_png;
use temper::onnx::{self, Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};
use temper::zoo::Edsr;

/// A folder of its own for one test.
pub struct Workspace {
    root: tempfile::TempDir,
}

impl Workspace {
    /// An empty one.
    pub fn empty() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// With `model.onnx`, a small EDSR of scale 2, and two pictures in `photos`.
    pub fn new() -> Self {
        let workspace = Self::empty();
        workspace.network("model.onnx", 2, 0);
        workspace.photo("photos/a.png", 22, 30);
        workspace.photo("photos/b.png", 25, 24);
        workspace
    }

    /// Where a file of this name lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where a file of this name lies, with its folder made.
    fn place(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Writes bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.place(name), bytes).unwrap();
    }

    /// Writes a model.
    pub fn model(&self, name: &str, model: &Model) {
        onnx::write(model, &self.place(name)).unwrap();
    }

    /// Writes a small EDSR.
    pub fn network(&self, name: &str, scale: usize, seed: u64) {
        self.model(name, &Edsr { features: 6, blocks: 1, scale }.build(seed).unwrap());
    }

    /// Writes a picture of smooth shades with some texture.
    pub fn photo(&self, name: &str, height: usize, width: usize) {
        save_png(&self.place(name), picture(height, width).view()).unwrap();
    }

    /// The program, started here.
    pub fn temper(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
        // The width of help; and a test that hangs is a test that fails.
        command.args(arguments).current_dir(self.root.path()).env("COLUMNS", "100");
        command.timeout(std::time::Duration::from_secs(180));
        command
    }

    /// Starts the program, which must refuse with one message and this exit code, and leave no `out`.
    /// Gives the message.
    pub fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.temper(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        let messages = said.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(messages == 1 && !said.contains("panicked"), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(!self.path("out").exists(), "{arguments:?} left {:?}", self.files_in("out"));
        said
    }

    /// The names of what lies in a folder, hidden files included; none where there is no folder.
    pub fn files_in(&self, name: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(name)) else { return vec![] };
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Starts an audit that must work and that writes to `out`. Gives its table and its report.
    pub fn audit(&self, arguments: &[&str]) -> (String, Value) {
        let arguments = [&["audit"], arguments, &["--out", "out"]].concat();
        let output = self.temper(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        (String::from_utf8(output.stdout).unwrap(), self.report("out"))
    }

    /// The report in a folder.
    pub fn report(&self, folder: &str) -> Value {
        let bytes = std::fs::read(self.path(folder).join("report.json")).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

/// Smooth shades with some texture, every value an 8-bit level.
pub fn picture(height: usize, width: usize) -> Array3<f32> {
    Array3::from_shape_fn((3, height, width), |(channel, y, x)| {
        let (y, x) = (y as f32, x as f32);
        let shade = 0.5 + 0.3 * (x / 7.0 + channel as f32).sin() * (y / 5.0).cos();
        let texture = 0.1 * ((x * 2.1).sin() * (y * 1.7 + channel as f32).sin());
        ((shade + texture).clamp(0.0, 1.0) * 255.0).round() / 255.0
    })
}

/// A model of scale 2 whose body `build` writes, from the image's name to the name of a value with
/// 12 channels, which a DepthToSpace turns into the output.
pub fn upscaler(build: impl FnOnce(&mut GraphBuilder, &str) -> String) -> Model {
    network(|graph, image| {
        let body = build(graph, image);
        graph.node("DepthToSpace", "upscaled", &[&body], [("blocksize", Attribute::Int(2))])
    })
}

/// A model of RGB images of any size.
pub fn network(build: impl FnOnce(&mut GraphBuilder, &str) -> String) -> Model {
    let mut graph = GraphBuilder::new("upscaler");
    let dims = || [Dim::from("N"), Dim::Known(3), Dim::from("H"), Dim::from("W")];
    let image = graph.input(ValueInfo::tensor("image", DType::F32, dims()));
    let output = build(&mut graph, &image);
    graph.output(ValueInfo { name: output, ty: None, doc: String::new(), metadata: Default::default() });
    Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Default::default() }
}

/// A 1x1 convolution from 3 to 12 channels whose every weight is `weight`.
pub fn mix(graph: &mut GraphBuilder, input: &str, weight: f32) -> String {
    let weights = graph.initializer("weights", Tensor::f32(&[12, 3, 1, 1], vec![weight; 36]).unwrap());
    graph.node("Conv", "mixed", &[input, &weights], [])
}

/// A 1x1 convolution from 3 to 12 channels that keeps the colours apart, as a nearest-neighbour
/// upscale does.
pub fn apart(graph: &mut GraphBuilder, input: &str) -> String {
    // DepthToSpace in its default order takes output channel `c` from the inputs `c`, `c + 3`, ...
    let weight = |index: usize| if index / 3 % 3 == index % 3 { 1.0 } else { 0.0 };
    let weights: Vec<f32> = (0..36).map(weight).collect();
    let weights = graph.initializer("weights", Tensor::f32(&[12, 3, 1, 1], weights).unwrap());
    graph.node("Conv", "apart", &[input, &weights], [])
}

/// An upscaler whose every output pixel depends on all of the image.
pub fn looks_everywhere() -> Model {
    upscaler(|graph, image| {
        let mean = graph.node("GlobalAveragePool", "mean", &[image], []);
        let half = graph.initializer("half", Tensor::scalar(0.5));
        let share = graph.node("Mul", "share", &[&mean, &half], []);
        let both = graph.node("Sub", "both", &[image, &share], []);
        apart(graph, &both)
    })
}

/// Upscales x + 0.01 sin(2000 x): its gradient is right everywhere and leads from one ripple to the next.
pub fn rippled() -> Model {
    upscaler(|graph, image| {
        let often = graph.initializer("often", Tensor::scalar(2000.0));
        let little = graph.initializer("little", Tensor::scalar(0.01));
        let phase = graph.node("Mul", "phase", &[image, &often], []);
        let wave = graph.node("Sin", "wave", &[&phase], []);
        let ripple = graph.node("Mul", "ripple", &[&wave, &little], []);
        let both = graph.node("Add", "both", &[image, &ripple], []);
        apart(graph, &both)
    })
}

/// The rows of a report.
pub fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().unwrap()
}

/// Half of a file.
pub fn first_half(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    bytes[..bytes.len() / 2].to_vec()
}

/// Repeats every pixel of a luma image 2 x 2 times.
pub fn nearest_luma() -> Model {
    let mut graph = GraphBuilder::new("luma");
    let dims = || [Dim::from("N"), Dim::Known(1), Dim::from("H"), Dim::from("W")];
    let image = graph.input(ValueInfo::tensor("image", DType::F32, dims()));
    let weights = graph.initializer("weights", Tensor::f32(&[4, 1, 1, 1], vec![1.0; 4]).unwrap());
    let four = graph.node("Conv", "four", &[&image, &weights], []);
    let output = graph.node("DepthToSpace", "upscaled", &[&four], [("blocksize", Attribute::Int(2))]);
    graph.output(ValueInfo { name: output, ty: None, doc: String::new(), metadata: Default::default() });
    Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Default::default() }
}

/// The arguments of an audit of `model.onnx` in one step on tract: what takes no time.
pub const SHORT_AUDIT: [&str; 10] =
    ["audit", "model.onnx", "--images", "photos", "--budget", "4", "--iterations", "1", "--runtime", "tract"];
