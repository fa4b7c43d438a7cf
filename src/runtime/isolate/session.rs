//! The parent's side of a session: starts the child, sends what changed, and says how it ended.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, ArrayViewD};

use super::child::{DONE, NEW, SAME};
use super::{Confinement, frames};
use crate::onnx::{self, Model};
use crate::runtime::failure::{LOAD, RUN, first_line};
use crate::runtime::{Kind, RuntimeError, Session};

/// The hidden verb that the child is started with.
pub const VERB: &str = "serve-runtime";
/// How long a child whose socket broke may take to be gone.
const GRACE: Duration = Duration::from_secs(5);
/// The most of what a child says on its way out that is kept.
const LAST_WORDS: usize = 4096;

/// A model in a child process.
pub struct IsolatedSession {
    kind: Kind,
    time: Duration,
    child: Child,
    from: BufReader<Socket>,
    to: BufWriter<Socket>,
    /// The inputs that the child has.
    sent: Vec<ArrayD<f32>>,
    last_words: Arc<Mutex<Vec<u8>>>,
}

#[cfg(unix)]
type Socket = std::os::unix::net::UnixStream;
#[cfg(not(unix))]
type Socket = std::net::TcpStream;

impl IsolatedSession {
    /// Starts a child and has it load a model, for its gradient by `wrt` where that is given.
    pub fn start(
        kind: Kind,
        confinement: &Confinement,
        model: &Model,
        wrt: Option<&str>,
    ) -> Result<Self, RuntimeError> {
        let failed = |error: io::Error| RuntimeError::Failed {
            kind,
            action: "start a process of its own",
            reason: format!("{}: {error}", confinement.program.display()),
        };
        let mut session = Self::spawn(kind, confinement).map_err(failed)?;
        let model = onnx::to_bytes(model);
        let mut send = || {
            frames::put_bytes(&mut session.to, wrt.unwrap_or_default().as_bytes())?;
            frames::put_bytes(&mut session.to, &model)?;
            session.to.flush()
        };
        let sent = send();
        match sent.and_then(|()| session.outcome()) {
            Ok(Ok(())) => Ok(session),
            Ok(Err(reason)) => Err(RuntimeError::Failed { kind, action: LOAD, reason }),
            Err(error) => Err(session.died(LOAD, &error)),
        }
    }

    #[cfg(unix)]
    fn spawn(kind: Kind, confinement: &Confinement) -> io::Result<Self> {
        use std::os::fd::OwnedFd;
        use std::os::unix::process::CommandExt;

        let (ours, theirs) = Socket::pair()?;
        ours.set_read_timeout(Some(confinement.time))?;
        ours.set_write_timeout(Some(confinement.time))?;
        let mut command = Command::new(&confinement.program);
        command.args([VERB, &kind.to_string()]);
        if let Some(memory) = confinement.memory {
            command.arg(memory.to_string());
        }
        command.env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::piped());
        // Ctrl-C is for this process, which lets the child end.
        let mut child = command.process_group(0).spawn()?;
        let last_words = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            let into = Arc::clone(&last_words);
            thread::spawn(move || keep_last_words(stderr, &into));
        }
        let (from, to) = (BufReader::new(ours.try_clone()?), BufWriter::new(ours));
        Ok(Self { kind, time: confinement.time, child, from, to, sent: Vec::new(), last_words })
    }

    #[cfg(not(unix))]
    fn spawn(_kind: Kind, _confinement: &Confinement) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether the child did what it was asked, or the runtime's reason.
    fn outcome(&mut self) -> io::Result<Result<(), String>> {
        match frames::number(&mut self.from)? {
            DONE => Ok(Ok(())),
            _ => Ok(Err(frames::text(&mut self.from)?)),
        }
    }

    /// Sends the inputs that differ from those of the run before: the target of an attack is the same in
    /// every step, and larger than the image.
    fn send(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> io::Result<()> {
        frames::put_number(&mut self.to, inputs.len() as u64)?;
        self.sent.truncate(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            if self.sent.get(index).is_some_and(|sent| sent == input) {
                frames::put_number(&mut self.to, SAME)?;
                continue;
            }
            frames::put_number(&mut self.to, NEW)?;
            frames::put_tensor(&mut self.to, input)?;
            match self.sent.get_mut(index) {
                Some(sent) if sent.shape() == input.shape() => sent.assign(input),
                Some(sent) => *sent = input.to_owned(),
                None => self.sent.push(input.to_owned()),
            }
        }
        self.to.flush()
    }

    /// Why the child does not answer; ends it.
    fn died(&mut self, action: &'static str, error: &io::Error) -> RuntimeError {
        let late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let status = if late { None } else { self.wait() };
        self.child.kill().ok();
        self.child.wait().ok();
        let reason = match status {
            Some(status) => format!("its process ended by {}{}", cause(status), self.said()),
            None if late => format!("it gave no answer in {} s", self.time.as_secs()),
            None => format!("its process answered nonsense: {error}"),
        };
        RuntimeError::Died { kind: self.kind, action, reason }
    }

    /// The status that the child ends with, where it does so soon.
    fn wait(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < GRACE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// The last line of what the child said, as the end of a sentence.
    fn said(&self) -> String {
        // The thread that listens may be a moment behind.
        thread::sleep(Duration::from_millis(50));
        let words = self.last_words.lock().map(|words| String::from_utf8_lossy(&words).into_owned());
        let words = words.unwrap_or_default();
        let line =
            words.lines().rev().map(first_line).find(|line| !line.is_empty() && !line.starts_with("note: "));
        line.map_or(String::new(), |line| format!(", having said: {line}"))
    }
}

impl Session for IsolatedSession {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let done = self.send(inputs).and_then(|()| match self.outcome()? {
            Ok(()) => Ok(Ok(frames::tensors(&mut self.from)?)),
            Err(reason) => Ok(Err(reason)),
        });
        match done {
            Ok(Ok(outputs)) => Ok(outputs),
            Ok(Err(reason)) => Err(RuntimeError::Failed { kind: self.kind, action: RUN, reason }),
            Err(error) => Err(self.died(RUN, &error)),
        }
    }
}

impl Drop for IsolatedSession {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What ended a process, in words.
fn cause(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            libc::SIGABRT => " (abort)",
            libc::SIGSEGV => " (segmentation fault)",
            libc::SIGBUS => " (bus error)",
            libc::SIGILL => " (illegal instruction)",
            libc::SIGFPE => " (arithmetic fault)",
            libc::SIGKILL => " (killed, perhaps for want of memory)",
            _ => "",
        };
        return format!("signal {signal}{name}");
    }
    status.to_string()
}

/// Reads what a child says to its end and keeps the last of it.
fn keep_last_words(mut from: ChildStderr, into: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        let Ok(mut words) = into.lock() else { return };
        words.extend_from_slice(&chunk[..length]);
        let surplus = words.len().saturating_sub(LAST_WORDS);
        words.drain(..surplus);
    }
}
