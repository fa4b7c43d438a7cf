//! ONNX models: a plain IR, a builder, a checker and the file codec.
//!
//! The graph is the program: every network here is one of these, and training, attacking and
//! differentiating all start from it. Deliberately absent: what operators compute.

mod builder;
mod check;
mod codec;
mod error;
mod model;
mod tensor;

pub use builder::GraphBuilder;
pub use check::check;
pub use codec::{Source, from_bytes, read, read_source, to_bytes, write};
pub use error::{OnnxError, Problem};
pub use model::{Attribute, Dim, Graph, Model, Node, Opaque, ValueInfo, ValueType};
pub use tensor::{DType, Data, SizeMismatch, Tensor, element_count};
