//! The range that a model's numbers have where an image here is on [0, 1].

use std::str::FromStr;

/// A range of pixel values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// [0, 1].
    Unit,
    /// [0, 255].
    Bytes,
    /// [-1, 1].
    Signed,
}

impl Levels {
    /// Every range, the most usual first.
    pub const ALL: [Levels; 3] = [Levels::Unit, Levels::Bytes, Levels::Signed];

    /// (a, b) such that the model's value is a x + b for a pixel x on [0, 1].
    pub fn from_unit(self) -> (f32, f32) {
        match self {
            Levels::Unit => (1.0, 0.0),
            Levels::Bytes => (255.0, 0.0),
            Levels::Signed => (2.0, -1.0),
        }
    }

    /// The pixel on [0, 1] that a model's value stands for.
    pub fn to_unit(self, value: f32) -> f32 {
        let (factor, shift) = self.from_unit();
        (value - shift) / factor
    }

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Levels::Unit => "0..1",
            Levels::Bytes => "0..255",
            Levels::Signed => "-1..1",
        }
    }
}

impl std::fmt::Display for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let levels = Self::ALL.into_iter().find(|levels| levels.name() == name);
        levels.ok_or_else(|| format!("there is no range `{name}`; there are 0..1, 0..255 and -1..1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for levels in Levels::ALL {
            let (factor, shift) = levels.from_unit();
            assert_eq!(levels.to_unit(factor * 0.25 + shift), 0.25);
            assert_eq!(levels.name().parse(), Ok(levels));
        }
        assert!("0..2".parse::<Levels>().unwrap_err().contains("0..255"));
    }
}
