//! Any bytes as an entry of the cache: what was kept, or nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| temper::audit::read_entry(bytes));
