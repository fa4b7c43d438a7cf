//! The folder that a run writes to: made and proven writable before the work starts, and taken away
//! again where the run fails before it has written anything.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{FileError, create_output_folder};

/// An output folder that vanishes when dropped, unless it was kept or holds something.
pub(super) struct OutputFolder {
    path: PathBuf,
    /// The folders that were made, the deepest first.
    made: Vec<PathBuf>,
}

impl OutputFolder {
    /// Makes sure that the folder exists and takes files.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let made = path.ancestors().take_while(missing).map(Path::to_owned).collect();
        let folder = Self { path: path.to_owned(), made };
        create_output_folder(path)?;
        Ok(folder)
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Lets the folder stay.
    pub fn keep(&mut self) {
        self.made.clear();
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        for folder in &self.made {
            // Refused by the system where something lies in it, which is then there to stay.
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
    }

    #[test]
    fn a_folder_that_cannot_be_made_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), b"x").unwrap();
        assert!(OutputFolder::create(&root.path().join("file").join("out")).is_err());
        assert!(root.path().join("file").is_file());
    }
}
