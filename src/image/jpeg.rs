//! Tells whether a JPEG file is whole.
//!
//! JPEG decoders paint what is missing of a cut-off file in grey and report success, as viewers
//! want. Here that grey would be measured, so the markers are walked to the end of the image.
//! Deliberately absent: decoding, and any opinion on what the segments hold.

const END_OF_IMAGE: u8 = 0xD9;

/// True where the markers (ITU T.81, B.1) lead from the start of the image to its end.
pub(super) fn reaches_its_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some((marker, segment)) = next_marker(rest) {
        if marker == END_OF_IMAGE {
            return true;
        }
        // Every other marker heads a segment that begins with its own length, and may hold
        // anything, thumbnails with an end of their own included.
        let length = segment.first_chunk().map_or(usize::MAX, |&l| u16::from_be_bytes(l).into());
        rest = segment.get(length..).unwrap_or_default();
    }
    false
}

/// The first marker that heads a segment or ends the image, and what follows it.
///
/// Entropy-coded data are passed over: in them 0xFF is followed by 0 or by a restart marker
/// (0xD0 to 0xD7), and a marker may be padded with more 0xFF.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let at = bytes
        .windows(2)
        .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF))?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start of image, a segment whose content looks like an end, a scan with a stuffed 0xFF and a
    /// restart marker, the end.
    const WHOLE: [u8; 22] = [
        0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x04, 0xFF, 0xD9, 0xFF, 0xFF, 0xDA, 0x00, 0x03, 0x01, 0x55, 0xFF, 0x00,
        0xFF, 0xD3, 0x55, 0xFF, 0xD9,
    ];

    #[test]
    fn a_whole_file_reaches_its_end_and_no_shorter_one_does() {
        assert!(reaches_its_end(&WHOLE));
        for length in 0..WHOLE.len() {
            assert!(!reaches_its_end(&WHOLE[..length]), "{length} bytes");
        }
    }

    #[test]
    fn what_follows_the_end_does_not_matter() {
        assert!(reaches_its_end(&[&WHOLE[..], &[0, 0, 0xFF, 0xE0, 0x7F]].concat()));
    }
}
