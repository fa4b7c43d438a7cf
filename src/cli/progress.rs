//! Progress bars on standard error: what is being done, the rate and the time left.
//!
//! Where standard error is not a terminal, nothing is drawn.

pub use indicatif::ProgressBar;
use indicatif::ProgressStyle;

/// A bar over `total` steps of `unit`, such as "steps".
pub fn bar(total: u64, label: &str, unit: &str) -> ProgressBar {
    let template =
        format!("{{prefix:<12}} [{{bar:30}}] {{pos}}/{{len}} {unit} {{per_sec}}, {{eta}} left {{msg}}");
    // The template is fixed above but for two plain words; a bar without style still counts.
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_prefix(label.to_owned())
}
