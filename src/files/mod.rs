//! Reading and writing files so that bad input is one clear message and no output is ever half
//! there.
//!
//! Deliberately absent: any knowledge of what a file holds. Images and models are decoded by the
//! modules that own their formats.

mod error;
mod output_folder;

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

pub use error::FileError;
pub use output_folder::{OutputFolder, clear_parts};

/// Writes a file so that it is there whole or not at all.
///
/// `write` fills a hidden temporary file in the same folder, which is synced to the disk and then
/// renamed to `path`. An existing file (or symbolic link) of that name is replaced. The new file
/// has the permissions of any newly created one.
///
/// # Errors
/// [`FileError::NoFolder`], [`FileError::IsFolder`] or [`FileError::NotRegular`] before anything
/// is touched; [`FileError::Unwritable`] where the disk or `write` fails, and then the temporary
/// file is removed and an older file of that name is unchanged.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let folder = parent(path);
    check_target(path, folder)?;
    write_and_rename(path, folder, write)
        .map_err(|cause| FileError::Unwritable { path: path.to_owned(), cause })
}

/// The folder a path lies in; the current one for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses targets that a rename would destroy or that could never be renamed to.
fn check_target(path: &Path, folder: &Path) -> Result<(), FileError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(FileError::IsFolder { path: path.to_owned() }),
        Ok(found) if !found.is_file() => Err(FileError::NotRegular { path: path.to_owned() }),
        Ok(_) => Ok(()),
        Err(_) if !folder.exists() => {
            Err(FileError::NoFolder { path: path.to_owned(), folder: folder.to_owned() })
        }
        Err(_) => Ok(()),
    }
}

/// As [`write_atomically`], for what can be made again: after a power cut the file may be lost or cut
/// off, which its reader must find out. It is not waited for the disk.
///
/// # Errors
/// As for [`write_atomically`].
pub fn write_lightly(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let folder = parent(path);
    check_target(path, folder)?;
    let written = filled(folder, write).and_then(|temporary| Ok(temporary.persist(path)?));
    written.map(drop).map_err(|cause| FileError::Unwritable { path: path.to_owned(), cause })
}

fn write_and_rename(
    path: &Path,
    folder: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = filled(folder, write)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

/// A temporary file with all that `write` has to say.
fn filled(
    folder: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<tempfile::NamedTempFile> {
    let temporary = temporary_in(folder)?;
    let mut buffered = BufWriter::new(temporary.as_file());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    Ok(temporary)
}

/// How the name of a file that is being written aside begins and ends.
const PART: (&str, &str) = (".temper-", ".part");

/// A hidden temporary file, removed when dropped.
fn temporary_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PART.0).suffix(PART.1);
    // Temporary files are private by default; this one becomes an ordinary file, so it asks for
    // what any new file asks for and lets the process's umask decide.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Makes sure that an output folder exists (parents included) and that files can be created in it.
///
/// # Errors
/// [`FileError::OutputIsFile`] where a file has that name, otherwise
/// [`FileError::FolderUnwritable`].
pub fn create_output_folder(path: &Path) -> Result<(), FileError> {
    if fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
        return Err(FileError::OutputIsFile { path: path.to_owned() });
    }
    // Permission bits do not tell the truth for every user and file system; a file does.
    fs::create_dir_all(path)
        .and_then(|()| temporary_in(path).map(drop))
        .map_err(|cause| FileError::FolderUnwritable { path: path.to_owned(), cause })
}

/// Whether two paths lead to one file, by links of either kind too.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Opens a regular file to read it, and says how many bytes it has.
///
/// What was opened is looked at, not what lay at the path before; and a pipe that nobody writes to does
/// not make the opening wait.
///
/// # Errors
/// [`FileError::Missing`], [`FileError::IsFolder`], [`FileError::NotRegular`] or
/// [`FileError::Unreadable`].
pub fn open_regular(path: &Path) -> Result<(fs::File, u64), FileError> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path: path.to_owned() },
        io::ErrorKind::IsADirectory => FileError::IsFolder { path: path.to_owned() },
        _ if path.is_dir() => FileError::IsFolder { path: path.to_owned() },
        // A socket cannot be opened at all.
        _ if is_special(path) => FileError::NotRegular { path: path.to_owned() },
        _ => FileError::Unreadable { path: path.to_owned(), cause },
    };
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    match found.file_type() {
        kind if kind.is_dir() => Err(FileError::IsFolder { path: path.to_owned() }),
        kind if !kind.is_file() => Err(FileError::NotRegular { path: path.to_owned() }),
        _ => Ok((file, found.len())),
    }
}

/// Whether something lies at the path that is neither a file nor a folder.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_dir() && !found.is_file())
}

/// Reads a whole regular file of at least 1 and at most `max_bytes` bytes.
///
/// # Errors
/// As [`open_regular`]; [`FileError::Empty`]; or [`FileError::TooLarge`], found without reading more than
/// the limit.
pub fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let (file, length) = open_regular(path)?;
    let too_large = || FileError::TooLarge { path: path.to_owned(), limit: max_bytes };
    if length > max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // The length above says nothing about a file that still grows.
    let unreadable = |cause| FileError::Unreadable { path: path.to_owned(), cause };
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 {
        0 => Err(FileError::Empty { path: path.to_owned() }),
        length if length > max_bytes => Err(too_large()),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn message(result: Result<impl std::fmt::Debug, FileError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn writes_the_whole_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write_atomically(&path, |out| out.write_all(b"first")).unwrap();
        write_atomically(&path, |out| out.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["report.json"]);
    }

    #[test]
    fn a_failing_writer_leaves_the_old_file_and_no_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(&path, b"old").unwrap();
        let result = write_atomically(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let message = message(result);
        assert!(message.contains("report.json: cannot be written"), "{message}");
        assert!(message.ends_with("free some space and retry"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["report.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
        write_atomically(&ours, |out| out.write_all(b"x")).unwrap();
        fs::write(&ordinary, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&ordinary));
    }

    #[test]
    fn a_folder_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let result = write_atomically(folder.path(), |out| out.write_all(b"x"));
        assert!(matches!(result, Err(FileError::IsFolder { .. })), "{result:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_replaced_by_a_file() {
        let result = write_atomically(Path::new("/dev/null"), |out| out.write_all(b"x"));
        assert!(matches!(result, Err(FileError::NotRegular { .. })), "{result:?}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join("x.json");
        let message = message(write_atomically(&path, |out| out.write_all(b"x")));
        assert!(message.contains("absent does not exist; create it first"), "{message}");
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn an_output_folder_is_created_with_its_parents_and_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("b");
        create_output_folder(&path).unwrap();
        create_output_folder(&path).unwrap();
        assert!(names(&path).is_empty());
    }

    #[test]
    fn an_output_folder_that_is_a_file_or_below_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"x").unwrap();
        let at_file = message(create_output_folder(&file));
        assert!(at_file.contains("is a file, and an output folder is wanted"), "{at_file}");
        let below = message(create_output_folder(&file.join("out")));
        assert!(below.contains("a part of the path is a file"), "{below}");
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_output_folder_that_takes_no_files_is_refused() {
        // Not even root can create a file here.
        let message = message(create_output_folder(Path::new("/proc/self")));
        assert!(message.starts_with("/proc/self: is no folder that can be written to"), "{message}");
    }

    #[test]
    fn reading_is_bounded_on_both_sides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, b"").unwrap();
        assert!(matches!(read_bounded(&path, 8), Err(FileError::Empty { .. })));
        fs::write(&path, b"12345678").unwrap();
        assert_eq!(read_bounded(&path, 8).unwrap(), b"12345678");
        assert!(matches!(read_bounded(&path, 7), Err(FileError::TooLarge { limit: 7, .. })));
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, socket, link] = ["pipe", "socket", "link"].map(|name| folder.path().join(name));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &socket, &link, Path::new("/dev/zero")] {
            let result = read_bounded(path, 1000);
            assert!(matches!(result, Err(FileError::NotRegular { .. })), "{path:?}: {result:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = message(read_bounded(&folder.path().join("no.onnx"), 8));
        assert!(missing.contains("no.onnx: no such file; check"), "{missing}");
        let directory = message(read_bounded(folder.path(), 8));
        assert!(directory.contains("is a folder, not a file; give"), "{directory}");
    }
}
