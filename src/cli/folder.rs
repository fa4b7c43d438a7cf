//! The folder that a verb writes to: tried before work starts, and gone again if that fails.

use std::fs;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::files::create_output_folder;

/// An output folder. Dropped before it is [`kept`](Self::keep), it takes away the folders it made, as
/// far as they are empty; what was there stays.
pub struct OutputFolder {
    made: Vec<PathBuf>,
}

impl OutputFolder {
    /// Makes sure that the folder is there and can be written to.
    pub fn claim(path: &Path) -> Result<Self, CliError> {
        let named = |path: &&Path| !path.as_os_str().is_empty();
        let missing = path.ancestors().filter(named).take_while(|path| !path.exists());
        let folder = Self { made: missing.map(Path::to_owned).collect() };
        create_output_folder(path).map_err(CliError::usage)?;
        Ok(folder)
    }

    /// The work succeeded.
    pub fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        for folder in &self.made {
            // Fails, and rightly, where something lies in it.
            fs::remove_dir(folder).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_and_is_empty_goes() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (root.path().join("old"), root.path().join("old/a/b"));
        fs::create_dir(&old).unwrap();
        drop(OutputFolder::claim(&new).unwrap());
        assert!(old.exists() && !root.path().join("old/a").exists());
        drop(OutputFolder::claim(&old).unwrap());
        assert!(old.exists(), "it was there before");
        let folder = OutputFolder::claim(&new).unwrap();
        fs::write(new.join("report.json"), b"{}").unwrap();
        drop(folder);
        assert!(new.join("report.json").exists());
        OutputFolder::claim(&old.join("kept")).unwrap().keep();
        assert!(old.join("kept").exists());
    }

    #[test]
    fn a_path_that_goes_up_again_is_cleared_too() {
        let root = tempfile::tempdir().unwrap();
        drop(OutputFolder::claim(&root.path().join("a/../b")).unwrap());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
