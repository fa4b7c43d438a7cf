//! The folder that a verb writes to: made and proven writable before the work starts, removed again where the
//! work fails before it has written anything, and held by one process at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::{FileError, PART, create_output_folder};

/// An output folder. Dropped before [`OutputFolder::keep`], it removes the folders that it made, as far as
/// they are empty; what was there before stays.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    /// The folders that were made, the deepest first.
    made: Vec<PathBuf>,
    /// The folder, locked; the system unlocks it however this process ends. `None` where folders cannot be.
    _lock: Option<File>,
}

impl OutputFolder {
    /// Makes sure that the folder exists, its parents included, and takes files.
    ///
    /// # Errors
    /// As [`create_output_folder`], or [`FileError::InUse`]; nothing is left behind then.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let named = |folder: &&Path| !folder.as_os_str().is_empty();
        let missing = path.ancestors().filter(named).take_while(|folder| !folder.exists());
        let made = missing.map(Path::to_owned).collect();
        let mut folder = Self { path: path.to_owned(), made, _lock: None };
        create_output_folder(path)?;
        folder._lock = lock(path)?;
        if folder._lock.is_some() {
            clear_parts(path);
        }
        Ok(folder)
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps the folder, whatever happens from now on.
    pub fn keep(&mut self) {
        self.made.clear();
    }
}

/// Takes the folder for this process. A system or a file system that locks no folders is let pass.
fn lock(path: &Path) -> Result<Option<File>, FileError> {
    let Ok(folder) = File::open(path) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(FileError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Removes what a process that was killed in the middle of a write has left in a folder. It, or the one that it lies in,
/// is held: nobody else writes here now.
pub fn clear_parts(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_part = name.to_str().is_some_and(|name| name.starts_with(PART.0) && name.ends_with(PART.1));
        if is_part && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        for folder in &self.made {
            // The system refuses to remove a folder that holds something, which is then there to stay.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_made_in_vain_is_removed_and_an_older_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a").join("b");
        drop(OutputFolder::create(&deep).unwrap());
        assert!(!root.path().join("a").exists());
        fs::create_dir(root.path().join("a")).unwrap();
        drop(OutputFolder::create(&deep).unwrap());
        assert!(root.path().join("a").exists() && !deep.exists());
        OutputFolder::create(&deep).unwrap().keep();
        assert!(deep.exists());
        drop(OutputFolder::create(&deep).unwrap());
        assert!(deep.exists(), "it was there before");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_held_by_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        let mut first = OutputFolder::create(&path).unwrap();
        let refused = OutputFolder::create(&path).unwrap_err();
        assert!(matches!(refused, FileError::InUse { .. }) && path.exists(), "{refused}");
        first.keep();
        drop(first);
        OutputFolder::create(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "the lock leaves no file");
    }

    #[cfg(unix)]
    #[test]
    fn what_a_killed_process_left_half_written_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fs::create_dir(&path).unwrap();
        for name in [".temper-x1.part", "report.json", "mine.part"] {
            fs::write(path.join(name), b"{").unwrap();
        }
        drop(OutputFolder::create(&path).unwrap());
        let mut left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["mine.part", "report.json"]);
    }

    #[test]
    fn a_folder_that_holds_something_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = OutputFolder::create(&root.path().join("a")).unwrap();
        fs::write(folder.file("report.json"), b"{}").unwrap();
        drop(folder);
        assert!(root.path().join("a/report.json").exists());
    }

    #[test]
    fn a_path_that_goes_up_again_is_cleared_too() {
        let root = tempfile::tempdir().unwrap();
        drop(OutputFolder::create(&root.path().join("a/../b")).unwrap());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), b"x").unwrap();
        assert!(OutputFolder::create(&root.path().join("file").join("out")).is_err());
        assert!(root.path().join("file").is_file());
    }
}
