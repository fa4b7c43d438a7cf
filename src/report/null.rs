//! Numbers that JSON has no word for: `null` stands for them, and is read back as what it stood for.

use serde::{Deserialize, Deserializer, Serializer};

/// A finite number as it is, any other as `null`.
pub fn write<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() { serializer.serialize_some(value) } else { serializer.serialize_none() }
}

/// A PSNR: `null` is that of equal images.
pub mod decibels {
    use super::{Deserialize, Deserializer};

    pub use super::write as serialize;

    /// A number, or what `null` stands for.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
    }
}

/// Any other number: `null` is one that could not be taken.
pub mod number {
    use super::{Deserialize, Deserializer};

    pub use super::write as serialize;

    /// A number, or what `null` stands for.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}
