//! The program as it is installed, without libtorch in it: where it starts, what it finds, and what it becomes where
//! libtorch is needed.

#![cfg(all(target_os = "linux", not(feature = "torch")))]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A copy of the program in a folder of its own, far from any checkout, that sees no Python environment.
struct Installed {
    root: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        place(Path::new(env!("CARGO_BIN_EXE_temper")), &root.path().join("bin/temper"));
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/temper"));
        command.args(arguments).current_dir(self.root.path()).env("PATH", "/nonexistent");
        for variable in [
            "LIBTORCH",
            "LD_LIBRARY_PATH",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "ORT_DYLIB_PATH",
            "OMP_WAIT_POLICY",
        ] {
            command.env_remove(variable);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Puts a Python package `torch` of this version beside the program, as `pip install` would.
    fn with_torch(self, version: &str) -> Self {
        let torch = self.path("lib/python3.12/site-packages/torch");
        fs::create_dir_all(torch.join("lib")).unwrap();
        fs::write(torch.join("lib/libtorch_cpu.so"), "").unwrap();
        fs::write(torch.join("version.py"), format!("__version__ = '{version}'\n")).unwrap();
        self
    }

    /// Puts a `temper-torch` beside the program that says how it was started and ends with code 7.
    fn with_companion(self) -> Self {
        let script = "#!/bin/sh\necho \"$@\"\necho \"$LD_LIBRARY_PATH\"\necho \"$OMP_WAIT_POLICY\"\nexit 7\n";
        fs::write(self.path("script"), script).unwrap();
        place(&self.path("script"), &self.path("bin/temper-torch"));
        self
    }
}

/// Puts a program in its place, by another process: one that this process has open to write cannot be started, and
/// what a test beside this one has just started holds what is open here until it is itself.
fn place(from: &Path, to: &Path) {
    let status = Command::new("install").args(["-m", "755"]).args([from, to]).status().unwrap();
    assert!(status.success(), "{}", to.display());
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_copied_program_starts_and_needs_no_native_library() {
    let installed = Installed::new();
    let output = installed.run(&["--version"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("temper {}\n", env!("CARGO_PKG_VERSION")));
    // The loader's own tool lists what an executable needs to start.
    let listed = Command::new("ldd").arg(installed.path("bin/temper")).output().unwrap();
    let libraries = String::from_utf8(listed.stdout).unwrap();
    assert!(libraries.contains("libc.so"), "{libraries}");
    for absent in ["torch", "c10", "onnxruntime", "stdc++"] {
        assert!(!libraries.contains(absent), "{libraries}");
    }
}

#[test]
fn what_needs_libtorch_becomes_the_companion_with_the_same_arguments() {
    let installed = Installed::new().with_torch("2.11.0+cu130").with_companion();
    let library = installed.path("lib/python3.12/site-packages/torch/lib");
    for arguments in [
        &["harden", "--arch", "edsr", "--help"] as &[&str],
        &["--quiet", "audit", "m.onnx", "--images", "i", "--runtime", "tract,torch", "--out", "o"],
        &["inspect", "m.onnx"],
    ] {
        let output = installed.command(arguments).env("LD_LIBRARY_PATH", "/own").output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
        let expected = format!("{}\n{}:/own\npassive\n", arguments.join(" "), library.display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
    let output = installed.run(&["audit", "m.onnx", "--images", "i", "--runtime", "tract", "--out", "o"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn what_is_missing_for_training_is_named_with_the_command_that_brings_it() {
    let harden = ["harden", "--data", "photos"];
    let cases = [
        (Installed::new(), ["temper-torch", "pip install temper-sr[torch]"]),
        (Installed::new().with_companion(), ["libtorch 2.11 was not found", "pip install torch==2.11.0"]),
        (
            Installed::new().with_companion().with_torch("2.9.1"),
            ["libtorch 2.9.1", "pip install torch==2.11.0"],
        ),
    ];
    for (installed, parts) in cases {
        let output = installed.run(&harden);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("error: this needs libtorch") && output.stdout.is_empty(), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn the_doctor_names_what_is_there_and_what_brings_the_rest() {
    let installed = Installed::new();
    let output = installed.run(&["doctor"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for part in ["tract", "part of this program", "Missing\n", "pip install onnxruntime", "temper-sr[torch]"]
    {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    let output = installed.run(&["doctor", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = found["runtimes"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["tract", "ort", "torch"]);
    assert!(
        found["runtimes"][0]["missing"].is_null() && found["runtimes"][2]["missing"].is_string(),
        "{found}"
    );
}

#[test]
fn onnx_runtime_is_found_in_a_python_environment() {
    let installed = Installed::new();
    let capi = installed.path("lib/python3.12/site-packages/onnxruntime/capi");
    fs::create_dir_all(&capi).unwrap();
    fs::write(capi.join("libonnxruntime.so.1.30.0"), "no library").unwrap();
    let output = installed.run(&["doctor", "--json"]);
    let found: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let missing = found["runtimes"][1]["missing"].as_str().unwrap();
    assert!(missing.contains("site-packages/onnxruntime/capi/libonnxruntime.so.1.30.0"), "{missing}");
}
