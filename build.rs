//! Compiles `proto/onnx.proto` with a pure-Rust protobuf compiler, so that no `protoc` is needed, and
//! tells the linker where libtorch will be at run time.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    find_libtorch_at_run_time();
    // The tests of time ask for it.
    println!("cargo:rustc-env=TEMPER_OPT_LEVEL={}", env::var("OPT_LEVEL")?);
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

/// Writes libtorch's folder into the program and the tests as their RUNPATH, so that they start on
/// a plain shell: the loader does not know `native/`, and `cargo run` adds only folders inside the
/// target directory to LD_LIBRARY_PATH. RUNPATH and not RPATH, so that LD_LIBRARY_PATH still wins:
/// that is how another libtorch, one with CUDA say, is put in its place without a new build. A release is
/// for other machines: there `temper` tells `temper-torch` where libtorch is.
fn find_libtorch_at_run_time() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_LIB");
    let torch = env::var_os("CARGO_FEATURE_TORCH").is_some();
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    let root = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH"));
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let Some(root) = root.filter(|_| torch && linux && !release) else {
        return;
    };
    let lib = PathBuf::from(root).join("lib");
    println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags");
    for folder in relative_to_executables(&lib) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/{folder}");
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}

/// The way to `lib` from the program, from the examples and from the tests, where both the target
/// directory and `lib` lie in this project: so that a checkout can be moved with what it built. Elsewhere
/// a relative way is a guess, and a guess in a loader's path is a risk.
fn relative_to_executables(lib: &Path) -> Vec<String> {
    let (Ok(project), Ok(out)) = (env::var("CARGO_MANIFEST_DIR"), env::var("OUT_DIR")) else {
        return Vec::new();
    };
    // OUT_DIR is PROFILE/build/temper-HASH/out; executables are in PROFILE and PROFILE/deps.
    let profile = Path::new(&out).ancestors().nth(3);
    let inside = profile.and_then(|profile| profile.strip_prefix(&project).ok());
    let (Some(inside), Ok(lib)) = (inside, lib.strip_prefix(&project)) else {
        return Vec::new();
    };
    let depth = inside.components().count();
    [depth, depth + 1].map(|depth| format!("{}{}", "../".repeat(depth), lib.display())).to_vec()
}
