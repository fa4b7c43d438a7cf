//! The size of an image, as people write it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Height and width in pixels; in files as text, such as `48x64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub usize, pub usize);

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

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}x{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_height_by_width() {
        assert_eq!("48x64".parse(), Ok(Size(48, 64)));
        assert_eq!(Size(48, 64).to_string(), "48x64");
        for text in ["48", "0x4", "4x", "-1x4", "99999x1", "axb"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
