//! `temper doctor`: what this machine has for Temper, what is missing, and the command that brings it.

use std::ffi::OsString;
use std::fmt::Write as _;

use serde::Serialize;

use super::companion::Companion;
use super::output::{is_json, say, say_json};
use super::{CliError, after_help};
use crate::environment::{Gpu, gpus, libtorch, onnxruntime};
use crate::runtime::{self, Kind};

/// Says which runtimes and GPUs this machine has, what is missing, and the command that brings it.
///
/// Every runtime is opened, not only looked for; ort-cuda where there is a GPU. A missing one is no failure: the exit code is 0.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help("temper doctor\ntemper doctor --json"))]
pub struct Args {}

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    temper: &'static str,
    system: String,
    processors: usize,
    runtimes: Vec<Found>,
    gpus: Vec<Gpu>,
}

/// A runtime, there or not.
#[derive(Debug, Serialize)]
struct Found {
    name: &'static str,
    /// What it is for, in words.
    serves: &'static str,
    version: Option<String>,
    /// The file or folder that it comes from.
    place: Option<String>,
    /// Why it cannot be used, and what to do.
    missing: Option<String>,
}

/// Runs the verb.
pub fn run(_: &Args) -> Result<(), CliError> {
    let gpus = gpus();
    let mut runtimes = vec![tract(), onnx_runtime(Kind::ORT), torch()];
    if !gpus.is_empty() {
        runtimes.insert(2, onnx_runtime(Kind::ORT_CUDA));
    }
    let findings = Findings {
        temper: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        runtimes,
        gpus,
    };
    if is_json() { say_json(&findings) } else { say(table(&findings)) }
}

fn tract() -> Found {
    let version = runtime::open(Kind::TRACT).map(|tract| tract.version()).ok();
    let place = Some("part of this program".to_owned());
    Found { name: "tract", serves: "audit, grad, upscale", version, place, missing: None }
}

fn onnx_runtime(kind: Kind) -> Found {
    let serves =
        if kind == Kind::ORT_CUDA { "the same on an NVIDIA GPU" } else { "the same, several times as fast" };
    let library = onnxruntime::find().path().display().to_string();
    let (version, missing) = match runtime::open(kind) {
        Ok(found) => (Some(found.version()), None),
        Err(runtime::RuntimeError::Unavailable { reason, .. }) => (None, Some(reason)),
        Err(error) => (None, Some(error.to_string())),
    };
    let place = version.is_some().then_some(library);
    Found { name: kind.name(), serves, version, place, missing }
}

/// libtorch counts as there where the program that links it starts.
fn torch() -> Found {
    let serves = "harden, and audit --runtime torch";
    let absent =
        |missing: String| Found { name: "torch", serves, version: None, place: None, missing: Some(missing) };
    let companion = match Companion::find() {
        Ok(companion) => companion,
        Err(error) => return absent(error.to_string()),
    };
    let program = companion.program().display();
    match companion.command([OsString::from("--version")]).output() {
        Ok(output) if output.status.success() => {
            let version = companion.libtorch().version.clone();
            let place = format!("{}, used by {program}", companion.libtorch().root.display());
            Found { name: "torch", serves, version, place: Some(place), missing: None }
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let reason = said.lines().next().unwrap_or("it ends without a word");
            absent(format!(
                "`{program}` does not start: {reason}; `pip install torch=={}.0` brings what fits",
                libtorch::SERIES
            ))
        }
        Err(error) => absent(format!("`{program}` cannot be started: {error}; install it again")),
    }
}

fn table(findings: &Findings) -> String {
    let Findings { temper, system, processors, runtimes, gpus } = findings;
    let mut text = format!("temper {temper} on {system}, {processors} processors\n\nRuntimes\n");
    for found in runtimes {
        let state = match (&found.version, &found.missing) {
            (_, Some(_)) => "missing".to_owned(),
            (version, None) => version.clone().unwrap_or_else(|| "there".to_owned()),
        };
        let _ = writeln!(text, "  {:<10}{state:<14}for {}", found.name, found.serves);
        if let Some(place) = &found.place {
            let _ = writeln!(text, "{:<26}{place}", "");
        }
    }
    text.push_str("\nGPUs\n");
    for gpu in gpus {
        let _ = writeln!(text, "  {}, {}, driver {}", gpu.name, gpu.memory, gpu.driver);
    }
    if gpus.is_empty() {
        text.push_str("  none that nvidia-smi lists; everything runs on the processor\n");
    }
    let missing: Vec<_> =
        runtimes.iter().filter_map(|found| Some((found.name, found.missing.as_ref()?))).collect();
    if !missing.is_empty() {
        text.push_str("\nMissing\n");
    }
    for (name, reason) in missing {
        let _ = writeln!(text, "  {name:<10}{reason}");
    }
    text.trim_end().to_owned()
}
