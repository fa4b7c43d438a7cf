//! The program under watch: how much memory it held at most, and how much processor time it took.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::Workspace;

/// What no case may take.
pub const MOST_BYTES: u64 = 4 << 30;
/// The bound is of the profile that is shipped and tested; a build without optimisation is given more.
pub const MOST_SECONDS: f64 =
    if matches!(env!("TEMPER_OPT_LEVEL").as_bytes(), b"0" | b"1") { 60.0 } else { 10.0 };

/// How a run of the program ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub said: String,
    pub printed: String,
    pub peak_bytes: u64,
    pub processor_seconds: f64,
    pub most_handles: usize,
}

/// Runs the program in a workspace to its end, or for some minutes.
pub fn watched(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    let [out, err] = ["stdout.txt", "stderr.txt"].map(|name| workspace.path(name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
    command.args(arguments).current_dir(workspace.path("")).stdin(Stdio::null());
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    let (mut peak_bytes, mut processor_seconds, mut most_handles) = (0, 0.0_f64, 0);
    let code = loop {
        peak_bytes = peak(child.id()).unwrap_or(0).max(peak_bytes);
        processor_seconds = processor(child.id()).unwrap_or(0.0).max(processor_seconds);
        let handles = fs::read_dir(format!("/proc/{}/fd", child.id())).map_or(0, Iterator::count);
        most_handles = handles.max(most_handles);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if peak_bytes > MOST_BYTES || start.elapsed() > Duration::from_secs(400) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let [printed, said] =
        [out, err].map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
    Outcome { code, said, printed, peak_bytes, processor_seconds, most_handles }
}

/// Holds a run to its bounds, and to one message where it was refused.
#[track_caller]
pub fn bounded(workspace: &Workspace, what: &str, arguments: &[&str]) -> Outcome {
    let outcome = watched(workspace, arguments);
    let verb = arguments[0];
    assert!(outcome.peak_bytes < MOST_BYTES, "{what}: {verb} held {} bytes", outcome.peak_bytes);
    let seconds = outcome.processor_seconds;
    assert!(seconds < MOST_SECONDS, "{what}: {verb} took {seconds} s; it said {}", outcome.said);
    let errors = outcome.said.lines().filter(|line| line.starts_with("error: ")).count();
    match outcome.code {
        Some(0) => assert_eq!(errors, 0, "{what}: {}", outcome.said),
        Some(2 | 3) => assert_eq!(errors, 1, "{what}: {}", outcome.said),
        code => panic!("{what}: {verb} ended with {code:?}: {}", outcome.said),
    }
    outcome
}

/// The most bytes that a process has held.
fn peak(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Processor seconds of a process, on all its threads; a tick is 10 ms on Linux.
fn processor(id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let ticks =
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap_or(0.0));
    Some(ticks.sum::<f64>() / 100.0)
}
