//! Any bytes as a report: a report that its own writing brings back, whose table can be printed, or one message.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use temper::report::{Report, table};

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    file.write_all(bytes).expect("there is room for a small file");
    if let Ok(report) = Report::read(file.path()) {
        let _ = table(&report).to_string();
    }
});
