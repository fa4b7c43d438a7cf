//! The child's side: loads one model in one runtime and runs it as often as it is asked.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::time::Duration;

use ndarray::{ArrayD, IxDyn};

use super::frames;
use crate::limits::Limit;
use crate::onnx;
use crate::runtime::{Kind, RuntimeError, Session, open};

/// The request was carried out.
pub const DONE: u64 = 0;
/// The runtime gave an error.
pub const FAILED: u64 = 1;
/// An input follows.
pub const NEW: u64 = 1;
/// An input is what it was in the run before.
pub const SAME: u64 = 0;

/// Set in tests alone, to `KIND:FAULT`: what a child on that runtime does in place of its first run.
pub const FAULT: &str = "TEMPER_TEST_RUNTIME_FAULT";

/// Answers requests on standard input, a socket, until nobody asks any more. `memory` bounds what this
/// process may allocate, in bytes.
///
/// # Errors
/// A socket that breaks; what the runtime says goes to the other side.
#[cfg(unix)]
pub fn serve(kind: Kind, memory: Option<u64>) -> io::Result<()> {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    confine(memory)?;
    end_with_parent();
    // The parent has read the model within its bounds; what it made of it may be larger.
    Limit::ALL.into_iter().for_each(|limit| limit.set(u64::MAX));
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (mut from, mut to) = (BufReader::new(stream.try_clone()?), BufWriter::new(stream));
    answer(kind, &mut from, &mut to)
}

/// Without sockets there is no isolation.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn serve(_kind: Kind, _memory: Option<u64>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn answer(kind: Kind, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut session = match load(kind, from)? {
        Ok(session) => session,
        Err(error) => return fail(to, &error),
    };
    frames::put_number(to, DONE)?;
    to.flush()?;
    let mut inputs: Vec<ArrayD<f32>> = Vec::new();
    while read_inputs(from, &mut inputs)? {
        fault(kind);
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        match session.run(&views) {
            Ok(outputs) => {
                frames::put_number(to, DONE)?;
                frames::put_tensors(to, &outputs)?;
                to.flush()?;
            }
            Err(error) => fail(to, &error)?,
        }
    }
    Ok(())
}

fn load(kind: Kind, from: &mut dyn Read) -> io::Result<Result<Box<dyn Session>, RuntimeError>> {
    let wrt = frames::text(from)?;
    let model = onnx::from_bytes(&frames::bytes(from)?).map_err(io::Error::other)?;
    Ok(open(kind).and_then(|runtime| match wrt.as_str() {
        "" => runtime.load(&model),
        wrt => runtime.autograd(&model, wrt).unwrap_or_else(|| {
            let reason = "it has no differentiation of its own".to_owned();
            Err(RuntimeError::Failed { kind, action: "differentiate the model", reason })
        }),
    }))
}

/// Reads the inputs of a run; `false` where the other side has gone.
fn read_inputs(from: &mut dyn Read, inputs: &mut Vec<ArrayD<f32>>) -> io::Result<bool> {
    let count = match frames::number(from) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        count => count? as usize,
    };
    inputs.resize(count, ArrayD::zeros(IxDyn(&[0])));
    for input in inputs {
        if frames::number(from)? == NEW {
            *input = frames::tensor(from)?;
        }
    }
    Ok(true)
}

fn fail(to: &mut dyn Write, error: &RuntimeError) -> io::Result<()> {
    let reason = match error {
        RuntimeError::Failed { reason, .. }
        | RuntimeError::Unavailable { reason, .. }
        | RuntimeError::Died { reason, .. } => reason,
    };
    frames::put_number(to, FAILED)?;
    frames::put_bytes(to, reason.as_bytes())?;
    to.flush()
}

/// Bounds what this process may allocate, and leaves no core file of a stranger's making.
#[cfg(unix)]
fn confine(memory: Option<u64>) -> io::Result<()> {
    use rlimit::Resource;
    Resource::CORE.set(0, 0)?;
    match memory {
        // The data segment and private mappings: what malloc takes, and not what libraries reserve.
        Some(most) => Resource::DATA.set(most, most),
        None => Ok(()),
    }
}

/// Ends this process once its parent has: a run without an end would go on for nobody.
#[cfg(unix)]
fn end_with_parent() {
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(Duration::from_millis(500));
        }
        std::process::exit(1);
    });
}

/// Does what a test asks for in place of a run, in a process that was started for one runtime.
pub fn fault(kind: Kind) {
    let Ok(wish) = std::env::var(FAULT) else { return };
    match wish.rsplit_once(':') {
        Some((name, "abort")) if name == kind.to_string() => std::process::abort(),
        Some((name, "hang")) if name == kind.to_string() => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        Some((name, "memory")) if name == kind.to_string() => {
            let mut taken: Vec<Vec<u8>> = Vec::new();
            loop {
                taken.push(vec![1; 64 << 20]);
            }
        }
        _ => {}
    }
}
