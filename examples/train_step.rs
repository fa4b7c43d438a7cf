//! Training steps that wait to be asked for: what `tests/scripts/pytorch_train_step.py` times against PyTorch.
//!
//! `cargo run --example train_step SMALL|FULL LAMBDA DEVICE BATCH PATCH PHOTOGRAPHS OUT [amp]`. A line on standard
//! input is a step of `temper harden`'s own loop, crops, losses, gradients, optimiser and all; its seconds
//! come back as a line. Everything stops with the input.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use temper::harden::{Event, Recipe, Settings, Start, harden};
use temper::torch;
use temper::zoo::Preset;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [size, lambda, device, batch, patch, photographs, out, precision @ ..] = &given[..] else {
        return Err("usage: train_step small|full LAMBDA DEVICE BATCH PATCH PHOTOGRAPHS OUT [amp]".into());
    };
    let amp = precision.first().is_some_and(|precision| precision == "amp");
    let size = if size == "small" { Preset::Small } else { Preset::Full };
    let (lambda, batch, patch) = (lambda.parse()?, batch.parse()?, patch.parse()?);
    let recipe = Recipe { size, lambda, batch, patch, amp, ..Recipe::default() };
    let mut settings = Settings::new(recipe, photographs, out);
    settings.run.device.clone_from(device);
    // The largest number that a file of settings holds.
    (settings.run.log_every, settings.run.save_every) = (i64::MAX as u64, i64::MAX as u64);
    let stop = AtomicBool::new(false);
    let mut lines = io::stdin().lock().lines();
    let mut start = None;
    let mut asked = || {
        stop.store(lines.next().is_none(), Ordering::Relaxed);
        Instant::now()
    };
    harden(&settings, Start::Fresh, &stop, &mut |event| match event {
        Event::Ready { parameters, .. } => {
            tell(format_args!("{parameters} parameters, libtorch {}", torch::version()));
            start = Some(asked());
        }
        Event::Step { .. } => {
            let seconds = start.map_or(f64::NAN, |start: Instant| start.elapsed().as_secs_f64());
            tell(format_args!("{seconds}"));
            start = Some(asked());
        }
        _ => {}
    })?;
    Ok(())
}

fn tell(line: std::fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    // Whoever asks for steps and does not listen has no use for their times.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
