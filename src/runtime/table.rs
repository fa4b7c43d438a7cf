//! The runtimes there are: one row each. To add one, write its file and its line in [`ROWS`].

use super::kind::{Setting, Settings};
use super::{Kind, Runtime, RuntimeError};

/// What the table says of a runtime.
pub struct Row {
    /// Its name, with every setting at its default.
    pub name: &'static str,
    /// What it is, in a line of help.
    pub help: &'static str,
    /// The settings it takes, in the order in which a canonical name lists them.
    pub settings: &'static [Setting],
    /// Short names, and the settings that each stands for.
    pub short: &'static [(&'static str, &'static str)],
    /// Whether an audit uses it where no runtime is named.
    pub audits_by_default: bool,
    /// Makes it ready under the name given, or says what this machine lacks.
    pub open: Open,
}

/// Makes a runtime ready under a name, with the settings that the name holds.
type Open = fn(Kind, &Settings) -> Result<Box<dyn Runtime>, RuntimeError>;

/// The table.
pub const ROWS: &[Row] = &[
    super::ort::ROW,
    super::tract::ROW,
    super::libtorch::ROW,
    #[cfg(feature = "rten")]
    super::rten::ROW,
];

/// Makes the runtime ready that a name stands for.
///
/// # Errors
/// [`RuntimeError::Unavailable`] where this machine lacks the runtime or what a setting needs.
pub fn open(kind: Kind) -> Result<Box<dyn Runtime>, RuntimeError> {
    match kind.row() {
        Some((row, settings)) => (row.open)(kind, &settings),
        None => {
            let reason = "it is not in the table of runtimes; hand it in as a value".to_owned();
            Err(RuntimeError::Unavailable { kind, reason })
        }
    }
}

/// The runtimes that an audit uses where none is named, those that are not there included.
pub fn audited_by_default() -> impl Iterator<Item = Kind> {
    ROWS.iter().filter(|row| row.audits_by_default).map(|row| Kind::named(row.name))
}

/// The grammar of names, one line a runtime: for help.
pub fn grammar() -> String {
    let lines = ROWS.iter().map(|row| {
        let settings: Vec<String> = row.settings.iter().map(Setting::usage).collect();
        let short: Vec<String> =
            row.short.iter().map(|(short, long)| format!("{short} is {}:{long}", row.name)).collect();
        let short = if short.is_empty() { String::new() } else { format!(" ({})", short.join(", ")) };
        format!("  {:<6} {}: {}{short}", row.name, row.help, settings.join(", "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_contradict_each_other() {
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        for row in ROWS {
            for (short, long) in row.short {
                names.push(short);
                let kind: Kind =
                    format!("{}:{long}", row.name).parse().expect("the row takes its own settings");
                assert_eq!(kind.name(), *short, "the settings are in canonical form");
            }
            for setting in row.settings {
                let known = |name: &&str| row.settings.iter().any(|setting| setting.name == *name);
                assert!(setting.needs.iter().chain(setting.excludes).all(known), "{}", setting.name);
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "no name stands for two runtimes");
        assert_eq!(audited_by_default().map(Kind::name).collect::<Vec<_>>(), ["ort", "tract"]);
    }

    #[test]
    fn a_runtime_of_the_callers_own_is_not_opened_by_name() {
        let refused = open(Kind::named("mine"))
            .map(|runtime| runtime.kind())
            .expect_err("it is in no table")
            .to_string();
        assert!(refused.contains("mine") && refused.contains("hand it in"), "{refused}");
    }
}
