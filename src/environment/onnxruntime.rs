//! Where ONNX Runtime's shared library lies.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{above, site_packages};

/// The environment variable that names the library.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";
/// Where `make setup` puts the library, relative to the checkout.
const IN_CHECKOUT: &str = "native/onnxruntime/lib";
/// Where it lies among Python packages.
const IN_PACKAGE: &str = "onnxruntime/capi";

/// A library to try, and how it came to be chosen.
#[derive(Debug, PartialEq, Eq)]
pub enum Candidate {
    /// The environment variable names it: this one or none.
    Named(PathBuf),
    /// It lies in a checkout, beside the program, or in a Python package.
    Found(PathBuf),
    /// Nothing was found; the system's loader has the last word on this bare name.
    System(PathBuf),
}

impl Candidate {
    /// The path or bare name to load.
    pub fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Found(path) | Self::System(path) => path,
        }
    }
}

/// Finds the library: the one that the variable names; else the newest in `native/onnxruntime/lib` of a folder above
/// the executable, so that `cargo run` and `cargo test` work in a checkout; else one beside the executable; else that
/// of the Python package `onnxruntime` (or `onnxruntime-gpu`, which has the same folder); else whatever the system has.
pub fn find() -> Candidate {
    let executable = std::env::current_exe().ok();
    candidate(std::env::var_os(VARIABLE).as_deref(), executable.as_deref(), site_packages())
}

fn candidate(
    named: Option<&OsStr>,
    executable: Option<&Path>,
    packages: impl Iterator<Item = PathBuf>,
) -> Candidate {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return Candidate::Named(named.into());
    }
    let in_checkout = executable.and_then(|executable| above(executable, IN_CHECKOUT));
    let beside = executable.and_then(Path::parent).map(Path::to_owned);
    let packages = packages.map(|packages| packages.join(IN_PACKAGE));
    match in_checkout.into_iter().chain(beside).chain(packages).find_map(|folder| newest(&folder)) {
        Some(path) => Candidate::Found(path),
        None => Candidate::System(format!("{}{}", stem(), std::env::consts::DLL_SUFFIX).into()),
    }
}

/// The library of the highest version in a folder.
fn newest(folder: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    let libraries = names.filter_map(|name| {
        let version = version(name.to_str()?)?;
        Some((version, folder.join(name)))
    });
    // A file that is gone behind its link is no library.
    libraries.filter(|(_, path)| path.is_file()).max().map(|(_, path)| path)
}

/// The version in the name of a library file, as in `libonnxruntime.so.1.30.0`: empty for the bare
/// name, `None` for any other file, such as `libonnxruntime_providers_shared.so`.
fn version(name: &str) -> Option<Vec<u64>> {
    let rest = name.strip_prefix(&stem())?;
    let rest = rest.replacen(std::env::consts::DLL_SUFFIX, "", 1);
    rest.split('.').skip(1).map(|number| number.parse().ok()).collect()
}

fn stem() -> String {
    format!("{}onnxruntime", std::env::consts::DLL_PREFIX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A checkout with an executable deep inside, and the libraries named, in the folders named.
    fn checkout(libraries: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let executable = root.path().join("target/debug/deps/temper");
        for file in libraries.iter().map(|file| root.path().join(file)).chain([executable.clone()]) {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        (root, executable)
    }

    fn none() -> std::iter::Empty<PathBuf> {
        std::iter::empty()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_python_package_is_taken_before_the_system() {
        let library = "site-packages/onnxruntime/capi/libonnxruntime.so.1.30.0";
        let (root, executable) = checkout(&[library]);
        let packages = || [root.path().join("other"), root.path().join("site-packages")].into_iter();
        let found = Candidate::Found(root.path().join(library));
        assert_eq!(candidate(None, Some(&executable), packages()), found);
        assert_eq!(candidate(None, None, packages()), found);
    }

    #[test]
    fn the_variable_wins_and_has_no_fallback() {
        let (_root, executable) = checkout(&["native/onnxruntime/lib/libonnxruntime.so.1.30.0"]);
        let named = candidate(Some(OsStr::new("/nowhere/x.so")), Some(&executable), none());
        assert_eq!(named, Candidate::Named("/nowhere/x.so".into()));
        assert!(matches!(candidate(Some(OsStr::new("")), Some(&executable), none()), Candidate::Found(_)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_checkout_comes_before_a_neighbour_and_the_newest_before_the_old() {
        let lib = "native/onnxruntime/lib";
        let old = format!("{lib}/libonnxruntime.so.1.9.0");
        let new = format!("{lib}/libonnxruntime.so.1.30.0");
        let shared = format!("{lib}/libonnxruntime_providers_shared.so");
        let (root, executable) = checkout(&[&old, &new, &shared, "target/debug/deps/libonnxruntime.so"]);
        assert_eq!(candidate(None, Some(&executable), none()), Candidate::Found(root.path().join(new)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn without_a_checkout_a_neighbour_is_taken_then_the_system() {
        let (root, executable) = checkout(&["target/debug/deps/libonnxruntime.so"]);
        let neighbour = root.path().join("target/debug/deps/libonnxruntime.so");
        assert_eq!(candidate(None, Some(&executable), none()), Candidate::Found(neighbour));
        let (_root, executable) = checkout(&["native/onnxruntime/lib/README"]);
        assert_eq!(candidate(None, Some(&executable), none()), Candidate::System("libonnxruntime.so".into()));
        assert_eq!(candidate(None, None, none()), Candidate::System("libonnxruntime.so".into()));
    }
}
