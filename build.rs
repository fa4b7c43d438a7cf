//! Compiles `proto/onnx.proto` with a pure-Rust protobuf compiler, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    compile_schema()
}

/// Writes the Rust types of the schema, and the compiled schema itself, which `wire.rs` reads to
/// tell declared fields from unknown ones.
fn compile_schema() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/onnx.proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.open_file("onnx.proto")?;
    fs::write(out.join("onnx.bin"), compiler.encode_file_descriptor_set())?;
    prost_build::Config::new().bytes(["."]).compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
