//! How failures of a runtime become errors: one line each, and no panic.
//!
//! The crates behind the runtimes are written for models that their users know. On a stranger's
//! model they can panic, so every call into them goes through [`guarded`].

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread;

use super::{Kind, RuntimeError};

/// What a runtime does when it prepares a model, as in "failed to ...".
pub(super) const LOAD: &str = "load the model";
/// What it does when a session runs.
pub(super) const RUN: &str = "run the model";

/// The most of a message that is told: some hold whole tensors.
const LONGEST: usize = 400;

thread_local! {
    /// Whether this thread is inside `guarded`.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a part of a runtime. Its error, and its panic if it has one, end as a reason in one line.
///
/// `workers` is how the names of the runtime's own threads start: they panic on its behalf.
pub(super) fn guarded<T, E>(
    kind: Kind,
    action: &'static str,
    told: impl FnOnce(E) -> String,
    part: impl FnOnce() -> Result<T, E>,
) -> Result<T, RuntimeError> {
    keep_guarded_panics_off_the_screen();
    let outer = GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(part));
    GUARDED.set(outer);
    let reason = match outcome {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => told(error),
        Err(payload) => format!("it panicked: {}", panic_message(payload.as_ref())),
    };
    Err(RuntimeError::Failed { kind, action, reason: shortened(first_line(&reason)) })
}

/// How the name of a thread starts that a runtime has to itself; its panics reach the caller
/// through `guarded` and are not printed either.
pub(super) const WORKER: &str = "runtime-worker";

/// Panics elsewhere are printed as before.
fn keep_guarded_panics_off_the_screen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let worker = thread::current().name().is_some_and(|name| name.starts_with(WORKER));
            if !GUARDED.get() && !worker {
                previous(panic);
            }
        }));
    });
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}

/// The first line of a message: what follows it is a backtrace, or a whole node in print.
pub(super) fn first_line(message: &str) -> &str {
    message.trim().lines().next().unwrap_or_default().trim_end()
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(part: impl FnOnce() -> Result<(), String>) -> String {
        guarded(Kind::TRACT, RUN, |error| error, part).unwrap_err().to_string()
    }

    #[test]
    fn errors_and_panics_end_as_one_line() {
        let prefix = "runtime tract failed to run the model: ";
        assert_eq!(reason(|| Err("no room\n   at main.rs".into())), format!("{prefix}no room"));
        assert_eq!(reason(|| panic!("no {}", "room")), format!("{prefix}it panicked: no room"));
        assert_eq!(reason(|| panic!("no room")), format!("{prefix}it panicked: no room"));
        assert_eq!(reason(|| panic::panic_any(7)), format!("{prefix}it panicked: without a message"));
        assert!(guarded(Kind::TRACT, RUN, |error: String| error, || Ok(1)).is_ok());
        assert!(!GUARDED.get());
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(first_line("  short \n rest"), "short");
        assert_eq!(shortened(&"é".repeat(LONGEST)), "é".repeat(LONGEST));
        assert_eq!(shortened(&"é".repeat(LONGEST + 1)), format!("{}...", "é".repeat(LONGEST)));
    }
}
