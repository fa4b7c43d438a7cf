//! What a run of `temper harden` shows: a progress bar, notes, and lines at the end.

use std::time::Instant;

use super::ticker::{Ticker, duration};
use crate::cli::output::note;
use crate::cli::progress::Bar;
use crate::harden::{Agreement, Event, Outcome, Reason, Record, Skipped, Validated};

/// The progress bar.
pub(super) struct View {
    bar: Bar,
    steps: u64,
    loading: bool,
    ticker: Ticker,
    /// The last line of the log, in short.
    short: String,
}

impl View {
    /// A view of a run of so many steps.
    pub fn new(steps: u64) -> Self {
        Self { bar: Bar::hidden(), steps, loading: false, ticker: Ticker::new(), short: String::new() }
    }

    pub fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Loading { done, total } => {
                if !std::mem::replace(&mut self.loading, true) {
                    self.bar = Bar::new(total as u64, "Reading", "images");
                }
                self.bar.set_position(done as u64);
            }
            Event::Ready { images, skipped, parameters, estimator, step, tap, chosen, rounds } => {
                self.bar = Bar::hidden();
                if let Some(how) = chosen {
                    note(format_args!("Phi is `{tap}`: {how} (--tap NAME chooses another)"));
                }
                if rounds {
                    note(
                        "The file keeps its weights in half precision: they train in float32 and are rounded when written",
                    );
                }
                describe(images, skipped, parameters, estimator, step);
                self.bar = Bar::new(self.steps, "Training", "steps");
                self.bar.set_position(step);
                self.bar.reset_eta();
                self.ticker.start(Instant::now(), step);
            }
            Event::Step { done } => {
                self.bar.set_position(done);
                if let Some(line) = self.ticker.step(Instant::now(), done, self.steps) {
                    note(format_args!("{line}{}", self.short));
                }
            }
            Event::Estimated { seconds, on_cpu } => {
                if let Some(warning) = too_long(seconds, on_cpu) {
                    self.bar.suspend(|| note(warning));
                }
            }
            Event::Logged(record) => {
                self.short = format!("; {}", in_short(record));
                self.bar.set_message(in_short(record));
            }
            Event::Validated(found, best) => self.bar.suspend(|| note(validated(found, best))),
        }
    }
}

/// A day: what longer runs are worth a warning.
const LONG: f64 = 86_400.0;

/// A warning before a run that nobody may want to wait for.
fn too_long(seconds: f64, on_cpu: bool) -> Option<String> {
    let advice =
        if on_cpu { "; a GPU (--device cuda), fewer --steps or --preset small take less" } else { "" };
    (seconds > LONG)
        .then(|| format!("warning: by its first steps this run takes {} more{advice}", duration(seconds)))
}

fn validated(found: &Validated, best: bool) -> String {
    let Validated { step, psnr, ssim, attacked, entropy, spread, .. } = found;
    let best = if best { ", the best so far" } else { "" };
    format!(
        "Step {step}: PSNR {psnr:.2} dB, SSIM {ssim:.4}, SR PSNR under attack {attacked:.2} dB, features of \
         {entropy:.2} bits, spread {spread:.3}{best}"
    )
}

fn in_short(record: &Record) -> String {
    let entropy = record.entropy.map_or(String::new(), |bits| format!(" entropy {bits:.2} bits"));
    let error = record.reconstruction;
    // An error on [-1, 1], squared, is a small number.
    let digits = if error < 0.1 { 5 } else { 2 };
    format!("error {error:.digits$}{entropy}")
}

/// Names of skipped images to print; the rest are counted.
const NAMED: usize = 5;

fn describe(images: usize, skipped: &[Skipped], parameters: usize, estimator: usize, step: u64) {
    let beside =
        if estimator > 0 { format!(" and {estimator} of the density estimator") } else { String::new() };
    note(format_args!("Training {parameters} parameters{beside} on {images} images"));
    if step > 0 {
        note(format_args!("Going on after step {step}"));
    }
    if !skipped.is_empty() {
        note(format_args!("Skipped {} images:", skipped.len()));
    }
    for Skipped { name, reason } in skipped.iter().take(NAMED) {
        match reason {
            Reason::Small { height, width } => {
                note(format_args!("  {name}: {width}x{height} pixels are less than a patch"));
            }
            Reason::Broken(reason) => note(format_args!("  {reason}")),
        }
    }
    if skipped.len() > NAMED {
        note(format_args!("  and {} more", skipped.len() - NAMED));
    }
}

/// What training changed, clean and under attack, in one line.
fn changed(before: Option<&Validated>, after: &Validated) -> String {
    let change = |part: fn(&Validated) -> f64| match before {
        Some(before) => format!("{:.2} -> {:.2} dB", part(before), part(after)),
        None => format!("{:.2} dB", part(after)),
    };
    let on = if after.training { "of the images it was trained on" } else { "validation images" };
    format!(
        "  PSNR {}, SR PSNR under I-FGSM of 4/255 {}, on {} {on}",
        change(|found| found.psnr),
        change(|found| found.attacked),
        after.images
    )
}

/// What is said of a run when it has ended.
pub(super) fn summary(outcome: &Outcome) -> String {
    let [model, log, checkpoint, card] = &outcome.files;
    let mut lines = Vec::new();
    if let Some(last) = &outcome.last {
        let wait = 100.0 * last.waiting;
        lines.push(format!(
            "{} steps in {:.0} s, {:.0} crops/s, {wait:.0}% waiting for data; {}",
            outcome.steps,
            last.seconds,
            last.examples_per_second,
            in_short(last)
        ));
    }
    let [same, runtimes] = outcome.tolerances;
    lines.push(format!(
        "Wrote {}: verified, differs by {:.1e} from the trained network (at most {same:.0e})",
        model.display(),
        outcome.difference
    ));
    if let Some(difference) = outcome.bfloat16 {
        lines.push(format!(
            "  the bfloat16 arithmetic of training moves its outputs by up to {difference:.1e}; the file computes in float32"
        ));
    }
    lines.extend(outcome.transformed.iter().map(|what| format!("  {what}")));
    lines.extend(outcome.validated.as_ref().map(|after| changed(outcome.before.as_ref(), after)));
    for Agreement { runtime, difference } in &outcome.agreements {
        lines.push(match difference {
            Ok(difference) => {
                format!("  {runtime} gives the same within {difference:.1e} (at most {runtimes:.0e})")
            }
            Err(reason) => format!("  {runtime} cannot run it: {reason}"),
        });
    }
    lines.push(format!("Wrote {}, {} and {}", log.display(), checkpoint.display(), card.display()));
    // The initial audit has the other folder.
    let next = model.with_file_name(if outcome.audit.is_some() { "audit-full" } else { "audit" });
    lines.push(format!("Next: temper audit {} --images DIR --out {}", model.display(), next.display()));
    lines.join("\n")
}
