//! Progress where there is no terminal to draw a bar on: a line every 30 seconds.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(30);

/// Says when a line is due, and what it says.
pub(super) struct Ticker {
    silent: bool,
    /// When training started, and after which step.
    start: Option<(Instant, u64)>,
    last: Option<Instant>,
}

impl Ticker {
    /// Silent where standard error is a terminal, which has a bar.
    pub fn new() -> Self {
        Self { silent: stderr().is_terminal(), start: None, last: None }
    }

    /// Training starts after so many steps.
    pub fn start(&mut self, now: Instant, done: u64) {
        (self.start, self.last) = (Some((now, done)), Some(now));
    }

    /// The line after a step, where one is due.
    pub fn step(&mut self, now: Instant, done: u64, steps: u64) -> Option<String> {
        let ((start, first), last) = (self.start?, self.last?);
        if self.silent || now.duration_since(last) < PAUSE {
            return None;
        }
        self.last = Some(now);
        let each = now.duration_since(start).as_secs_f64() / done.saturating_sub(first).max(1) as f64;
        let left = duration(each * steps.saturating_sub(done) as f64);
        Some(format!("Step {done} of {steps}, {each:.2} s a step, {left} left"))
    }
}

/// Seconds in the two units that say enough of them.
pub(super) fn duration(seconds: f64) -> String {
    const UNITS: [(&str, f64); 4] = [("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)];
    let count = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    let seconds = seconds.round();
    let Some(place) = UNITS.iter().position(|(_, length)| seconds >= *length) else {
        return count(0, "second");
    };
    let (unit, length) = UNITS[place];
    let whole = (seconds / length).floor();
    let rest = UNITS.get(place + 1).map(|(unit, small)| (unit, ((seconds - whole * length) / small).floor()));
    match rest {
        Some((small, rest)) if rest > 0.0 => {
            format!("{} {}", count(whole as u64, unit), count(rest as u64, small))
        }
        _ => count(whole as u64, unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_every_thirty_seconds_and_never_to_a_terminal() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut ticker = Ticker { silent: false, start: None, last: None };
        assert_eq!(ticker.step(after(99), 1, 9), None, "before training starts");
        ticker.start(start, 100);
        assert_eq!(ticker.step(after(29), 129, 1000), None);
        let line = ticker.step(after(30), 130, 1000).unwrap();
        assert_eq!(line, "Step 130 of 1000, 1.00 s a step, 14 minutes 30 seconds left");
        assert_eq!(ticker.step(after(59), 159, 1000), None);
        assert!(ticker.step(after(61), 161, 1000).is_some());
        let mut silent = Ticker { silent: true, start: Some((start, 0)), last: Some(start) };
        assert_eq!(silent.step(after(300), 1, 2), None);
    }

    #[test]
    fn durations_have_two_units() {
        let cases = [
            (0.2, "0 seconds"),
            (61.0, "1 minute 1 second"),
            (7200.0, "2 hours"),
            (86_400.0 * 21.5, "21 days 12 hours"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
