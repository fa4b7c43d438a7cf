//! Where ONNX Runtime's shared library may lie. Nothing is loaded here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The environment variable that names the library.
pub(super) const VARIABLE: &str = "ORT_DYLIB_PATH";
/// Where `make setup` puts the library, relative to the checkout.
const IN_CHECKOUT: &str = "native/onnxruntime/lib";

/// A library to try, and how it came to be chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// The environment variable names it: this one or none.
    Named(PathBuf),
    /// It lies in a checkout or beside the program.
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

/// Chooses the library: the one `named`; else the newest in `native/onnxruntime/lib` of a folder
/// above the executable, so that `cargo run` and `cargo test` work in a checkout; else one beside
/// the executable; else whatever the system has.
pub(super) fn candidate(named: Option<&OsStr>, executable: Option<&Path>) -> Candidate {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return Candidate::Named(named.into());
    }
    let folders = executable.into_iter().flat_map(|executable| executable.ancestors().skip(1));
    let in_checkout = folders.clone().find_map(|folder| newest(&folder.join(IN_CHECKOUT)));
    match in_checkout.or_else(|| folders.clone().next().and_then(newest)) {
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

    #[test]
    fn the_variable_wins_and_has_no_fallback() {
        let (_root, executable) = checkout(&["native/onnxruntime/lib/libonnxruntime.so.1.30.0"]);
        let named = candidate(Some(OsStr::new("/nowhere/x.so")), Some(&executable));
        assert_eq!(named, Candidate::Named("/nowhere/x.so".into()));
        assert!(matches!(candidate(Some(OsStr::new("")), Some(&executable)), Candidate::Found(_)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_checkout_comes_before_a_neighbour_and_the_newest_before_the_old() {
        let lib = "native/onnxruntime/lib";
        let old = format!("{lib}/libonnxruntime.so.1.9.0");
        let new = format!("{lib}/libonnxruntime.so.1.30.0");
        let shared = format!("{lib}/libonnxruntime_providers_shared.so");
        let (root, executable) = checkout(&[&old, &new, &shared, "target/debug/deps/libonnxruntime.so"]);
        assert_eq!(candidate(None, Some(&executable)), Candidate::Found(root.path().join(new)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn without_a_checkout_a_neighbour_is_taken_then_the_system() {
        let (root, executable) = checkout(&["target/debug/deps/libonnxruntime.so"]);
        let neighbour = root.path().join("target/debug/deps/libonnxruntime.so");
        assert_eq!(candidate(None, Some(&executable)), Candidate::Found(neighbour));
        let (_root, executable) = checkout(&["native/onnxruntime/lib/README"]);
        assert_eq!(candidate(None, Some(&executable)), Candidate::System("libonnxruntime.so".into()));
        assert_eq!(candidate(None, None), Candidate::System("libonnxruntime.so".into()));
    }
}
