//! Placeholder until the real one is merged.
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};
/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}
/// Reads a file of bounded size.
pub fn read_bounded(path: &Path, _max: u64) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError { path: path.into(), source })
}
/// Writes a file.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let f = |source| FileError { path: path.into(), source };
    let mut file = std::fs::File::create(path).map_err(f)?;
    write(&mut file).map_err(f)
}
