//! The flags that state a model's interface instead of letting it be found.

use crate::interface::{Layout, Overrides, PixelRange};

/// What is left out is found by probing.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct InterfaceArgs {
    #[command(flatten)]
    form: FormArgs,
    /// Output side over input side
    #[arg(long, value_name = "N", help_heading = FORM)]
    scale: Option<usize>,
}

const FORM: &str = "Interface of the model, where it is not to be found by probing";

/// The same without the scale, which a verb may have a flag of its own for.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = FORM)]
pub struct FormArgs {
    /// Order of the image's axes: nchw or nhwc
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<Layout>,
    /// Channels of the image: 3 for RGB, 1 for luma
    #[arg(long, value_name = "1|3", value_parser = parse_channels)]
    channels: Option<usize>,
    /// Range of the model's pixel values: 0..1, 0..255 or -1..1
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<PixelRange>,
    /// The same at its output, where it differs from that at its input
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    output_range: Option<PixelRange>,
    /// The output that is the image, where there are several
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Values for an input beside the image, such as factor=1,1,4,4; may be repeated
    #[arg(long, value_name = "NAME=N,N,...", value_parser = parse_feed, allow_hyphen_values = true)]
    feed: Vec<(String, Vec<f64>)>,
}

impl InterfaceArgs {
    /// What the flags state.
    pub fn overrides(&self) -> Overrides {
        self.form.overrides(self.scale)
    }
}

impl FormArgs {
    /// What the flags state, with the scale.
    pub fn overrides(&self, scale: Option<usize>) -> Overrides {
        Overrides {
            layout: self.layout,
            channels: self.channels,
            range: self.range,
            output_range: self.output_range,
            scale,
            output: self.output.clone(),
            feed: self.feed.iter().cloned().collect(),
        }
    }
}

fn parse_channels(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("an image has 3 channels (RGB) or 1 (luma)".into()),
    }
}

fn parse_feed(text: &str) -> Result<(String, Vec<f64>), String> {
    let wrong = || format!("`{text}` is not NAME=NUMBER,NUMBER,...");
    let (name, values) = text.split_once('=').ok_or_else(wrong)?;
    let values: Result<Vec<f64>, _> = values.split(',').map(str::parse).collect();
    Ok((name.to_owned(), values.map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_names_and_numbers() {
        assert_eq!(parse_feed("factor=1,1,2.5"), Ok(("factor".into(), vec![1.0, 1.0, 2.5])));
        for wrong in ["factor", "factor=", "factor=a"] {
            assert!(parse_feed(wrong).is_err(), "{wrong}");
        }
    }
}
