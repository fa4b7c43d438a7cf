//! Any bytes as an image file: pixels on [0, 1] or one message.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use temper_fuzz::image::load;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    file.write_all(bytes).expect("there is room for a small file");
    if let Ok(picture) = load(file.path()) {
        assert!(picture.pixels.iter().all(|value| (0.0..=1.0).contains(value)));
    }
});
