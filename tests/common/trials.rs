//! Tests that are named while they run: one per case, per model, per runtime. What cannot run on this
//! machine is shown as ignored, with what it needs; it never counts as passed.
//!
//! A test file that uses this has `harness = false` in `Cargo.toml` and takes the arguments that every
//! Rust test takes: `cargo test --test gradients relu`, `-- --list`, `-- --exact`.

#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part; helpers of tests are tests

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use temper::runtime::{self, Kind};

/// Whether what a test needs is here.
#[derive(Clone)]
pub enum Need<T> {
    /// It is.
    Met(T),
    /// It is not, which is nobody's fault: the test is ignored, and shows what it needs, in few words.
    Missing(&'static str),
    /// It was named and is not what it should be: the test fails, and says this.
    Wrong(String),
}

impl<T: Send + 'static> Need<T> {
    /// A test of what is needed.
    pub fn trial(self, name: impl Into<String>, run: impl FnOnce(T) + Send + 'static) -> Trial {
        match self {
            Need::Met(found) => trial(name, move || run(found)),
            Need::Missing(reason) => {
                let needs = format!("needs {reason}");
                Trial::test(name, move || Err(reason.into())).with_kind(needs).with_ignored_flag(true)
            }
            Need::Wrong(reason) => Trial::test(name, move || Err(reason.into())),
        }
    }
}

/// A test that needs nothing. It fails where `run` panics.
pub fn trial(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

/// Runs the tests as the arguments of this process say.
///
/// # Panics
/// Where two tests have one name, or where there is none.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    let mut names = BTreeSet::new();
    for trial in &trials {
        assert!(names.insert(trial.name().to_owned()), "two tests are called `{}`", trial.name());
    }
    assert!(!trials.is_empty(), "there are no tests");
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A runtime. ONNX Runtime is a library that may not be installed; where `make setup` has brought it, or
/// `ORT_DYLIB_PATH` names a file that exists, it must open.
pub fn runtime(kind: Kind) -> Need<Kind> {
    let Err(error) = runtime::open(kind) else { return Need::Met(kind) };
    let named = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let set_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("native/onnxruntime/lib");
    match kind {
        Kind::ORT if named.unwrap_or(set_up).exists() => Need::Wrong(error.to_string()),
        Kind::ORT => Need::Missing("ONNX Runtime"),
        Kind::TORCH => Need::Missing("libtorch"),
        kind if kind.name() == "ort:openvino" => Need::Missing("OpenVINO"),
        _ => Need::Wrong(error.to_string()),
    }
}

/// A file or folder below the one that `TEMPER_ASSETS` names; README, "Tests", has the layout.
pub fn asset(path: &str) -> Need<PathBuf> {
    let Some(assets) = env::var_os("TEMPER_ASSETS").filter(|value| !value.is_empty()) else {
        return Need::Missing("TEMPER_ASSETS");
    };
    let found = Path::new(&assets).join(path);
    if found.exists() {
        return Need::Met(found);
    }
    let assets = Path::new(&assets).display();
    Need::Wrong(format!("TEMPER_ASSETS={assets} has no {path}; README, \"Tests\", says what should be there"))
}

/// The ONNX files below a folder, sorted.
pub fn models_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(models_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "onnx") {
            found.push(path);
        }
    }
    found.sort();
    found
}
