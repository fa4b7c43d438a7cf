//! Where libtorch lies, and whether it is the one that the program was built for.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{above, site_packages};

/// The environment variable that names libtorch's folder, the one with `lib` in it.
pub const VARIABLE: &str = "LIBTORCH";
/// The versions of libtorch whose C++ interface is the one compiled against.
pub const SERIES: &str = "2.11";
/// Where `make setup` puts it, relative to the checkout.
const IN_CHECKOUT: &str = "native/libtorch";
/// The library that holds the CPU's kernels; the others are its parts or its extensions.
const LIBRARY: &str = "lib/libtorch_cpu.so";

/// A libtorch on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libtorch {
    /// Its folder, with `lib` in it.
    pub root: PathBuf,
    /// Its version, such as `2.11.0+cu130`, where a file beside it says so.
    pub version: Option<String>,
}

/// Why there is none that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibtorchError {
    /// None was found.
    #[error(
        "libtorch {SERIES} was not found; `pip install torch=={SERIES}.0` into this Python environment, or set {VARIABLE} to its folder"
    )]
    Absent,
    /// The variable names a folder without it.
    #[error("{VARIABLE} names `{0}`, where there is no {LIBRARY}; correct it or unset it")]
    Misnamed(PathBuf),
    /// It is there, in another version.
    #[error(
        "`{root}` is libtorch {version}, and this temper was built for {SERIES}; `pip install torch=={SERIES}.0`, or set {VARIABLE} to a libtorch {SERIES}"
    )]
    OtherVersion {
        /// Its folder.
        root: PathBuf,
        /// Its version.
        version: String,
    },
}

impl Libtorch {
    /// The folder of its shared libraries.
    pub fn libraries(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// Whether its CUDA part lies beside it.
    pub fn has_cuda(&self) -> bool {
        self.libraries().join("libtorch_cuda.so").is_file()
    }

    fn at(root: PathBuf) -> Option<Self> {
        let version = root.join(LIBRARY).is_file().then(|| version(&root))?;
        Some(Self { root, version })
    }

    /// Refuses a version whose C++ interface is another. One that does not say its version is tried.
    fn checked(self) -> Result<Self, LibtorchError> {
        let fits = |version: &str| {
            version.strip_prefix(SERIES).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match &self.version {
            Some(version) if !fits(version) => {
                Err(LibtorchError::OtherVersion { root: self.root, version: version.clone() })
            }
            _ => Ok(self),
        }
    }
}

/// Finds libtorch: where the variable says, in the checkout, or in the Python package `torch`. The first that is
/// there decides.
///
/// # Errors
/// There is none, or it is of another version.
pub fn find() -> Result<Libtorch, LibtorchError> {
    let executable = std::env::current_exe().ok();
    find_among(std::env::var_os(VARIABLE).as_deref(), executable.as_deref(), site_packages())
}

fn find_among(
    named: Option<&OsStr>,
    executable: Option<&Path>,
    packages: impl Iterator<Item = PathBuf>,
) -> Result<Libtorch, LibtorchError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let root = PathBuf::from(named);
        return Libtorch::at(root.clone()).ok_or(LibtorchError::Misnamed(root))?.checked();
    }
    let in_checkout = executable.and_then(|executable| above(executable, IN_CHECKOUT));
    let roots = in_checkout.into_iter().chain(packages.map(|packages| packages.join("torch")));
    roots.filter_map(Libtorch::at).next().ok_or(LibtorchError::Absent)?.checked()
}

/// The version that a distribution of libtorch (`build-version`) or the Python package (`version.py`) states.
fn version(root: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = fs::read_to_string(root.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    line.split(['\'', '"']).nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a libtorch in it that states its version in this file.
    fn libtorch(file: &str, text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let torch = root.path().join("torch");
        fs::create_dir_all(torch.join("lib")).unwrap();
        fs::write(torch.join(LIBRARY), "").unwrap();
        fs::write(torch.join(file), text).unwrap();
        root
    }

    fn in_packages(root: &tempfile::TempDir) -> Result<Libtorch, LibtorchError> {
        find_among(None, None, [PathBuf::from("/nonexistent"), root.path().to_owned()].into_iter())
    }

    #[test]
    fn the_python_package_is_found_with_its_version() {
        let root = libtorch(
            "version.py",
            "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n",
        );
        let found = in_packages(&root).unwrap();
        assert_eq!(
            (found.root.as_path(), found.version.as_deref()),
            (&*root.path().join("torch"), Some("2.11.0+cu130"))
        );
        assert!(!found.has_cuda());
    }

    #[test]
    fn another_version_is_refused_with_what_to_do() {
        for version in ["2.1.0", "2.110.0", "3.0"] {
            let root = libtorch("build-version", version);
            let message = in_packages(&root).unwrap_err().to_string();
            assert!(
                message.contains(&format!("libtorch {version}, ")) && message.contains("pip install"),
                "{message}"
            );
        }
    }

    #[test]
    fn the_variable_wins_and_has_no_fallback() {
        let root = libtorch("build-version", "2.11.0\n");
        let named = root.path().join("torch");
        let none = || std::iter::empty();
        assert_eq!(find_among(Some(named.as_os_str()), None, none()).unwrap().root, named);
        let elsewhere =
            find_among(Some(OsStr::new("/nonexistent")), None, [root.path().to_owned()].into_iter());
        assert_eq!(elsewhere, Err(LibtorchError::Misnamed("/nonexistent".into())));
        assert_eq!(find_among(None, None, none()), Err(LibtorchError::Absent));
    }

    #[test]
    fn the_checkout_comes_before_the_package() {
        let (checkout, package) = (libtorch("build-version", "2.11.0"), libtorch("build-version", "2.11.1"));
        fs::create_dir(checkout.path().join("native")).unwrap();
        fs::rename(checkout.path().join("torch"), checkout.path().join(IN_CHECKOUT)).unwrap();
        let executable = checkout.path().join("target/debug/temper");
        let found = find_among(None, Some(&executable), [package.path().to_owned()].into_iter()).unwrap();
        assert_eq!(found.root, checkout.path().join(IN_CHECKOUT));
    }
}
