//! ONNX files to the IR and back.
//!
//! Nothing outside this folder knows protobuf. What the IR does not hold is refused by name
//! (unknown fields, local functions, sparse weights) or is a remark that changes no result
//! (doc strings of attributes and tensors, denotations of dimensions) and is let go.

mod external;
mod proto;
mod read;
mod wire;
mod write;

use std::path::Path;

use self::proto::Message;
use self::wire::WireError;
use super::check;
use super::error::{OnnxError, Problem};
use super::model::Model;
use crate::files;

/// protobuf's own limit on a message.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// What a file that is not a model may start with.
const SIGNATURES: [(&[u8], &str); 9] = [
    (b"\x89PNG", "is a PNG image"),
    (b"\xff\xd8\xff", "is a JPEG image"),
    (b"GIF8", "is a GIF image"),
    (b"PK\x03\x04", "is a zip archive (a PyTorch checkpoint?)"),
    (b"\x80\x02", "is a Python pickle (an old PyTorch checkpoint?)"),
    (b"\x89HDF", "is an HDF5 file (a Keras model?)"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file it points to"),
    (b"<!DOCTYPE", "is an HTML page"),
    (b"\x7fELF", "is a program"),
];

/// Reads and checks a model file.
pub fn read(path: &Path) -> Result<Model, OnnxError> {
    let bytes = files::read_bounded(path, MAX_FILE_BYTES)?;
    let not_a_model = |found: &str| OnnxError::NotAModel { path: path.into(), found: found.into() };
    if let Some((_, found)) = SIGNATURES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(not_a_model(found));
    }
    let folder =
        path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    match decode(&bytes, folder) {
        Ok(model) => Ok(model),
        // Every model starts with its IR version (field 1) or, seldom, another declared field.
        Err(Failure::Malformed(_)) if bytes.first() != Some(&0x08) => {
            Err(not_a_model("holds something else"))
        }
        Err(Failure::Malformed(reason)) => Err(OnnxError::Damaged { path: path.into(), reason }),
        Err(Failure::Problem(problem)) => Err(OnnxError::Refused { path: path.into(), problem }),
    }
}

/// Reads and checks a model from bytes in memory; external data has no folder and is refused.
pub fn from_bytes(bytes: &[u8]) -> Result<Model, Problem> {
    decode(bytes, None).map_err(|failure| match failure {
        Failure::Malformed(reason) => Problem::new("the model", reason),
        Failure::Problem(problem) => problem,
    })
}

/// The model as the bytes of a file.
pub fn to_bytes(model: &Model) -> Vec<u8> {
    write::model(model).encode_to_vec()
}

/// Checks the model and writes it to a file, whole or not at all.
pub fn write(model: &Model, path: &Path) -> Result<(), OnnxError> {
    check(model).map_err(|problem| OnnxError::Refused { path: path.into(), problem })?;
    Ok(files::write_atomically(path, |file| file.write_all(&to_bytes(model)))?)
}

enum Failure {
    Malformed(String),
    Problem(Problem),
}

fn decode(bytes: &[u8], folder: Option<&Path>) -> Result<Model, Failure> {
    wire::check(bytes).map_err(|error| match error {
        WireError::Malformed(reason) => Failure::Malformed(reason),
        WireError::Unknown { place, field } => Failure::Problem(Problem::new(
            place,
            format!(
                "holds field {field}, which Temper does not know and will not ignore; a newer Temper may"
            ),
        )),
        WireError::TooDeep => {
            Failure::Problem(Problem::new("the model", "nests graphs deeper than any runtime reads"))
        }
    })?;
    let message = proto::ModelProto::decode(bytes).map_err(|error| Failure::Malformed(error.to_string()))?;
    let model = read::model(message, folder).map_err(Failure::Problem)?;
    check(&model).map_err(Failure::Problem)?;
    Ok(model)
}
