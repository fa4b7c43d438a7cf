//! The folders in which Python packages lie, seen from this program.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Variables by which virtual and Conda environments say where they are.
const PREFIXES: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];

/// The `site-packages` folders that exist: of the environment that the executable was installed into (a wheel puts
/// it into `PREFIX/bin`), of the active virtual or Conda environment, and what `python3` on the PATH searches.
///
/// Python is started only where the iterator is asked for more than the folders before: that takes some 20 ms.
pub fn site_packages() -> impl Iterator<Item = PathBuf> {
    let executable = env::current_exe().ok();
    let installed = executable.as_deref().and_then(Path::parent).and_then(Path::parent).map(Path::to_owned);
    let active = PREFIXES.into_iter().filter_map(env::var_os).map(PathBuf::from);
    let near = installed.into_iter().chain(active).flat_map(|prefix| of_prefix(&prefix));
    near.chain(std::iter::once_with(of_interpreter).flatten())
}

/// `PREFIX/lib/python3.*/site-packages`; of several, the highest version first.
fn of_prefix(prefix: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(prefix.join("lib")).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| {
        let minor = entry.file_name().to_str()?.strip_prefix("python3.")?.parse::<u32>().ok()?;
        Some((minor, entry.path().join("site-packages")))
    });
    let mut versions: Vec<_> = versions.filter(|(_, path)| path.is_dir()).collect();
    versions.sort_by_key(|(minor, _)| std::cmp::Reverse(*minor));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// The folders that `python3` searches; none where there is no Python.
fn of_interpreter() -> Vec<PathBuf> {
    // `sys` is built in: nothing in the current folder can stand in for it.
    let print = "import sys; sys.stdout.write('\\0'.join(sys.path))";
    let started =
        Command::new("python3").args(["-c", print]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Ok(output) = started else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let packages = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| [OsStr::new("site-packages"), OsStr::new("dist-packages")].contains(&name))
    };
    text.split('\0').map(PathBuf::from).filter(packages).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_the_packages_of_each_of_its_pythons_newest_first() {
        let prefix = tempfile::tempdir().unwrap();
        for folder in
            ["lib/python3.9/site-packages", "lib/python3.12/site-packages", "lib/python3.13", "lib/perl"]
        {
            fs::create_dir_all(prefix.path().join(folder)).unwrap();
        }
        let expected = ["lib/python3.12/site-packages", "lib/python3.9/site-packages"];
        assert_eq!(of_prefix(prefix.path()), expected.map(|folder| prefix.path().join(folder)));
        assert!(of_prefix(Path::new("/nonexistent")).is_empty());
    }
}
