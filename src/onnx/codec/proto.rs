//! The protobuf messages of the format: the only file that knows `prost`.

#![allow(missing_docs, clippy::all)] // generated from `proto/onnx.proto`, which documents them

pub use prost::bytes::{Buf, Bytes};
pub use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
pub use prost::{DecodeError, Message};
pub use prost_types::{FileDescriptorSet, field_descriptor_proto::Type as FieldType};

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));

/// The compiled schema, as `build.rs` wrote it.
pub const SCHEMA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/onnx.bin"));
