//! `temper grad`: the gradient of a model as an ONNX file.

use std::path::PathBuf;

use super::interface::InterfaceArgs;
use super::output::say;
use super::{CliError, after_help};
use crate::files::is_same_file;
use crate::interface::{Size, declared};
use crate::onnx::{self, Model};
use crate::oracle::{GRADIENT, Objective, TARGET, VALUE, gradient_model};
use crate::rewrite::Stop;

/// Writes the gradient of ||S(x) - target||_2 as a standard ONNX model of fixed size.
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
    /// Images per run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    batch: u16,
    #[command(flatten)]
    interface: InterfaceArgs,
    /// The file to write; one that is there is replaced
    #[arg(short, long, value_name = "GRAD.onnx")]
    out: PathBuf,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let source = onnx::read_source(&args.model).map_err(CliError::usage)?;
    args.spare(&source.files)?;
    let refuse = |reason: &dyn std::fmt::Display| {
        CliError::usage(format!("`{}` cannot be differentiated: {reason}", args.model.display()))
    };
    let Size(height, width) = args.input;
    let (model, form) = declared(&source.model, &args.interface.overrides(), [height, width])
        .map_err(|error| refuse(&error))?;
    let mut shape = form.layout.shape(form.channels, [height, width]);
    shape[0] = args.batch.into();
    let (gradient, stopped) =
        gradient_model(&model, &Objective::Distance, &shape).map_err(|error| refuse(&error))?;
    onnx::write(&gradient, &args.out).map_err(CliError::usage)?;
    say(args.summary(&form.input, [&model, &gradient], &stopped))
}

impl Args {
    /// Refuses to write over what the model was read from, by whatever path.
    fn spare(&self, files: &[PathBuf]) -> Result<(), CliError> {
        let Some(file) = files.iter().find(|file| is_same_file(file, &self.out)) else { return Ok(()) };
        let (out, file) = (self.out.display(), file.display());
        let what =
            format!("{out}: is the model's own file `{file}`, which would be lost; give -o another name");
        Err(CliError::usage(what))
    }

    fn summary(&self, image: &str, [model, gradient]: [&Model; 2], stopped: &[Stop]) -> String {
        let counts = [model, gradient].map(|model| model.graph.nodes.len());
        let mut lines = vec![
            format!("{}: {} nodes became {}", self.out.display(), counts[0], counts[1]),
            format!("inputs `{image}` and `{TARGET}`; outputs `{VALUE}` and `{GRADIENT}`"),
        ];
        let stops = stopped.iter();
        lines.extend(stops.map(|stop| format!("only a zero gradient passes {}: {}", stop.node, stop.reason)));
        lines.join("\n")
    }
}
