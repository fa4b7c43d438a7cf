//! Tensor data kept in files beside the model.
//!
//! A model names the file, an offset and a length. A stranger's model is not believed: the file
//! must lie inside the model's own folder, links followed, and hold the bytes claimed.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::proto::StringStringEntryProto;

/// The folder that a model lies in, and what has been read from it for the model so far.
pub struct Beside<'a> {
    folder: Option<&'a Path>,
    read: RefCell<(Sha256, Vec<PathBuf>)>,
}

impl<'a> Beside<'a> {
    /// For the model of these bytes; without a folder, external data is refused.
    pub fn new(folder: Option<&'a Path>, model: &[u8]) -> Self {
        Self { folder, read: RefCell::new((Sha256::new_with_prefix(model), Vec::new())) }
    }

    /// Reads the bytes of a tensor of `expected` bytes from the file its entries name.
    pub fn read(&self, entries: &[StringStringEntryProto], expected: usize) -> Result<Vec<u8>, String> {
        let Some(folder) = self.folder else {
            return Err(
                "keeps its data in another file, and the model has no folder; read it from its file".into()
            );
        };
        let (path, bytes) = read(entries, folder, expected)?;
        let (hash, files) = &mut *self.read.borrow_mut();
        hash.update(&bytes);
        if !files.contains(&path) {
            files.push(path);
        }
        Ok(bytes)
    }

    /// The SHA-256 of the model's own bytes and of all that was read, and the files that were.
    pub fn read_so_far(self) -> ([u8; 32], Vec<PathBuf>) {
        let (hash, files) = self.read.into_inner();
        (hash.finalize().into(), files)
    }
}

/// Where a tensor's bytes lie, as the model says.
#[derive(Debug, Default)]
struct Location {
    file: String,
    offset: u64,
    length: Option<u64>,
}

fn read(
    entries: &[StringStringEntryProto],
    folder: &Path,
    expected: usize,
) -> Result<(PathBuf, Vec<u8>), String> {
    let location = parse(entries)?;
    let expected = expected as u64;
    if location.length.is_some_and(|length| length != expected) {
        let length = location.length.unwrap_or_default();
        return Err(format!(
            "its external data claims {length} bytes, its shape needs {expected}; export the model again"
        ));
    }
    let path = inside(folder, &location.file)?;
    let failed = |error: std::io::Error| {
        format!("its external data `{}` cannot be read: {error}; check its permissions", location.file)
    };
    let mut file = File::open(&path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if location.offset.checked_add(expected).is_none_or(|end| end > size) {
        return Err(format!(
            "its external data `{}` holds {size} bytes, the model needs {expected} from offset {}; fetch that file again",
            location.file, location.offset
        ));
    }
    file.seek(SeekFrom::Start(location.offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(expected).read_to_end(&mut bytes).map_err(failed)?;
    Ok((path, bytes))
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
    if !path.is_file() {
        return Err(format!("its external data `{name}` is not a file; put the file there"));
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

    #[test]
    fn reads_the_slice_that_the_model_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.data"), [1, 2, 3, 4, 5, 6]).unwrap();
        let at = entries(&[("location", "w.data"), ("offset", "2"), ("length", "3")]);
        assert_eq!(read(&at, folder.path(), 3).unwrap().1, [3, 4, 5]);
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
