//! `cargo bench --bench memory --profile dev [-- NAME ...]`: the peak memory of a forward run and of a
//! gradient step on every runtime at hand, each in a process of its own, beside what is counted of them:
//! the values and weights alive at once (`temper::audit::least_bytes`).
//!
//! Models are EDSR-baseline x4 at 1x3x80x120 and, where `TEMPER_ASSETS` names a folder with `models/`,
//! every model in it. Linux only: the system keeps the peak.

#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;
use std::path::Path;
use std::process::Command;

use ndarray::ArrayD;
use temper::audit::least_bytes;
use temper::onnx::{self, Dim, Model};
use temper::oracle::{Objective, gradient_model, image_input, objective_model};
use temper::rewrite::{promote, specialise};
use temper::runtime::{self, Kind};

mod subjects;

type Failure = Box<dyn Error>;

/// The first argument of the process that is measured.
const CHILD: &str = "child";

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [child, kind, model, image] = &words[..]
        && child == CHILD
    {
        return run(kind.parse()?, Path::new(model), image);
    }
    println!(
        "MB, peaks of whole processes less what they held before; least: values and weights alive at once"
    );
    println!(
        "{:<40} {:<14} {:<6} {:>9} {:>9} {:>9} {:>9} {:>6}",
        "model", "input", "on", "least", "forward", "least", "step", "ratio"
    );
    subjects::each(&words, &mut |name, model, shape| compare(name, model, shape))
}

fn compare(name: &str, model: &Model, shape: [usize; 4]) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let forward = promote(&specialise(model, &[&shape])?).0;
    let step = gradient_model(model, &Objective::Distance, &shape)?.0;
    let objective = objective_model(model, &Objective::Distance, &shape)?;
    let files = [("forward", &forward), ("step", &step), ("objective", &objective)];
    for (name, model) in files {
        onnx::write(model, &folder.path().join(name))?;
    }
    let image = image_input(model)?;
    let input = shape.map(|size| size.to_string()).join("x");
    let least = [&forward, &step].map(|model| least_bytes(model).unwrap_or(0) as f64 / 1e6);
    for kind in Kind::all() {
        let peak = |file, image| measured(kind, &folder.path().join(file), image);
        let step = if kind == Kind::TORCH { ("objective", image.as_str()) } else { ("step", "") };
        match (peak("forward", ""), peak(step.0, step.1)) {
            (Ok(forward), Ok(step)) => println!(
                "{name:<40.40} {input:<14} {kind:<6} {:>9.0} {forward:>9.0} {:>9.0} {step:>9.0} {:>6.2}",
                least[0],
                least[1],
                step / forward
            ),
            (Err(reason), _) | (_, Err(reason)) => println!("{name:<40.40} {kind:<6} left out: {reason}"),
        }
    }
    Ok(())
}

/// The peak of a process that runs the model twice, in MB.
fn measured(kind: Kind, model: &Path, image: &str) -> Result<f64, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args([CHILD, kind.name()])
        .arg(model)
        .arg(if image.is_empty() { "." } else { image })
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    told.trim().parse().map_err(|_| String::from_utf8_lossy(&output.stderr).into())
}

/// Runs a model of fixed size on zeros and prints the peak; with autograd where `image` names an input.
fn run(kind: Kind, path: &Path, image: &str) -> Result<(), Failure> {
    let runtime = runtime::open(kind)?;
    let model = onnx::read(path)?;
    let sizes = |name: &str| -> Option<Vec<usize>> {
        let info = model.graph.inputs.iter().find(|input| input.name == name)?;
        let (_, dims) = info.dims()?;
        dims.iter().map(|dim| if let Dim::Known(size) = dim { Some(*size) } else { None }).collect()
    };
    let inputs: Vec<ArrayD<f32>> = model
        .graph
        .required_inputs()
        .map(|input| Ok(ArrayD::from_elem(sizes(&input.name).ok_or("an open size")?, 0.5)))
        .collect::<Result<_, Failure>>()?;
    let before = status("VmRSS:")?;
    let autograd = (image != ".").then(|| runtime.autograd(&model, image)).flatten();
    let mut session = match autograd {
        Some(session) => session?,
        None => runtime.load(&model)?,
    };
    let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
    for _ in 0..2 {
        session.run(&views)?;
    }
    println!("{}", status("VmHWM:")? - before);
    Ok(())
}

/// A line of the process's status, in MB.
fn status(entry: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(entry)).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0 / 1e6)
}
