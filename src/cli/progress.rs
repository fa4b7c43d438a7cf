//! Progress bars on standard error: what is being done, the rate and the time left.
//!
//! Where standard error is not a terminal, nothing is drawn.

use std::ops::Deref;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{harmless, is_quiet};

/// A bar or a spinner that leaves the screen when it is dropped, however its work ended, so that what
/// is printed next stands alone.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar over `total` steps of `unit`, such as "steps".
    pub fn new(total: u64, label: &str, unit: &str) -> Self {
        let template =
            format!("{{prefix:<12}} [{{bar:30}}] {{pos}}/{{len}} {unit} {{per_sec}}, {{eta}} left {{msg}}");
        // The template is fixed above but for two plain words; a bar without style still counts.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(
            drawn(ProgressBar::new(total))
                .with_style(style.progress_chars("=> "))
                .with_prefix(harmless(label)),
        )
    }

    /// For work that cannot be counted: what is done and how long it has taken.
    pub fn spinner() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = drawn(ProgressBar::new_spinner()).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Says what is being done. What names come from files is made harmless, as everywhere.
    pub fn set_message(&self, what: impl AsRef<str>) {
        self.0.set_message(harmless(what.as_ref()).replace('\n', " "));
    }

    /// Nothing to see.
    #[cfg(feature = "torch")]
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }
}

/// The bar, where `--quiet` lets it be seen.
fn drawn(bar: ProgressBar) -> ProgressBar {
    if is_quiet() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

impl Deref for Bar {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.0
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_cannot_steer_the_terminal() {
        let bar = Bar::spinner();
        bar.set_message("attacking a\u{1b}[2J\nb.png");
        assert_eq!(bar.0.message(), "attacking a?[2J b.png");
    }

    #[test]
    fn a_dropped_bar_is_off_the_screen() {
        for bar in [Bar::new(10, "attacking", "steps"), Bar::spinner()] {
            let shown = bar.0.clone();
            assert!(!shown.is_finished());
            drop(bar);
            assert!(shown.is_finished());
        }
    }
}
