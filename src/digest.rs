//! SHA-256 in hexadecimal: how files, images and settings are identified in reports and caches.

use sha2::{Digest, Sha256};

/// Bytes in hexadecimal, two lower-case digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of float32 values, little-endian, in their order.
pub fn of_floats<'a>(values: impl IntoIterator<Item = &'a f32>) -> String {
    let mut hash = Sha256::new();
    values.into_iter().for_each(|value| hash.update(value.to_le_bytes()));
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of_bytes(b""), empty);
        assert_eq!(of_floats(&[]), empty);
        assert_eq!(of_floats(&[1.0]), of_bytes(&[0, 0, 128, 63]));
    }
}
