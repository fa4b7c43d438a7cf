//! Tensor data kept in files beside the model.
//!
//! A model names the file, an offset and a length. A stranger's model is not believed: the file
//! must lie inside the model's own folder, links followed, and hold the bytes claimed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::proto::StringStringEntryProto;
use crate::files::open_regular;
use crate::limits::Limit;
use crate::onnx::tensor::{DType, Data};

/// The folder that a model lies in, and what has been read from it for the model so far.
pub struct Beside<'a> {
    folder: Option<&'a Path>,
    hash: Sha256,
    /// Where the names lie that were looked for.
    found: HashMap<String, PathBuf>,
    files: HashMap<PathBuf, (File, u64)>,
    order: Vec<PathBuf>,
    read: HashMap<Place, Data>,
    /// Bytes that the model may still take.
    left: u64,
}

/// Bytes of a file, and what they are read as.
type Place = (PathBuf, u64, u64, DType);

impl<'a> Beside<'a> {
    /// For the model of these bytes, which may have `left` bytes of data beside it; without a folder,
    /// external data is refused.
    pub fn new(folder: Option<&'a Path>, model: &[u8], left: u64) -> Self {
        Self {
            folder,
            hash: Sha256::new_with_prefix(model),
            found: HashMap::new(),
            files: HashMap::new(),
            order: Vec::new(),
            read: HashMap::new(),
            left,
        }
    }

    /// The elements of a tensor of `expected` bytes in the file that its entries name, from their
    /// little-endian bytes by `decode`. Tensors at one place share their elements.
    pub fn data(
        &mut self,
        entries: &[StringStringEntryProto],
        dtype: DType,
        expected: usize,
        decode: impl FnOnce(&[u8]) -> Data,
    ) -> Result<Data, String> {
        let Some(folder) = self.folder else {
            return Err(
                "keeps its data in another file, and the model has no folder; read it from its file".into()
            );
        };
        let location = parse(entries)?;
        let expected = expected as u64;
        if location.length.is_some_and(|length| length != expected) {
            let length = location.length.unwrap_or_default();
            return Err(format!(
                "its external data claims {length} bytes, its shape needs {expected}; export the model again"
            ));
        }
        self.left = self.left.checked_sub(expected).ok_or_else(|| {
            format!("with its {expected} bytes of external data the model {}", Limit::ModelBytes.exceeded())
        })?;
        let path = match self.found.get(&location.file) {
            Some(path) => path.clone(),
            None => inside(folder, &location.file)?,
        };
        self.found.insert(location.file.clone(), path.clone());
        let place = (path, location.offset, expected, dtype);
        if let Some(data) = self.read.get(&place) {
            return Ok(data.clone());
        }
        let bytes = self.bytes(&place.0, &location, expected)?;
        self.hash.update(&bytes);
        let data = decode(&bytes);
        self.read.insert(place, data.clone());
        Ok(data)
    }

    fn bytes(&mut self, path: &Path, location: &Location, expected: u64) -> Result<Vec<u8>, String> {
        let failed = |error: std::io::Error| {
            format!("its external data `{}` cannot be read: {error}; check its permissions", location.file)
        };
        if !self.files.contains_key(path) {
            let opened = open_regular(path).map_err(|error| format!("its external data: {error}"))?;
            self.files.insert(path.to_owned(), opened);
            self.order.push(path.to_owned());
        }
        let Some((file, size)) = self.files.get_mut(path) else {
            return Err("its external data are gone".into());
        };
        if location.offset.checked_add(expected).is_none_or(|end| end > *size) {
            return Err(format!(
                "its external data `{}` holds {size} bytes, the model needs {expected} from offset {}; fetch that file again",
                location.file, location.offset
            ));
        }
        file.seek(SeekFrom::Start(location.offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(expected).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// The SHA-256 of the model's own bytes and of all that was read, and the files that were.
    pub fn read_so_far(self) -> ([u8; 32], Vec<PathBuf>) {
        (self.hash.finalize().into(), self.order)
    }
}

/// Where a tensor's bytes lie, as the model says.
#[derive(Debug, Default)]
struct Location {
    file: String,
    offset: u64,
    length: Option<u64>,
}

fn parse(entries: &[StringStringEntryProto]) -> Result<Location, String> {
    let mut location = Location::default();
    for entry in entries {
        let number = || {
            let value = entry.value();
            value.parse().map_err(|_| {
                format!(
                    "its external data has the {} `{value}`, not a number; export the model again",
                    entry.key()
                )
            })
        };
        match entry.key() {
            "location" => location.file = entry.value().to_owned(),
            "offset" => location.offset = number()?,
            "length" => location.length = Some(number()?),
            "checksum" => {} // SHA-1 of the whole file; runtimes do not check it either
            other => {
                return Err(format!(
                    "its external data has an unknown entry `{other}`; export the model with its data inside"
                ));
            }
        }
    }
    Ok(location)
}

/// The file inside the folder, or why it is refused.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let relative = Path::new(name);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if name.is_empty() || !plain {
        return Err(format!(
            "its external data `{name}` lies outside the model's folder, and is refused; put it beside the model"
        ));
    }
    let missing =
        |error| format!("its external data `{name}` is not beside the model: {error}; fetch that file too");
    let path = folder.join(relative).canonicalize().map_err(missing)?;
    let folder = folder.canonicalize().map_err(missing)?;
    if !path.starts_with(&folder) {
        return Err(format!(
            "its external data `{name}` links outside the model's folder, and is refused; put it beside the model"
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        };
        pairs.iter().map(entry).collect()
    }

    fn read(entries: &[StringStringEntryProto], folder: &Path, expected: usize) -> Result<Data, String> {
        let mut beside = Beside::new(Some(folder), &[], 1 << 10);
        beside.data(entries, DType::U8, expected, |bytes| Data::U8(bytes.into()))
    }

    #[test]
    fn reads_the_slice_that_the_model_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.data"), [1, 2, 3, 4, 5, 6]).unwrap();
        let at = entries(&[("location", "w.data"), ("offset", "2"), ("length", "3")]);
        assert_eq!(read(&at, folder.path(), 3).unwrap(), Data::U8([3, 4, 5].into()));
    }

    #[test]
    fn a_place_named_twice_is_read_once_and_counted_twice() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.data"), [7; 8]).unwrap();
        let mut beside = Beside::new(Some(folder.path()), &[], 20);
        let at = entries(&[("location", "w.data")]);
        let mut decoded = 0;
        let mut data = || {
            beside.data(&at, DType::U8, 8, |bytes| {
                decoded += 1;
                Data::U8(bytes.into())
            })
        };
        let (Ok(Data::U8(first)), Ok(Data::U8(second))) = (data(), data()) else { panic!("both are read") };
        assert!(std::sync::Arc::ptr_eq(&first, &second));
        let third = data().unwrap_err();
        assert!(third.contains("--limit model-bytes"), "{third}");
        assert_eq!(decoded, 1);
    }

    #[test]
    fn a_sparse_file_beyond_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("w.data")).unwrap().set_len(200 << 30).unwrap();
        let error = read(&entries(&[("location", "w.data")]), folder.path(), 200 << 30).unwrap_err();
        assert!(error.contains("214748364800 bytes") && error.contains("--limit"), "{error}");
    }

    #[test]
    fn paths_that_climb_out_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("model");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(folder.path().join("secret"), [0; 8]).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), inner.join("link")).unwrap();
        for name in ["../secret", "/etc/passwd", "a/../../secret", "link", ""] {
            let error = read(&entries(&[("location", name)]), &inner, 8).unwrap_err();
            assert!(error.contains("outside") || error.contains("not beside"), "{name}: {error}");
        }
    }

    #[test]
    fn a_short_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w"), [0; 4]).unwrap();
        for (offset, expected) in [("0", 8), ("2", 4), ("18446744073709551615", 4)] {
            let at = entries(&[("location", "w"), ("offset", offset)]);
            assert!(read(&at, folder.path(), expected).unwrap_err().contains("holds 4 bytes"));
        }
    }
}
