//! Any bytes as a checkpoint: a state that its own writing brings back, or one message. Checksums are not asked for
//! here: a stranger who makes a file makes its checksum, too.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use temper::harden::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    file.write_all(bytes).expect("there is room for a small file");
    let Ok(checkpoint) = Checkpoint::read(file.path()) else { return };
    checkpoint.write(file.path()).expect("there is room for a small file");
    let again = Checkpoint::read(file.path()).expect("what was written is read");
    assert_eq!((again.step, again.weights.len()), (checkpoint.step, checkpoint.weights.len()));
});
