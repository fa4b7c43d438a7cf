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

use std::path::{Path, PathBuf};

use self::external::Beside;
use self::proto::Message;
use self::wire::{Most, WireError};
use super::check;
use super::error::{OnnxError, Problem};
use super::model::Model;
use crate::files;
use crate::limits::Limit;

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

/// A model together with what it was read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The model.
    pub model: Model,
    /// SHA-256 of the file's bytes, followed by the bytes of every tensor kept in files beside it, in
    /// the order in which the model names them. Without such tensors: of the file.
    pub sha256: [u8; 32],
    /// The file, and the files beside it that hold tensors.
    pub files: Vec<PathBuf>,
}

/// Reads and checks a model file.
pub fn read(path: &Path) -> Result<Model, OnnxError> {
    read_source(path).map(|source| source.model)
}

/// Reads and checks a model file, once, and says of which bytes and files it came.
pub fn read_source(path: &Path) -> Result<Source, OnnxError> {
    let bytes = files::read_bounded(path, Limit::FileBytes.get().min(Limit::ModelBytes.get()))?;
    let not_a_model = |found: &str| OnnxError::NotAModel { path: path.into(), found: found.into() };
    if let Some((_, found)) = SIGNATURES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(not_a_model(found));
    }
    if is_text(&bytes) {
        return Err(not_a_model("is a text file"));
    }
    let folder =
        path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    // Every model starts with its IR version (field 1) or, seldom, another declared field.
    let usual = bytes.first() == Some(&0x08);
    match decode(&bytes, folder) {
        Ok((model, beside)) => {
            let (sha256, mut files) = beside.read_so_far();
            files.insert(0, path.into());
            Ok(Source { model, sha256, files })
        }
        Err(Failure::Malformed(_) | Failure::Unknown(_)) if !usual => {
            Err(not_a_model("holds something else"))
        }
        Err(Failure::Malformed(reason)) => Err(OnnxError::Damaged { path: path.into(), reason }),
        Err(Failure::Unknown(problem) | Failure::Problem(problem)) => {
            Err(OnnxError::Refused { path: path.into(), problem })
        }
    }
}

/// Whether the file begins with text: a model begins with a control character.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A character may be cut in two where the start ends.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace())
}

/// Reads and checks a model from bytes in memory; external data has no folder and is refused.
pub fn from_bytes(bytes: &[u8]) -> Result<Model, Problem> {
    decode(bytes, None).map(|(model, _)| model).map_err(|failure| match failure {
        Failure::Malformed(reason) => Problem::new("the model", reason),
        Failure::Unknown(problem) | Failure::Problem(problem) => problem,
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
    /// No protobuf.
    Malformed(String),
    /// A field that the schema does not declare.
    Unknown(Problem),
    /// A model, with something wrong in it.
    Problem(Problem),
}

/// The model, and what was read for it from the folder that it lies in.
fn decode<'a>(bytes: &[u8], folder: Option<&'a Path>) -> Result<(Model, Beside<'a>), Failure> {
    let left = wire::check(bytes, most()).map_err(refusal)?;
    let message = proto::ModelProto::decode(bytes).map_err(|error| Failure::Malformed(error.to_string()))?;
    let mut beside = Beside::new(folder, bytes, left);
    let model = read::model(message, &mut beside).map_err(Failure::Problem)?;
    check(&model).map_err(Failure::Problem)?;
    Ok((model, beside))
}

fn most() -> Most {
    Most { bytes: Limit::ModelBytes.get(), nodes: Limit::Nodes.get(), nesting: Limit::Nesting.get() }
}

fn refusal(error: WireError) -> Failure {
    let beyond = |what: &str, limit: Limit| {
        Failure::Problem(Problem::new("the model", format!("{what} {}", limit.exceeded())))
    };
    match error {
        WireError::Malformed(reason) => Failure::Malformed(reason),
        WireError::Unknown { place, field } => Failure::Unknown(Problem::new(
            place,
            format!(
                "holds field {field}, which Temper does not know and will not ignore; export the model \
                 for an older ONNX, or take a newer Temper"
            ),
        )),
        WireError::TooDeep => beyond("nests its graphs so deep that it", Limit::Nesting),
        WireError::TooLarge => beyond("takes so much memory that it", Limit::ModelBytes),
        WireError::TooManyNodes => beyond("has so many nodes that it", Limit::Nodes),
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::onnx::{DType, GraphBuilder, ValueInfo};

    #[test]
    fn a_text_file_is_no_model_whatever_letter_it_begins_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        for first in (b' '..=b'~').chain([b'\n', b'\t']) {
            for rest in ["", "ello", "\n{\"ir_version\": 8}\n", &"é".repeat(300)] {
                std::fs::write(&path, [&[first], rest.as_bytes()].concat()).unwrap();
                let message = read(&path).unwrap_err().to_string();
                assert!(message.contains("is not an ONNX model: it is a text file; pass"), "{message}");
            }
        }
    }

    #[test]
    fn a_field_of_the_future_is_named_in_a_model_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        let message = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err().to_string()
        };
        assert!(message(&[0x08, 0x08, 0xfa, 0x07, 0x01, 0x00]).contains("holds field 127"));
        assert!(message(&[0xfa, 0x07, 0x01, 0x00]).contains("is not an ONNX model"));
    }

    /// A model whose one weight lies in `w.data`, from byte 4 on.
    fn kept_beside() -> Vec<u8> {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F32, []));
        let y = graph.node("Add", "y", &[&x, "w"], []);
        graph.output(ValueInfo::tensor(y, DType::F32, []));
        let opsets = [(String::new(), 17)].into();
        let model = Model { ir_version: 8, opsets, graph: graph.finish(), ..Default::default() };
        let mut message = write::model(&model);
        let entry = |key: &str, value: &str| proto::StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value.into()),
        };
        message.graph.as_mut().unwrap().initializer = vec![proto::TensorProto {
            name: Some("w".into()),
            data_type: Some(1),
            data_location: Some(1),
            external_data: vec![entry("location", "w.data"), entry("offset", "4")],
            ..Default::default()
        }];
        message.encode_to_vec()
    }

    #[test]
    fn the_hash_is_of_the_file_and_of_what_it_keeps_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, data) = (folder.path().join("m.onnx"), folder.path().join("w.data"));
        let bytes = kept_beside();
        std::fs::write(&path, &bytes).unwrap();
        let hash = |weight: f32| {
            std::fs::write(&data, [[9; 4], weight.to_le_bytes()].concat()).unwrap();
            read_source(&path).unwrap()
        };
        let source = hash(0.5);
        let of = |weight: f32| <[u8; 32]>::from(Sha256::digest([&bytes[..], &weight.to_le_bytes()].concat()));
        assert_eq!((source.sha256, hash(0.25).sha256), (of(0.5), of(0.25)));
        assert_eq!(source.files, [path.clone(), data.canonicalize().unwrap()]);
        let whole = to_bytes(&source.model);
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_source(&path).unwrap().sha256, <[u8; 32]>::from(Sha256::digest(&whole)));
    }
}
