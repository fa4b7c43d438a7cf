//! The row of libtorch, which stands in the table of a program that was built without it too.

use super::kind::{Setting, Settings};
use super::table::Row;
use super::{Kind, Runtime, RuntimeError};

impl Kind {
    /// libtorch on the CPU in float32, with autograd.
    pub const TORCH: Kind = Kind::named("torch");
    /// libtorch on the CPU in float64: the reference that arbitrates.
    pub const TORCH_F64: Kind = Kind::named("torch:f64");
}

pub(super) const ROW: Row = Row {
    name: "torch",
    help: "libtorch, with autograd",
    settings: &[
        Setting::flag("cuda", &[]),
        // float32 is what it computes in where neither is named.
        Setting::flag("f64", &["bf16"]),
        Setting::flag("bf16", &["f64"]),
    ],
    short: &[],
    audits_by_default: false,
    open,
};

#[cfg(feature = "torch")]
fn open(kind: Kind, settings: &Settings) -> Result<Box<dyn Runtime>, RuntimeError> {
    use crate::torch;

    let device = torch::device(if settings.has("cuda") { "cuda" } else { "cpu" });
    let device = device.map_err(|error| RuntimeError::Unavailable { kind, reason: error.to_string() })?;
    let number = match (settings.has("f64"), settings.has("bf16")) {
        (true, _) => torch::Kind::Double,
        (_, true) => torch::Kind::BFloat16,
        _ => torch::Kind::Float,
    };
    Ok(Box::new(super::torch::Torch::with_numbers(kind, device, number)))
}

#[cfg(not(feature = "torch"))]
fn open(kind: Kind, _: &Settings) -> Result<Box<dyn Runtime>, RuntimeError> {
    let reason = "this program was built without libtorch; `temper-torch` has it".to_owned();
    Err(RuntimeError::Unavailable { kind, reason })
}
