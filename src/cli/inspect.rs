//! `temper inspect`: what there is to know of a model before it is attacked.

mod document;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::interface::InterfaceArgs;
use super::output::{is_json, say, say_json};
use super::{CliError, after_help};
use crate::inspect::{self, Parameters, Use, Verdict};
use crate::interface::{Found, Interface, InterfaceError, discover, unprobed};
use crate::limits::Limit;
use crate::onnx::{self, Model};
use crate::rewrite::Status;
use crate::runtime::faults::{known_faults, warning};
use crate::runtime::{self, Kind, Runtime};
use document::Document;

/// Shows a model's interface, operators, cost, and which runtimes run it.
///
/// The interface (layout, colours, value range, scale, sizes) is found by probing and by agreement
/// with a bicubic upscale.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help("temper inspect model.onnx\ntemper inspect model.onnx --json"))]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
}

/// A runtime, or why it is not there or runs nothing.
type Opened = (Kind, Result<Arc<dyn Runtime>, String>);

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let model = onnx::read(&args.model).map_err(CliError::usage)?;
    let refuse = |reason: &dyn std::fmt::Display| format!("`{}`: {reason}", args.model.display());
    let overrides = args.interface.overrides();
    let runs_it = model.graph.nodes.len() as u64 <= Limit::RunNodes.get();
    let runtimes = if runs_it {
        Kind::all().map(opened).collect()
    } else {
        Kind::all().map(not_run).collect::<Vec<_>>()
    };
    let there = runtimes.iter().filter_map(|(_, runtime)| runtime.as_deref().ok());
    let found = if runs_it { discover(&model, &overrides, there) } else { unprobed(&model, &overrides) };
    let found = found.map_err(|error| match error {
        InterfaceError::Runtime(_) => CliError::failed(refuse(&error)),
        _ => CliError::usage(refuse(&error)),
    })?;
    let canonical = found.interface.canonical(&model);
    if is_json() {
        let name = args.model.display().to_string();
        let document = Document::new(&model, &found, &canonical, runtimes, name);
        return say_json(&document.map_err(|error| CliError::usage(refuse(&error)))?);
    }
    let mut text = vec![heading(args, &model), interface(&found)];
    text.push(cost(&model, &canonical, &found).map_err(|error| CliError::usage(refuse(&error)))?);
    text.extend(runtimes.into_iter().map(|(kind, runtime)| match runtime {
        Ok(runtime) => {
            let warned = known_faults(&*runtime, &model);
            let lines =
                warned.iter().map(|(fault, node)| format!("\n{:<14}{}", "", warning(kind, fault, node)));
            let lines: String = lines.collect();
            runs(&inspect::verdict(&canonical, &found, runtime)) + &lines
        }
        Err(reason) => format!("{:<14}{reason}", kind.name()),
    }));
    say(text.join("\n"))
}

fn opened(kind: Kind) -> Opened {
    (kind, runtime::open(kind).map(Arc::from).map_err(|error| error.to_string()))
}

/// What stands for a runtime where the model has more nodes than are run for an inspection.
fn not_run(kind: Kind) -> Opened {
    (kind, Err(format!("not run: its number of nodes {}", Limit::RunNodes.exceeded())))
}

fn heading(args: &Args, model: &Model) -> String {
    let (producer, version) = &model.producer;
    let by = if producer.is_empty() { String::new() } else { format!(", by {producer} {version}") };
    format!("{:<14}{}: opset {}{by}", "model", args.model.display(), model.opset())
}

fn interface(found: &Found) -> String {
    let Interface { form, geometry, input_range, output_range, constants } = &found.interface;
    let colours = if form.channels == 1 { "luma" } else { "RGB" };
    let sizes = match (geometry.fixed, geometry.multiple) {
        (Some([height, width]), _) => format!("{height}x{width} only"),
        (None, 1) => "any size".into(),
        (None, multiple) => format!("sizes that are multiples of {multiple}"),
    };
    let mut text = format!(
        "{:<14}`{}` takes {} {}, {colours}, {input_range}, {sizes}\n",
        "input",
        form.input,
        form.dtype.name(),
        form.layout.name().to_uppercase(),
    );
    for (name, tensor) in constants {
        let _ = writeln!(text, "{:<14}`{name}` is fed {:?}", "", tensor.data());
    }
    let margin = match geometry.margin {
        0 => String::new(),
        margin => format!(", {margin} pixels cut on every side"),
    };
    let agreement = match found.agreement {
        agreement if agreement.is_nan() => "not run, so that its range is a guess".to_owned(),
        agreement => format!("{agreement:.1} dB from a bicubic upscale of a test picture"),
    };
    let _ = write!(
        text,
        "{:<14}`{}` gives x{}, {output_range}{margin}; {agreement}",
        "output", form.output, geometry.scale
    );
    text
}

fn cost(model: &Model, canonical: &Model, found: &Found) -> Result<String, crate::rewrite::RewriteError> {
    let fixed = inspect::fixed(canonical, found)?;
    let Parameters { float, int8 } = inspect::parameters(model);
    let count =
        if int8 == 0 { float.to_string() } else { format!("{float} in floats, {int8} in 8-bit integers") };
    let mut text = format!("{:<14}{count}\n", "parameters");
    match inspect::cost(&fixed, found) {
        Ok(cost) => {
            let [height, width] = found.interface.geometry.example;
            let _ = writeln!(
                text,
                "{:<14}{:.1} GFLOP per input megapixel forwards, {:.1} a gradient step (at {height}x{width})\n\
                 {:<14}{} forwards, {} with the gradient",
                "cost",
                cost.forward / 1e3,
                cost.gradient / 1e3,
                "nodes",
                cost.nodes,
                cost.gradient_nodes
            );
        }
        Err(error) => {
            let _ = writeln!(text, "{:<14}none: {error}", "gradient");
        }
    }
    let uses = inspect::operators(&fixed);
    for (index, used) in uses.iter().enumerate() {
        let label = if index == 0 { "operators" } else { "" };
        let _ = writeln!(text, "{label:<12}{:>5} {:<24} {}", used.count, used.operator, gradient(used));
    }
    Ok(text.trim_end().to_owned())
}

fn gradient(used: &Use) -> String {
    match &used.gradient {
        Ok(Status::Differentiable(_)) => "differentiable".into(),
        Ok(Status::Zero(reason)) => format!("zero gradient: {reason}"),
        Ok(Status::Refused(reason)) => format!("refused: {reason}"),
        Err(reason) => format!("refused: {reason}"),
    }
}

fn runs(verdict: &Verdict) -> String {
    let say = |result: &Result<(), crate::oracle::OracleError>| match result {
        Ok(()) => "runs".to_owned(),
        Err(error) => error.to_string(),
    };
    format!(
        "{:<14}forward: {}\n{:<14}gradient: {}",
        verdict.runtime,
        say(&verdict.forward),
        "",
        verdict
            .gradient
            .as_ref()
            .map_or_else(|| "exists; not run, for want of a forward run".to_owned(), say)
    )
}
