//! What a user states of how a stranger's file is fed, where probing does not find it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::harden::HardenError;
use crate::interface::Wishes;

/// As a file or flags state it; what is left out is found by probing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stated {
    /// `nchw` or `nhwc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// 3 for RGB, 1 for luma.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// `0..1`, `0..255` or `-1..1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// The same at the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_range: Option<String>,
    /// Output side over input side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<usize>,
    /// The output that is the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Values of inputs beside the image.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feed: BTreeMap<String, Vec<f64>>,
}

impl Stated {
    /// Whether everything is left to probing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As probing takes it.
    ///
    /// # Errors
    /// [`HardenError::Config`] for a layout, range or number of channels that there is not.
    pub fn wishes(&self) -> Result<Wishes, HardenError> {
        let wrong = |problem: String| HardenError::Config { origin: "[recipe.interface]".into(), problem };
        if let Some(channels) = self.channels.filter(|channels| ![1, 3].contains(channels)) {
            return Err(wrong(format!("an image has 3 channels (RGB) or 1 (luma), not {channels}")));
        }
        Ok(Wishes {
            layout: read(self.layout.as_deref()).map_err(wrong)?,
            channels: self.channels,
            input_levels: read(self.range.as_deref()).map_err(wrong)?,
            output_levels: read(self.output_range.as_deref()).map_err(wrong)?,
            scale: self.scale,
            output: self.output.clone(),
            feeds: self.feed.iter().map(|(name, values)| (name.clone(), values.clone())).collect(),
        })
    }
}

fn read<T: std::str::FromStr<Err = String>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(str::parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Layout, Levels};

    #[test]
    fn what_is_stated_is_wished_and_what_there_is_not_is_refused() {
        let read = |text: &str| toml::from_str::<Stated>(text).unwrap();
        assert!(read("").is_empty());
        let stated = read("layout = \"nhwc\"\nrange = \"-1..1\"\nscale = 2\nfeed = { factor = [1, 2.5] }");
        let wishes = stated.wishes().unwrap();
        assert_eq!((wishes.layout, wishes.input_levels), (Some(Layout::Nhwc), Some(Levels::Signed)));
        assert_eq!((wishes.scale, wishes.feeds), (Some(2), vec![("factor".into(), vec![1.0, 2.5])]));
        for (text, part) in [("range = \"0..2\"", "no range `0..2`"), ("channels = 4", "not 4")] {
            let error = read(text).wishes().unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains(part), "{error}");
        }
    }
}
