//! Faults of the machine: a disk that is full, a folder that takes nothing, images that go, a library of another version.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::Workspace;

const AUDIT: &str = "audit model.onnx --images photos --budget 4 --iterations 1 --runtime tract --out out";

fn words(flags: &str) -> Vec<&str> {
    AUDIT.split(' ').chain(flags.split_whitespace()).collect()
}

/// No file may grow beyond so many KiB, which to a process is a full disk.
#[test]
fn on_a_full_disk_a_report_is_whole_or_not_there() {
    for kilobytes in [1, 2, 4, 8, 16, 64] {
        let workspace = Workspace::new();
        let mut shell = Command::new("bash");
        // The signal is ignored, so that the write fails, as on a full disk.
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$@\""), "bash"]);
        shell.arg(env!("CARGO_BIN_EXE_temper")).args(words("")).current_dir(workspace.path(""));
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        match output.status.code() {
            Some(0) => assert!(!workspace.report("out")["rows"].as_array().unwrap().is_empty()),
            code => {
                assert!(code == Some(2) && errors == 1, "{kilobytes} KiB: {code:?}: {said}");
                assert!(said.contains("cannot be written: File too large"), "{said}");
                assert!(!workspace.path("out/report.json").exists());
            }
        }
        let left = workspace.files_in("out");
        assert!(left.iter().all(|name| !name.starts_with('.')), "{kilobytes} KiB left {left:?}");
    }
}

#[test]
fn a_folder_that_takes_no_files_is_refused_before_the_first_attack() {
    let workspace = Workspace::new();
    let mut words = words("");
    *words.last_mut().unwrap() = "/proc/out";
    let output = workspace.temper(&words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("error: /proc/out: "), "{said}");
}

#[test]
fn images_that_go_while_they_are_attacked_are_not_missed() {
    let workspace = Workspace::new();
    let mut program = Command::new(env!("CARGO_BIN_EXE_temper"));
    program.args(words("--attack square --queries 300 --no-cache")).current_dir(workspace.path(""));
    let child = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !workspace.path("out").exists() && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_dir_all(workspace.path("photos")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It may have read them by then, or it names the first that is missing.
    match output.status.code() {
        Some(0) => assert_eq!(workspace.report("out")["images"].as_array().unwrap().len(), 2),
        code => assert!(code == Some(2) && said.contains("photos"), "{code:?}: {said}"),
    }
}

/// The one function that ONNX Runtime is asked for its version by, of a release that is too old.
const OLD: &str = r#"
    use std::ffi::{c_char, c_void};
    #[repr(C)]
    pub struct Base { api: extern "C" fn(u32) -> *const c_void, version: extern "C" fn() -> *const c_char }
    extern "C" fn api(_: u32) -> *const c_void { std::ptr::null() }
    extern "C" fn version() -> *const c_char { c"1.10.0".as_ptr() }
    static BASE: Base = Base { api, version };
    #[unsafe(no_mangle)]
    pub extern "C" fn OrtGetApiBase() -> *const Base { &BASE }
"#;

fn compile(source: &Path) {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-o", "libold.so"]).arg(source);
    assert!(rustc.current_dir(source.parent().unwrap()).status().unwrap().success());
}

#[test]
fn a_runtime_library_of_another_version_is_named_with_its_version() {
    let workspace = Workspace::new();
    workspace.file("old.rs", OLD.as_bytes());
    workspace.file("notes.txt", b"no library");
    compile(&workspace.path("old.rs"));
    for (library, why) in [
        ("libold.so", "it is ONNX Runtime 1.10.0, and Temper needs"),
        ("notes.txt", "cannot be used: "),
        ("absent.so", "cannot be used: "),
    ] {
        let mut words = words("");
        let runtime = words.iter().position(|word| *word == "tract").unwrap();
        words[runtime] = "ort";
        let path = workspace.path(library);
        let output = workspace.temper(&words).env("ORT_DYLIB_PATH", &path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(library) && said.contains(why), "{said}");
    }
}
