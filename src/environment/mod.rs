//! What this machine has: ONNX Runtime, libtorch, GPUs.
//!
//! A library is looked for in three places, in this order: what an environment variable names; `native/` of the checkout that the program
//! was built in; the packages of the Python environment that the program was installed into or is run from.
//! Deliberately absent: loading anything, which is for `runtime` and for the program that `cli` starts.

mod gpu;
pub mod libtorch;
pub mod onnxruntime;
mod python;

use std::path::{Path, PathBuf};

pub use gpu::{Gpu, gpus};
pub use python::site_packages;

/// The first folder above a file in which `relative` exists, joined to it.
fn above(file: &Path, relative: &str) -> Option<PathBuf> {
    file.ancestors().skip(1).map(|folder| folder.join(relative)).find(|path| path.exists())
}
