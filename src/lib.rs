//! Temper hardens image super-resolution networks against adversarial input and proves it on
//! the ONNX file that ships. `ARCHITECTURE.md` is the map of these modules.

pub mod attack;
pub mod audit;
pub mod cli;
#[cfg(feature = "torch")]
pub mod density;
pub mod environment;
pub mod files;
#[cfg(feature = "torch")]
pub mod harden;
pub mod image;
pub mod inspect;
pub mod interface;
pub mod limits;
pub mod metric;
pub mod onnx;
pub mod oracle;
pub mod report;
pub mod rewrite;
pub mod runtime;
#[cfg(feature = "torch")]
pub mod torch;
pub mod upscale;
pub mod zoo;
