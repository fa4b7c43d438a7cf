//! The range that a model's numbers have where an image here is on [0, 1].

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range of pixel values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PixelRange {
    /// [0, 1].
    Unit,
    /// [0, 255].
    Bytes,
    /// [-1, 1].
    Signed,
}

/// How a model's value is made of a pixel x on [0, 1]: factor * x + shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// What a pixel is multiplied by.
    pub factor: f32,
    /// What is added then.
    pub shift: f32,
}

impl PixelRange {
    /// Every range, the most usual first.
    pub const ALL: [PixelRange; 3] = [PixelRange::Unit, PixelRange::Bytes, PixelRange::Signed];

    /// From pixels on [0, 1] to the model's values.
    pub fn from_unit(self) -> Affine {
        match self {
            PixelRange::Unit => Affine { factor: 1.0, shift: 0.0 },
            PixelRange::Bytes => Affine { factor: 255.0, shift: 0.0 },
            PixelRange::Signed => Affine { factor: 2.0, shift: -1.0 },
        }
    }

    /// The pixel on [0, 1] that a model's value stands for.
    pub fn to_unit(self, value: f32) -> f32 {
        let Affine { factor, shift } = self.from_unit();
        (value - shift) / factor
    }

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            PixelRange::Unit => "0..1",
            PixelRange::Bytes => "0..255",
            PixelRange::Signed => "-1..1",
        }
    }
}

impl std::fmt::Display for PixelRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PixelRange {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let range = Self::ALL.into_iter().find(|range| range.name() == name);
        range.ok_or_else(|| format!("there is no range `{name}`; there are 0..1, 0..255 and -1..1"))
    }
}

impl TryFrom<String> for PixelRange {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<PixelRange> for String {
    fn from(range: PixelRange) -> Self {
        range.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for range in PixelRange::ALL {
            let Affine { factor, shift } = range.from_unit();
            assert_eq!(range.to_unit(factor * 0.25 + shift), 0.25);
            assert_eq!(range.name().parse(), Ok(range));
        }
        assert!("0..2".parse::<PixelRange>().unwrap_err().contains("0..255"));
    }
}
