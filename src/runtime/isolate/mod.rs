//! A runtime in a process of its own, so that its end is not this program's.
//!
//! ONNX Runtime, libtorch and tract run graphs that strangers wrote. One that crashes, never ends or asks
//! for all memory then ends a child process: the session gives [`RuntimeError::Died`], and the caller goes
//! on with the other runtimes. Every session has a child of its own: this very program, started with a
//! hidden verb ([`serve`]), which talks over a socket. Numbers are those of the same runtime in this process,
//! bit for bit. Deliberately absent: a guard against code that breaks out of the runtime, which needs the
//! operating system's sandboxes.

mod child;
mod frames;
mod session;

use std::path::PathBuf;
use std::time::Duration;

pub use child::{fault, serve};
pub use session::VERB;

use self::session::IsolatedSession;
use super::{Kind, Runtime, RuntimeError, Session, open};
use crate::onnx::Model;

/// What a child may do.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// The program to start: this one, or one that calls [`serve`] when told so.
    pub program: PathBuf,
    /// Bytes of memory that the child may allocate; `None` leaves it to the system.
    pub memory: Option<u64>,
    /// How long a child may take to load a model, or to run it once.
    pub time: Duration,
}

/// A runtime whose sessions are child processes.
pub struct Isolated {
    /// Asked for its name and version alone; it never sees a model.
    inner: Box<dyn Runtime>,
    confinement: Confinement,
}

impl Isolated {
    /// Makes a runtime ready.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(kind: Kind, confinement: Confinement) -> Result<Self, RuntimeError> {
        Ok(Self { inner: open(kind)?, confinement })
    }

    fn start(&self, model: &Model, wrt: Option<&str>) -> Result<Box<dyn Session>, RuntimeError> {
        Ok(Box::new(IsolatedSession::start(self.inner.kind(), &self.confinement, model, wrt)?))
    }
}

impl Runtime for Isolated {
    fn kind(&self) -> Kind {
        self.inner.kind()
    }

    fn version(&self) -> String {
        self.inner.version()
    }

    fn half_precision(&self) -> bool {
        self.inner.half_precision()
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError> {
        self.start(model, None)
    }

    fn autograd(&self, model: &Model, wrt: &str) -> Option<Result<Box<dyn Session>, RuntimeError>> {
        self.inner.has_autograd().then(|| self.start(model, Some(wrt)))
    }
}
