//! `temper parity`: one file on several runtimes, or two files of one function.

mod admission;
mod files;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::output::{is_json, note, say, say_json};
use super::{CliError, after_help};
use crate::image::{self, list_images};
use crate::onnx::{self, Model};
use crate::parity::{
    Comparison, Input, Program, Question, Report, Side, Stated, Tolerances, Value, Verdict, compare,
    generated, is_reduced, shapes, table,
};
use crate::runtime::faults::{known_faults, warning};
use crate::runtime::{self, Kind, Runtime};
use worker::{Answers, Job};

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
    shape: Vec<(String, Vec<usize>)>,
    /// What is allowed, for an element type or for all: rel=1e-4, abs=1e-5, ulp=8, psnr=60, cosine=0.9999, exact,
    /// f16:rel=1e-2,psnr=50; may be repeated [default: by type, tighter where one runtime runs both files]
    #[arg(long, value_name = "[TYPE:]BOUND,...")]
    tolerance: Vec<Stated>,
    /// The most memory that the values of one slice of a graph may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,
    /// Decides every random number
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
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

fn parse_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let wrong = || format!("`{text}` is not NAME=N,N,...");
    let (name, sizes) = text.rsplit_once('=').ok_or_else(wrong)?;
    let sizes: Result<Vec<usize>, _> =
        sizes.split(',').filter(|size| !size.is_empty()).map(str::parse).collect();
    let sizes = sizes.map_err(|_| wrong())?;
    let count = sizes.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    if count.is_none_or(|count| count > MOST_ELEMENTS) {
        return Err(format!("`{text}` has more than {MOST_ELEMENTS} elements"));
    }
    Ok((name.to_owned(), sizes))
}

/// Elements of an input at most.
const MOST_ELEMENTS: usize = 1 << 28;

/// Operators whose results no runtime repeats.
const RANDOM: [&str; 6] =
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"];

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

    fn compared(&self, index: usize, runtimes: &[Arc<dyn Runtime>]) -> Result<Report, CliError> {
        let (name, model) = self.read(index, false)?;
        let (shapes, inputs) = self.inputs(&name, &model)?;
        let refuse = |reason: &dyn std::fmt::Display| CliError::usage(format!("`{name}`: {reason}"));
        let program = Arc::new(Program::open(&model, &shapes).map_err(|error| refuse(&error))?);
        let good = match &self.reference {
            None => None,
            Some(_) => {
                let (name, model) = self.read(index, true)?;
                let refuse = |reason: &dyn std::fmt::Display| CliError::usage(format!("`{name}`: {reason}"));
                Some((
                    name.clone(),
                    Arc::new(Program::open(&model, &shapes).map_err(|error| refuse(&error))?),
                    model,
                ))
            }
        };
        let reduced = good.as_ref().is_some_and(|(_, good, _)| is_reduced(&program) && !is_reduced(good));
        if let (Some(path), false) = (&self.fix, reduced) {
            let what = "nothing in it is float16 or quantised that is float32 in the reference";
            return Err(CliError::usage(format!("--fix {}: `{name}`: {what}", path.display())));
        }
        let judged = match reduced {
            true => admission::judged(&inputs, generated(&model, &shapes, self.seed).len()),
            false => (0..inputs.len()).collect(),
        };
        let inputs: Vec<Input> = judged.iter().map(|&place| inputs[place].clone()).collect();
        let mut report = Report {
            verdict: Verdict::Pass,
            model: name.clone(),
            reference: good.as_ref().map(|(name, ..)| name.clone()),
            first_divergence: None,
            amplifiers: Vec::new(),
            comparisons: Vec::new(),
            loss: Vec::new(),
            admission: None,
            notes: Vec::new(),
            seed: self.seed,
        };
        let side = |program: &Arc<Program>, runtime: &Arc<dyn Runtime>| Side {
            program: program.clone(),
            runtime: runtime.clone(),
        };
        let ask = |runtime: &Arc<dyn Runtime>, of_reference: bool| {
            let answers = worker::ask(&Job { model: index, of_reference, runtime: runtime.kind() })?;
            // The worker knows nothing of the reference.
            Ok::<_, CliError>(admission::of(&judged, answers))
        };
        if let Some(random) = program.nodes().iter().find(|node| RANDOM.contains(&node.op.as_str())) {
            report.notes.push(format!("{} draws at random: no two runs agree", random.label()));
        }
        for runtime in runtimes {
            let hit = known_faults(&**runtime, &program.model);
            report.notes.extend(hit.iter().map(|(fault, node)| warning(runtime.kind(), fault, node)));
        }
        let mut first: Option<Answers> = None;
        for (place, runtime) in runtimes.iter().enumerate() {
            let own = ask(runtime, false)?;
            let mut pairs: Vec<(Side, bool, Answers)> = Vec::new();
            if let Some((_, good, _)) = &good {
                pairs.push((side(good, runtime), false, ask(runtime, true)?));
            }
            if let Some(first) = first.as_ref().filter(|_| place > 0) {
                pairs.push((side(&program, &runtimes[0]), true, first.clone()));
            }
            for (reference, one_file, expected) in pairs {
                let candidate = side(&program, runtime);
                let stated = match reduced && !one_file {
                    true => admission::tolerances(&self.tolerance)?,
                    false => self.tolerance.clone(),
                };
                let tolerances = Tolerances::new(stated, !one_file);
                let memory = (self.memory as usize) << 20;
                let question = Question {
                    reference: &reference,
                    candidate: &candidate,
                    one_file,
                    tolerances: &tolerances,
                    memory,
                };
                let mut comparison = self.one(&question, &inputs, [&expected, &own], &mut report.notes)?;
                if let Some((good, ..)) = good.as_ref().filter(|_| !one_file) {
                    comparison.reference = format!("{good} on {}", comparison.reference);
                }
                let failed = comparison.verdict == Verdict::Fail;
                report.comparisons.push(comparison);
                // The file is made for the first runtime on which it fails.
                let last = place + 1 == runtimes.len();
                let wanted = !one_file && report.admission.is_none() && (last || failed);
                if let (Some(path), Some((_, _, parent)), true) = (&self.fix, &good, wanted) {
                    let files = ([&reference, &candidate], [parent, &model]);
                    let fed = (&shapes[..], &inputs[..]);
                    admission::fix(path, files, fed, (&expected, &tolerances, memory), &mut report)?;
                }
            }
            first.get_or_insert(own);
        }
        if reduced {
            report.loss = admission::losses(&report);
        }
        let failing = report.comparisons.iter().find(|comparison| comparison.verdict == Verdict::Fail);
        if let Some(failing) = failing {
            report.verdict = Verdict::Fail;
            let with_place =
                report.comparisons.iter().find(|comparison| comparison.first_divergence.is_some());
            let shown = with_place.unwrap_or(failing);
            (report.first_divergence, report.amplifiers) =
                (shown.first_divergence.clone(), shown.amplifiers.clone());
        }
        Ok(report)
    }

    fn one(
        &self,
        question: &Question<'_>,
        inputs: &[Input],
        answers: [&Answers; 2],
        notes: &mut Vec<String>,
    ) -> Result<Comparison, CliError> {
        let (expected, given) = match answers {
            [Ok(expected), Ok(given)] => (expected, given),
            [expected, given] => {
                let reasons: Vec<&str> = [expected, given]
                    .into_iter()
                    .filter_map(|answer| answer.as_ref().err().map(String::as_str))
                    .collect();
                return Ok(worker::not_compared(question, &reasons.join("; ")));
            }
        };
        let found = compare(question, inputs, [expected, given]).map_err(CliError::failed)?;
        let both: usize = found.outputs.iter().map(|output| output.difference.not_finite_in_both).sum();
        if both > 0 {
            notes.push(format!(
                "{both} elements are the same NaN or infinity in {} and in {}: not counted as a difference",
                found.reference, found.candidate
            ));
        }
        if let (Some(folder), Some(divergence)) = (&self.bisect, &found.first_divergence) {
            let input = inputs.iter().find(|input| input.name == divergence.input);
            if let Some(input) = input {
                files::write_reproducer(question, divergence, input, folder, notes)?;
            }
        }
        Ok(found)
    }
}
