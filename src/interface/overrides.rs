//! What a user states of a model's interface; the rest is found by probing.
//!
//! One type for flags, for the `[recipe.interface]` table of a configuration and for a plan in the library.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Layout, PixelRange};
use crate::onnx::Model;

/// The metadata key of our own exports, whose images are on [0, 1].
const OWN: &str = "temper.scale";

/// What is stated of a model's interface. A field that is left out is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// The order of the image's axes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Channels of the image: 3 for RGB, 1 for luma.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "channels")]
    pub channels: Option<usize>,
    /// The range of pixel values at the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<PixelRange>,
    /// The same at the output; as at the input where only that is stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_range: Option<PixelRange>,
    /// Output side over input side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<usize>,
    /// The output that is the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Values of inputs other than the image, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feed: BTreeMap<String, Vec<f64>>,
}

impl Overrides {
    /// Whether everything is left to probing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// With what our own exports state of themselves, where the user states nothing.
    pub(super) fn or_own(&self, model: &Model) -> Self {
        let own = model.metadata.contains_key(OWN).then_some(PixelRange::Unit);
        Self { range: self.range.or(own), ..self.clone() }
    }
}

/// Refuses a number of channels that no image has.
fn channels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(channels) if ![1, 3].contains(&channels) => Err(serde::de::Error::custom(format!(
            "an image has 3 channels (RGB) or 1 (luma), not {channels}"
        ))),
        channels => Ok(channels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_states_is_read_and_written_alike() {
        let read = |json: &str| serde_json::from_str::<Overrides>(json);
        assert!(read("{}").unwrap().is_empty());
        let text = r#"{"layout":"nhwc","range":"-1..1","scale":2,"feed":{"factor":[1.0,2.5]}}"#;
        let stated = read(text).unwrap();
        assert_eq!((stated.layout, stated.range), (Some(Layout::Nhwc), Some(PixelRange::Signed)));
        assert_eq!(serde_json::to_string(&stated).unwrap(), text);
        for (wrong, said) in [
            (r#"{"range":"0..2"}"#, "no range `0..2`"),
            (r#"{"layout":"chw"}"#, "no layout `chw`"),
            (r#"{"channels":4}"#, "not 4"),
            (r#"{"colours":3}"#, "unknown field `colours`"),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
