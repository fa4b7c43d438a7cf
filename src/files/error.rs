//! Why a file could not be read or written, each with what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a file could not be read or written. Every message names the path and what to do.
#[derive(Debug, Error)]
pub enum FileError {
    /// Nothing lies at the path.
    #[error("{path}: no such file; check the spelling and the current folder")]
    Missing {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A file was wanted and a folder lies there.
    #[error("{path}: is a folder, not a file; give the path of a file")]
    IsFolder {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A file of 0 bytes.
    #[error("{path}: the file is empty (0 bytes); it was probably cut off: copy it again")]
    Empty {
        /// The path as it was given.
        path: PathBuf,
    },
    /// More bytes than the caller allows.
    #[error("{path}: the file is larger than the limit of {limit} bytes; check that it is the right one")]
    TooLarge {
        /// The path as it was given.
        path: PathBuf,
        /// The most bytes accepted.
        limit: u64,
    },
    /// The operating system refused to read.
    #[error("{path}: cannot be read: {cause}; {}", remedy(cause))]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The folder that should hold a new file does not exist.
    #[error("{path}: cannot be written, as the folder {folder} does not exist; create it first")]
    NoFolder {
        /// The file that was to be written.
        path: PathBuf,
        /// The folder that is not there.
        folder: PathBuf,
    },
    /// The path names a device, a pipe or a socket: reading it may never end, and a rename would replace it.
    #[error(
        "{path}: is a device, a pipe or a socket, and only files are read and written; give the path of a file"
    )]
    NotRegular {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The operating system refused to write, or the writer failed.
    #[error("{path}: cannot be written: {cause}; {}", remedy(cause))]
    Unwritable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system or the writer said.
        cause: io::Error,
    },
    /// Another process writes to the output folder.
    #[error("{path}: another run writes to this folder; wait until it has ended, or choose another folder")]
    InUse {
        /// The path as it was given.
        path: PathBuf,
    },
    /// An output folder was wanted and a file lies there.
    #[error("{path}: is a file, and an output folder is wanted; choose another path or move it")]
    OutputIsFile {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The output folder cannot be created, or no file can be created in it.
    #[error("{path}: is no folder that can be written to: {cause}; {}", remedy(cause))]
    FolderUnwritable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
}

/// What a person can do about an error of the operating system.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "check its permissions or choose another place",
        io::ErrorKind::ReadOnlyFilesystem => "choose a place on a disk that is not read-only",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space and retry",
        io::ErrorKind::NotADirectory => "a part of the path is a file: choose another place",
        _ => "check the path and the disk",
    }
}
