//! Handing a command over to `temper-torch`, the same program with libtorch linked in.
//!
//! `temper` must start within milliseconds on machines that have no libtorch. `tch` cannot be loaded late: the
//! compiled C++ of `torch-sys` refers to libtorch's data (vtables, type information, static members), and the loader
//! resolves such references before `main`, whatever is asked of it. So libtorch is linked into a program of its own,
//! and this process becomes that program, with the same arguments, once a command asks for libtorch. Deliberately
//! absent: a protocol between the two. There is one process at any time.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::CliError;
use super::output::detail;
use crate::environment::libtorch::{self, Libtorch};

/// The program's name.
const NAME: &str = "temper-torch";
/// The variable by which the loader is told where to look first.
const LOADER_PATH: &str = "LD_LIBRARY_PATH";

/// Whether a command uses libtorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It does not.
    Never,
    /// It says more where libtorch is at hand.
    IfThere,
    /// It cannot do without.
    Always,
}

/// `temper-torch` and the libtorch for it.
pub struct Companion {
    program: PathBuf,
    libtorch: Libtorch,
}

/// Why a command that needs libtorch cannot run.
#[derive(Debug, thiserror::Error)]
pub enum CompanionError {
    /// The program is not installed.
    #[error(
        "this needs libtorch, and {NAME}, the program that uses it, lies neither beside `{0}` nor on the PATH; \
         `pip install temper-sr[torch]` brings both, `cargo build --features torch --bin {NAME}` builds it in a checkout"
    )]
    NoProgram(PathBuf),
    /// libtorch is not to be had.
    #[error("this needs libtorch: {0}")]
    NoLibtorch(#[from] libtorch::LibtorchError),
}

impl Companion {
    /// Finds the program, beside this one or on the PATH, and libtorch.
    ///
    /// # Errors
    /// One of them is not there, or libtorch is of another version.
    pub fn find() -> Result<Self, CompanionError> {
        let own = env::current_exe().unwrap_or_default();
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = own.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&path));
        let program = folders.map(|folder| folder.join(NAME)).find(|program| program.is_file());
        let program = program.ok_or(CompanionError::NoProgram(own))?;
        Ok(Self { program, libtorch: libtorch::find()? })
    }

    /// The program's file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The libtorch that it will use.
    pub fn libtorch(&self) -> &Libtorch {
        &self.libtorch
    }

    /// A command that starts it on these arguments with libtorch where the loader looks first.
    pub fn command(&self, arguments: impl IntoIterator<Item = OsString>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env(LOADER_PATH, before(&self.libtorch.libraries(), env::var_os(LOADER_PATH).as_deref()));
        if env::var_os("OMP_WAIT_POLICY").is_none() {
            // libtorch's idle threads sleep rather than spin: they share the cores with the other runtimes.
            command.env("OMP_WAIT_POLICY", "passive");
        }
        command
    }
}

/// A search path that begins with this folder.
fn before(folder: &Path, rest: Option<&OsStr>) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
        path.push(":");
        path.push(rest);
    }
    path
}

/// Becomes `temper-torch` where the command needs it and this program is not it already; comes back where this
/// program is to go on by itself.
///
/// # Errors
/// The command cannot do without libtorch, and it or the program is not there.
pub fn hand_over(need: Need) -> Result<(), CliError> {
    if cfg!(feature = "torch") || need == Need::Never {
        return Ok(());
    }
    match (Companion::find(), need) {
        (Ok(companion), _) => {
            let Libtorch { root, version } = &companion.libtorch;
            let version = version.as_deref().unwrap_or("of unknown version");
            detail(format_args!("{}: libtorch {version} in {}", companion.program.display(), root.display()));
            let error = become_program(companion.command(env::args_os().skip(1)));
            Err(CliError::failed(format!("`{}` cannot be started: {error}", companion.program.display())))
        }
        (Err(_), Need::IfThere) => Ok(()),
        (Err(error), _) => Err(CliError::usage(error)),
    }
}

/// Replaces this process; comes back only with the reason why not.
#[cfg(unix)]
fn become_program(mut command: Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(&mut command)
}

/// Runs the program and ends with its exit code; comes back only with the reason why not.
#[cfg(not(unix))]
fn become_program(mut command: Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_comes_before_what_the_loader_was_told() {
        let folder = Path::new("/torch/lib");
        assert_eq!(before(folder, None), "/torch/lib");
        assert_eq!(before(folder, Some(OsStr::new(""))), "/torch/lib");
        assert_eq!(before(folder, Some(OsStr::new("/a:/b"))), "/torch/lib:/a:/b");
    }
}
