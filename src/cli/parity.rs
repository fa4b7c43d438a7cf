//! `temper parity`: one file on several runtimes, or two files of one function.

mod admission;
mod adversarial;
mod compared;
mod files;
mod search;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::output::{is_json, note, say, say_json};
use super::{CliError, after_help};
use crate::image::{self, list_images};
use crate::onnx::{self, Model};
use crate::parity::{Input, InputShape, Report, TypedTolerance, Value, Verdict, generated, shapes, table};
use crate::runtime::{self, Kind, Runtime};

/// Compares what runtimes make of a model, or a model with another one of the same function, and finds the
/// node where they part.
///
/// Any ONNX file will do. It is run on noise and on values at which runtimes part, and on images where some are
/// given. Exit code 1 where an output, or with --reference a node, leaves its tolerance.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help("temper parity model.onnx --runtime ort,ort-plain,tract\ntemper parity model-fp16.onnx --reference model.onnx --json"))]
pub struct Args {
    /// The models
    #[arg(required = true, value_name = "MODEL.onnx")]
    models: Vec<PathBuf>,
    /// Runtimes to compare, the first of which is the reference: ort, ort-plain, tract, torch, torch:f64,
    /// ort:opt=basic,threads=2 and so on [default: ort and tract, where they are there]
    #[arg(long, value_name = "NAME,NAME,...", value_parser = Kinds::parse)]
    runtime: Option<Kinds>,
    /// A model that computes what MODEL should, to be compared with it on every runtime
    #[arg(long, value_name = "GOOD.onnx")]
    reference: Option<PathBuf>,
    /// Folder of images to compare on as well; cut to the size that is compared
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Shape of an input, such as x=1,3,48,64; may be repeated [default: open sizes are small]
    #[arg(long, value_name = "NAME=N,N,...", value_parser = parse_shape)]
    shape: Vec<InputShape>,
    /// What is allowed, for an element type or for all: rel=1e-4, abs=1e-5, ulp=8, psnr=60, cosine=0.9999, exact,
    /// f16:rel=1e-2,psnr=50; may be repeated [default: by type, tighter where one runtime runs both files]
    #[arg(long, value_name = "[TYPE:]BOUND,...")]
    tolerance: Vec<TypedTolerance>,
    /// The most memory that the values of one slice of a graph may take, on both sides and on their way, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,
    /// Decides every random number
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    adversarial: adversarial::AdversarialArgs,
    #[command(flatten)]
    search: search::SearchArgs,
    /// Write the smallest part that still differs to this folder, with a Python script that shows it
    #[arg(long, value_name = "DIR")]
    bisect: Option<PathBuf>,
    /// Of a float16 or quantised MODEL: find the nodes that must stay float32 for it to pass, and write that file
    #[arg(long, value_name = "OUT.onnx", requires = "reference")]
    fix: Option<PathBuf>,
    #[command(flatten)]
    worker: worker::WorkerArgs,
}

/// Runtimes as one flag gives them.
#[derive(Clone, Debug)]
struct Kinds(Vec<Kind>);

impl Kinds {
    fn parse(text: &str) -> Result<Self, String> {
        Kind::parse_list(text).map(Self)
    }
}

fn parse_shape(text: &str) -> Result<InputShape, String> {
    let wrong = || format!("`{text}` is not NAME=N,N,...");
    let (name, sizes) = text.rsplit_once('=').ok_or_else(wrong)?;
    let sizes: Result<Vec<usize>, _> =
        sizes.split(',').filter(|size| !size.is_empty()).map(str::parse).collect();
    let sizes = sizes.map_err(|_| wrong())?;
    let count = sizes.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    if count.is_none_or(|count| count > MOST_ELEMENTS) {
        return Err(format!("`{text}` has more than {MOST_ELEMENTS} elements"));
    }
    Ok(InputShape { input: name.to_owned(), sizes })
}

/// Elements of an input at most.
const MOST_ELEMENTS: usize = 1 << 28;

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    if let Some(job) = args.worker.job() {
        return worker::answer(args, &job);
    }
    let runtimes = args.runtimes()?;
    let mut reports = Vec::new();
    for index in 0..args.models.len() {
        reports.push(args.compared(index, &runtimes)?);
    }
    args.show(&reports)?;
    let failed: Vec<&str> = reports
        .iter()
        .filter(|report| report.verdict == Verdict::Fail)
        .map(|report| report.model.as_str())
        .collect();
    match failed.len() {
        0 => Ok(()),
        _ => Err(CliError::missed(format!("parity fails: {}", failed.join(", ")))),
    }
}

impl Args {
    fn show(&self, reports: &[Report]) -> Result<(), CliError> {
        if !is_json() {
            return say(reports.iter().map(table).collect::<Vec<_>>().join("\n"));
        }
        match reports {
            [one] => say_json(one),
            all => {
                let verdict =
                    if all.iter().all(|report| report.verdict == Verdict::Pass) { "pass" } else { "fail" };
                say_json(&serde_json::json!({ "verdict": verdict, "models": all }))
            }
        }
    }

    /// Whether the flags ask for a runtime, with whatever settings.
    pub fn names(&self, kind: Kind) -> bool {
        let asked = self.runtime.as_ref().is_some_and(|kinds| kinds.0.iter().any(|named| named.is_a(kind)));
        asked || self.worker.names(kind)
    }

    /// The runtimes asked for, each of which must be there, or those of the default that are.
    fn runtimes(&self) -> Result<Vec<Arc<dyn Runtime>>, CliError> {
        let opened: Vec<Arc<dyn Runtime>> = match &self.runtime {
            Some(Kinds(kinds)) => kinds
                .iter()
                .map(|&kind| runtime::open(kind).map(Arc::from).map_err(CliError::usage))
                .collect::<Result<_, _>>()?,
            None => {
                let left_out = |error: runtime::RuntimeError| note(format_args!("note: left out: {error}"));
                runtime::audited_by_default()
                    .filter_map(|kind| runtime::open(kind).map_err(left_out).ok())
                    .map(Arc::from)
                    .collect()
            }
        };
        match (opened.len(), &self.reference) {
            (0, _) => Err(CliError::usage("no runtime is there; name one with --runtime")),
            (1, None) => Err(CliError::usage(format!(
                "one runtime, {}, has nothing to be compared with; name another with --runtime A,B, or give --reference GOOD.onnx",
                opened[0].kind()
            ))),
            _ => Ok(opened),
        }
    }

    /// The model, or the one that it is compared with.
    fn read(&self, index: usize, of_reference: bool) -> Result<(String, Model), CliError> {
        let path: &Path = match (&self.reference, of_reference) {
            (Some(reference), true) => reference,
            _ => &self.models[index],
        };
        Ok((path.display().to_string(), onnx::read(path).map_err(CliError::usage)?))
    }

    /// What a model is fed: the same values in every process that asks.
    fn inputs(&self, name: &str, model: &Model) -> Result<(Vec<Vec<usize>>, Vec<Input>), CliError> {
        let refuse = |reason: &dyn std::fmt::Display| CliError::usage(format!("`{name}`: {reason}"));
        let shapes = shapes(model, &self.shape).map_err(|error| refuse(&error))?;
        let mut inputs = generated(model, &shapes, self.seed);
        if let Some(folder) = &self.images {
            inputs.extend(self.pictures(folder, model, &shapes).map_err(|error| refuse(&error))?);
        }
        Ok((shapes, inputs))
    }

    fn pictures(&self, folder: &Path, model: &Model, shapes: &[Vec<usize>]) -> Result<Vec<Input>, String> {
        let input = model.graph.required_inputs().next().and_then(|input| input.dims());
        let (Some((dtype, _)), [shape]) = (input, shapes) else {
            return Err("takes more than an image, so that --images cannot feed it".into());
        };
        let paths = list_images(folder).map_err(|error| error.to_string())?;
        let fed = |path: &PathBuf| {
            let picture = image::load(path).map_err(|error| error.to_string())?;
            let high = files::fitted(&picture.pixels, shape)
                .ok_or_else(|| format!("has the shape {shape:?}, and is no image"))?;
            Ok(Input { name: picture.name, values: vec![Value::new(dtype, high)] })
        };
        paths.iter().map(fed).collect()
    }
}
