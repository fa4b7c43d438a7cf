//! `temper grad`: the gradient of a model as an ONNX file.

use std::path::PathBuf;
use std::str::FromStr;

use super::CliError;
use crate::onnx;
use crate::oracle::{GRADIENT, Objective, TARGET, VALUE, gradient_model, image_input};

/// Writes the gradient of ||S(x) - target||_2 as a standard ONNX model of fixed size.
///
/// Its inputs are the model's own image and `target`; its outputs `value` and `gradient`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model to differentiate
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Size of the image, height x width in pixels, such as 48x64
    #[arg(long, value_name = "HxW", allow_hyphen_values = true)]
    input: Size,
    /// Images per run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// The file to write
    #[arg(short, long, value_name = "GRAD.onnx")]
    out: PathBuf,
}

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size(usize, usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |word: &str| word.parse::<usize>().ok().filter(|side| (1..=1 << 15).contains(side));
        let sides =
            text.split_once(['x', 'X']).and_then(|(height, width)| Some((side(height)?, side(width)?)));
        let (height, width) = sides.ok_or_else(|| {
            format!("`{text}` is no size; give height x width in pixels, each from 1 to 32768, such as 48x64")
        })?;
        Ok(Self(height, width))
    }
}

/// Runs the verb.
#[allow(clippy::print_stdout)]
pub fn run(args: &Args) -> Result<(), CliError> {
    let model = onnx::read(&args.model).map_err(CliError::usage)?;
    let refuse = |reason| CliError::usage(format!("`{}`: {reason}", args.model.display()));
    let Size(height, width) = args.input;
    let image = image_input(&model).map_err(refuse)?;
    let shape = [usize::from(args.batch), 3, height, width];
    let (gradient, stopped) = gradient_model(&model, Objective::Distance, &shape).map_err(refuse)?;
    onnx::write(&gradient, &args.out).map_err(CliError::usage)?;
    let counts = (model.graph.nodes.len(), gradient.graph.nodes.len());
    println!("{}: {} nodes became {}", args.out.display(), counts.0, counts.1);
    println!("inputs `{image}` and `{TARGET}`; outputs `{VALUE}` and `{GRADIENT}`");
    for stop in stopped {
        println!("a zero gradient passes {}: {}", stop.node, stop.reason);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_height_by_width() {
        assert_eq!("48x64".parse(), Ok(Size(48, 64)));
        for text in ["48", "0x4", "4x", "-1x4", "99999x1", "axb"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
