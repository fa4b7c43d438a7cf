//! Ctrl-C: the first asks long work to stop at its next step, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CliError;

/// Installs the handler; the flag rises on Ctrl-C.
pub fn on_interrupt() -> Result<Arc<AtomicBool>, CliError> {
    let raised = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&raised);
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(CliError::INTERRUPTED));
        }
    };
    ctrlc::set_handler(handler)
        .map_err(|error| CliError::failed(format!("Ctrl-C cannot be caught: {error}")))?;
    Ok(raised)
}
