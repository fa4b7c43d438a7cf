//! `temper grad`: the gradient of a model as an ONNX file.

use std::path::PathBuf;

use serde::Serialize;

use super::interface::InterfaceArgs;
use super::output::{is_json, say, say_json};
use super::{CliError, after_help};
use crate::files::is_same_file;
use crate::interface::{Size, declared};
use crate::onnx::{self, Model};
use crate::oracle::{GRADIENT, Objective, TARGET, VALUE, gradient_model, of_any_size, other_sizes};
use crate::rewrite::Stop;

/// Writes the gradient of ||S(x) - target||_2 as a standard ONNX model.
///
/// Its inputs are the model's own image and `target`, of the output's shape; its outputs `value`, a
/// number, and `gradient`, of the image's shape. Only standard operators of opset 13 or above are used.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help("temper grad model.onnx --input 48x48 -o gradient.onnx"))]
pub struct Args {
    /// The model to differentiate
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Size of the image, height x width in pixels, such as 48x64
    #[arg(long, value_name = "HxW", allow_hyphen_values = true)]
    input: Size,
    /// Leave height and width open where the gradient is the same graph at other sizes too; else write one size, and
    /// say why
    #[arg(long)]
    dynamic: bool,
    /// Images per run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    batch: u16,
    /// The file to write; one that is there is replaced
    #[arg(short, long, value_name = "GRAD.onnx")]
    out: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let source = onnx::read_source(&args.model).map_err(CliError::usage)?;
    args.spare(&source.files)?;
    let refuse = |reason: &dyn std::fmt::Display| {
        CliError::usage(format!("`{}` cannot be differentiated: {reason}", args.model.display()))
    };
    let Size(height, width) = args.input;
    let Made { model, image, shape, mut gradient, stopped } =
        args.made(&source.model, [height, width]).map_err(|error| refuse(&error))?;
    let open = args.dynamic.then(|| args.of_any_size(&source.model, &gradient, [height, width]));
    let one_size = match open {
        Some(Ok(open)) => {
            gradient = open;
            None
        }
        Some(Err(reason)) => Some(reason),
        None => None,
    };
    onnx::write(&gradient, &args.out).map_err(CliError::usage)?;
    let any_size = args.dynamic && one_size.is_none();
    let written =
        Written { any_size, one_size, ..Written::new(args, &image, &shape, [&model, &gradient], &stopped) };
    if is_json() { say_json(&written) } else { say(written.summary()) }
}

/// A gradient for one size.
struct Made {
    /// What is differentiated.
    model: Model,
    /// The name of its image.
    image: String,
    /// The image's shape.
    shape: [usize; 4],
    gradient: Model,
    stopped: Vec<Stop>,
}

impl Args {
    fn made(&self, source: &Model, [height, width]: [usize; 2]) -> Result<Made, Box<dyn std::error::Error>> {
        let (model, form) = declared(source, &self.interface.overrides(), [height, width])?;
        let mut shape = form.layout.shape(form.channels, [height, width]);
        shape[0] = self.batch.into();
        let (gradient, stopped) = gradient_model(&model, &Objective::Distance, &shape)?;
        Ok(Made { model, image: form.input, shape, gradient, stopped })
    }

    /// The gradient with open sizes, or why it serves one alone.
    fn of_any_size(&self, source: &Model, gradient: &Model, size: [usize; 2]) -> Result<Model, String> {
        if let Some(node) = source.graph.nodes.iter().find(|node| node.op == "If") {
            return Err(format!("the {} may depend on it", node.label()));
        }
        let others = other_sizes(size).map(|size| match self.made(source, size) {
            Ok(made) => Ok(made.gradient),
            Err(error) => Err(format!("at {}x{}: {error}", size[0], size[1])),
        });
        of_any_size(gradient, &others.into_iter().collect::<Result<Vec<_>, _>>()?)
    }

    /// Refuses to write over what the model was read from, by whatever path.
    fn spare(&self, files: &[PathBuf]) -> Result<(), CliError> {
        let Some(file) = files.iter().find(|file| is_same_file(file, &self.out)) else { return Ok(()) };
        let (out, file) = (self.out.display(), file.display());
        let what =
            format!("{out}: is the model's own file `{file}`, which would be lost; give -o another name");
        Err(CliError::usage(what))
    }
}

/// What was written, as `--json` prints it.
#[derive(Serialize)]
struct Written<'a> {
    written: String,
    /// The model's image, of this shape, and what its output is compared with.
    inputs: [&'a str; 2],
    shape: &'a [usize],
    #[serde(skip)]
    size: Size,
    /// Whether height and width are open.
    any_size: bool,
    /// Why they are not, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    one_size: Option<String>,
    /// The distance, and its gradient of the image's shape.
    outputs: [&'static str; 2],
    nodes: usize,
    gradient_nodes: usize,
    /// Nodes through which only a zero gradient passes, with the reason.
    zero: Vec<[&'a str; 2]>,
}

impl<'a> Written<'a> {
    fn new(
        args: &Args,
        image: &'a str,
        shape: &'a [usize],
        [model, gradient]: [&Model; 2],
        stopped: &'a [Stop],
    ) -> Self {
        Self {
            written: args.out.display().to_string(),
            inputs: [image, TARGET],
            shape,
            size: args.input,
            any_size: false,
            one_size: None,
            outputs: [VALUE, GRADIENT],
            nodes: model.graph.nodes.len(),
            gradient_nodes: gradient.graph.nodes.len(),
            zero: stopped.iter().map(|stop| [stop.node.as_str(), stop.reason]).collect(),
        }
    }

    fn summary(&self) -> String {
        let Self { written, inputs: [image, target], outputs: [value, gradient], .. } = self;
        let mut lines = vec![
            format!("{written}: {} nodes became {}", self.nodes, self.gradient_nodes),
            format!("inputs `{image}` and `{target}`; outputs `{value}` and `{gradient}`"),
        ];
        if self.any_size {
            lines.push("for images of any size".into());
        }
        if let Some(reason) = &self.one_size {
            let Size(height, width) = self.size;
            lines.push(format!("for {height}x{width} alone: {reason}"));
        }
        let stops = self.zero.iter();
        lines.extend(stops.map(|[node, reason]| format!("only a zero gradient passes {node}: {reason}")));
        lines.join("\n")
    }
}
