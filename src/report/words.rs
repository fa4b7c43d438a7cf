//! Names and numbers in print.

/// A name that cannot break the table, whatever a file system lets it hold.
pub fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A PSNR in dB.
pub fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "equal".into() }
}
