//! Whole runs in a process of their own: a runtime that crashes or runs out of memory takes no comparison with it.
//!
//! The process is this program with the same flags and a hidden one; it writes its answers as tensors of a model
//! file.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::ArrayD;

use super::Args;
use crate::cli::CliError;
use crate::onnx::{self, DType, Graph, Model, Tensor, ValueInfo};
use crate::parity::{Answer, Comparison, Program, Question, Side, Value, Verdict, outputs};
use crate::runtime::{self, Kind};

/// What a run gave on every input, or why it gave nothing.
pub type Answers = Result<Vec<Answer>, String>;

/// The hidden flags that make a process a worker.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WorkerArgs {
    #[arg(long, hide = true)]
    worker_runtime: Option<Kind>,
    #[arg(long, hide = true, requires = "worker_runtime")]
    worker_model: Option<usize>,
    #[arg(long, hide = true)]
    worker_of_reference: bool,
    #[arg(long, hide = true, requires = "worker_runtime")]
    worker_out: Option<PathBuf>,
}

/// One file on one runtime.
pub struct Job {
    /// The place of the model among those of the command line.
    pub model: usize,
    /// Whether the file that it is compared with runs instead.
    pub of_reference: bool,
    /// Where it runs.
    pub runtime: Kind,
}

/// What a worker has to do.
pub struct Assignment {
    pub job: Job,
    /// The file that takes the answers.
    pub out: PathBuf,
}

impl WorkerArgs {
    /// Whether this process was started for a runtime.
    pub fn names(&self, kind: Kind) -> bool {
        self.worker_runtime.is_some_and(|named| named.is_a(kind))
    }

    /// What this process was started for.
    pub fn job(&self) -> Option<Assignment> {
        let job = Job {
            model: self.worker_model?,
            of_reference: self.worker_of_reference,
            runtime: self.worker_runtime?,
        };
        Some(Assignment { job, out: self.worker_out.clone()? })
    }
}

/// Starts a worker and reads its answers.
pub fn ask(job: &Job) -> Result<Answers, CliError> {
    let folder = tempfile::tempdir().map_err(CliError::usage)?;
    let path = folder.path().join("answers.onnx");
    let program = std::env::current_exe().map_err(CliError::usage)?;
    let mut worker = Command::new(program);
    worker.args(std::env::args_os().skip(1));
    worker
        .args([
            "--worker-runtime",
            job.runtime.name(),
            "--worker-model",
            &job.model.to_string(),
            "--worker-out",
        ])
        .arg(&path);
    if job.of_reference {
        worker.arg("--worker-of-reference");
    }
    let output = worker
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(CliError::usage)?;
    if output.status.success() {
        return Ok(read(&path));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let told = said.lines().rev().find_map(|line| line.strip_prefix("error: "));
    Ok(Err(told.map_or_else(|| format!("runtime {} {}", job.runtime, ended(output.status)), str::to_owned)))
}

/// How a process ended that said nothing.
fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        match status.signal() {
            Some(9) => return "was killed (signal 9), as the system does where memory runs out".into(),
            Some(signal) => return format!("crashed (signal {signal})"),
            None => {}
        }
    }
    format!("ended with {status}")
}

/// The worker's part: runs, and writes what came of it.
pub fn answer(args: &Args, Assignment { job, out: path }: &Assignment) -> Result<(), CliError> {
    let (name, own) = args.read(job.model, false)?;
    let (shapes, inputs) = args.inputs(&name, &own)?;
    let (name, model) = if job.of_reference { args.read(job.model, true)? } else { (name, own) };
    let refuse = |reason: &dyn std::fmt::Display| CliError::failed(format!("`{name}`: {reason}"));
    let program = Arc::new(Program::open(&model, &shapes).map_err(|error| refuse(&error))?);
    let runtime = Arc::from(runtime::open(job.runtime).map_err(CliError::failed)?);
    let side = Side { program, runtime };
    runtime::fault(job.runtime);
    let answers = outputs(&side, &inputs).map_err(|error| refuse(&error))?;
    let mut initializers = IndexMap::new();
    for (index, found) in answers.iter().enumerate() {
        for (place, value) in found.iter().enumerate() {
            let mut keep = |part: &str, array: &ArrayD<f32>| {
                let tensor = Tensor::f32(array.shape(), array.iter().copied().collect::<Vec<_>>());
                let name = format!("{index} {place} {} {part}", value.dtype as i32);
                tensor.map(|tensor| drop(initializers.insert(name, tensor)))
            };
            keep("high", &value.high).map_err(CliError::failed)?;
            value.low.as_ref().map_or(Ok(()), |low| keep("low", low)).map_err(CliError::failed)?;
        }
    }
    // A file's graph has an output.
    let outputs =
        initializers.keys().take(1).map(|name: &String| ValueInfo::tensor(name, DType::F32, [])).collect();
    let graph = Graph { name: "answers".into(), initializers, outputs, ..Graph::default() };
    let model = Model { ir_version: 8, opsets: [(String::new(), 17)].into(), graph, ..Model::default() };
    onnx::write(&model, path).map_err(CliError::failed)
}

fn read(path: &Path) -> Answers {
    let model = onnx::read(path).map_err(|error| error.to_string())?;
    let mut answers: Vec<Answer> = Vec::new();
    for (name, tensor) in &model.graph.initializers {
        let parts: Vec<&str> = name.split(' ').collect();
        let [index, _, dtype, part] = parts[..] else { continue };
        let (Ok(index), Some(dtype)) =
            (index.parse::<usize>(), dtype.parse().ok().and_then(DType::from_code))
        else {
            continue;
        };
        let elements = tensor.as_f32().map(<[f32]>::to_vec).unwrap_or_default();
        let Ok(array) = ArrayD::from_shape_vec(tensor.shape().to_vec(), elements) else { continue };
        answers.resize_with(answers.len().max(index + 1), Answer::new);
        match (part, answers[index].last_mut()) {
            ("low", Some(value)) => value.low = Some(array),
            _ => answers[index].push(Value::new(dtype, array)),
        }
    }
    Ok(answers)
}

/// A comparison that a side gave no answer for.
pub fn not_compared(question: &Question<'_>, reason: &str) -> Comparison {
    let name = |side: &Side| format!("{} {}", side.runtime.kind(), side.runtime.version());
    Comparison {
        reference: name(question.reference),
        candidate: name(question.candidate),
        one_file: question.one_file,
        verdict: Verdict::Fail,
        outputs: Vec::new(),
        first_divergence: None,
        amplifiers: Vec::new(),
        survives_probing: None,
        failed: Some(reason.to_owned()),
        searched: None,
        stated_differences: Vec::new(),
    }
}
