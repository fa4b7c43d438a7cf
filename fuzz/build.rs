//! Compiles the schema of ONNX as the program's own build does.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../proto/onnx.proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["../proto"])?;
    compiler.open_file("onnx.proto")?;
    fs::write(out.join("onnx.bin"), compiler.encode_file_descriptor_set())?;
    prost_build::Config::new().bytes(["."]).compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
