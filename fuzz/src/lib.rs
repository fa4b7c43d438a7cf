//! The parts of the program that read strangers' bytes, compiled here from its own sources: they need no
//! runtime, and a build of tract with coverage takes an hour on a small machine.

#![allow(missing_docs, dead_code, unused_imports, unexpected_cfgs)]

#[path = "../../src/files/mod.rs"]
pub mod files;
#[path = "../../src/image/mod.rs"]
pub mod image;
#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/metric/mod.rs"]
pub mod metric;
#[path = "../../src/onnx/mod.rs"]
pub mod onnx;
#[path = "../../src/rewrite/mod.rs"]
pub mod rewrite;
