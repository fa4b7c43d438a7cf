//! Names of runtimes with settings: `ort`, `ort:opt=none,threads=2`, `torch:f64`.
//!
//! A name is read by the runtime's row in the table, which lists the settings that it takes, and is
//! brought to one canonical form: settings in the row's order, defaults left out, a short name where
//! the row has one. Deliberately absent: whether the machine has what a name asks for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use super::table::{self, Row};
use crate::suggest::did_you_mean;

/// A runtime with its settings, by its canonical name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(&'static str);

impl Kind {
    /// The name of a runtime that need not be in the table: a caller may hand in one of its own.
    pub const fn named(name: &'static str) -> Self {
        Self(name)
    }

    /// Every runtime of the table, with its default settings.
    pub fn all() -> impl Iterator<Item = Kind> {
        table::ROWS.iter().map(|row| Kind(row.name))
    }

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Whether it is the same runtime, whatever the settings.
    pub fn is_a(self, other: Kind) -> bool {
        let runtime = |kind: Kind| kind.row().map(|(row, _)| row.name);
        self == other || runtime(self).is_some() && runtime(self) == runtime(other)
    }

    /// The runtime's row in the table, and what this name sets; `None` for a runtime handed in by a caller.
    pub(super) fn row(self) -> Option<(&'static Row, Settings)> {
        read(self.0).ok()
    }

    /// Reads a list of names separated by commas, each once. A part that begins with no runtime's name is a
    /// further setting of the one before it, as in `ort:cuda,tf32=on,tract`.
    ///
    /// # Errors
    /// As for a single name.
    pub fn parse_list(text: &str) -> Result<Vec<Kind>, String> {
        let mut names: Vec<String> = Vec::new();
        for part in text.split(',').map(str::trim) {
            match names.last_mut() {
                Some(last) if last.contains(':') && !begins_a_name(part) => {
                    last.push(',');
                    last.push_str(part);
                }
                _ => names.push(part.to_owned()),
            }
        }
        let mut kinds = Vec::new();
        for name in names {
            let kind = name.parse()?;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let (row, settings) = read(name)?;
        Ok(Self(interned(settings.canonical_name(row))))
    }
}

/// A name made at run time. A process meets a handful of them, which stay until it ends.
fn interned(name: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name.as_str()) {
        return known;
    }
    let name: &'static str = name.leak();
    names.insert(name);
    name
}

/// One setting that a runtime takes.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the grammar.
    pub name: &'static str,
    /// The values it takes.
    pub values: Values,
    /// The setting without which this one means nothing.
    pub needs: Option<&'static str>,
    /// The settings it cannot stand beside.
    pub excludes: &'static [&'static str],
}

/// The values of a setting.
#[derive(Debug)]
pub enum Values {
    /// None: its name alone turns it on.
    Flag,
    /// One of these words, of which the last is the default.
    OneOf(&'static [&'static str]),
    /// A number from 1 on.
    Count,
}

impl Setting {
    /// A setting that stands alone and turns something on.
    pub const fn flag(name: &'static str, excludes: &'static [&'static str]) -> Self {
        Self { name, values: Values::Flag, needs: None, excludes }
    }

    /// A setting of one word, of which the last is the default.
    pub const fn one_of(name: &'static str, words: &'static [&'static str]) -> Self {
        Self { name, values: Values::OneOf(words), needs: None, excludes: &[] }
    }

    /// A setting of a number.
    pub const fn count(name: &'static str) -> Self {
        Self { name, values: Values::Count, needs: None, excludes: &[] }
    }

    /// How the grammar writes it.
    pub(super) fn usage(&self) -> String {
        match self.values {
            Values::Flag => self.name.to_owned(),
            Values::OneOf(words) => format!("{}={}", self.name, words.join("|")),
            Values::Count => format!("{}=N", self.name),
        }
    }

    /// The value in canonical form; `None` where it is the default.
    fn read(&self, value: Option<&str>) -> Result<Option<String>, String> {
        let wrong = || format!("expected `{}`", self.usage());
        match (&self.values, value) {
            (Values::Flag, None) => Ok(Some(String::new())),
            (Values::OneOf(words), Some(value)) if words.contains(&value) => {
                Ok((words.last() != Some(&value)).then(|| value.to_owned()))
            }
            (Values::Count, Some(value)) => {
                let count = value.parse::<usize>().ok().filter(|count| (1..=MOST).contains(count));
                count.map(|count| Some(count.to_string())).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// The largest count: libraries take 32-bit numbers, and one thread more than a machine has helps nobody.
const MOST: usize = 1024;

/// What a name sets beside the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Whether a flag is on.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a setting that is not at its default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(set, _)| *set == name).map(|(_, value)| value.as_str())
    }

    /// The number of a setting that has one.
    pub fn count(&self, name: &str) -> Option<usize> {
        self.get(name).and_then(|value| value.parse().ok())
    }

    fn canonical_name(&self, row: &Row) -> String {
        let written = self.written();
        match row.short.iter().find(|(_, settings)| *settings == written) {
            Some((short, _)) => (*short).to_owned(),
            None if written.is_empty() => row.name.to_owned(),
            None => format!("{}:{written}", row.name),
        }
    }

    fn written(&self) -> String {
        let each = self.0.iter().map(|(name, value)| match value.as_str() {
            "" => (*name).to_owned(),
            value => format!("{name}={value}"),
        });
        each.collect::<Vec<_>>().join(",")
    }
}

fn begins_a_name(part: &str) -> bool {
    let name = part.split(':').next().unwrap_or_default();
    table::ROWS.iter().any(|row| row.name == name || row.short.iter().any(|(short, _)| *short == name))
}

/// The row that a name begins with, and its settings.
fn read(name: &str) -> Result<(&'static Row, Settings), String> {
    let (runtime, rest) = name.split_once(':').map_or((name, None), |(runtime, rest)| (runtime, Some(rest)));
    for row in table::ROWS {
        let short = row.short.iter().find(|(short, _)| *short == runtime).map(|(_, settings)| *settings);
        if row.name == runtime || short.is_some() {
            let given = [short, rest].into_iter().flatten().flat_map(|part| part.split(','));
            return Ok((row, settings(row, name, given)?));
        }
    }
    let names =
        table::ROWS.iter().flat_map(|row| std::iter::once(row.name).chain(row.short.iter().map(|s| s.0)));
    let names: Vec<&str> = names.collect();
    Err(format!(
        "there is no runtime `{runtime}`{}; there are {}",
        did_you_mean(runtime, names.iter().copied()),
        names.join(", ")
    ))
}

/// The settings of a row that a text lists, in the row's order.
fn settings<'a>(
    row: &'static Row,
    name: &str,
    given: impl Iterator<Item = &'a str>,
) -> Result<Settings, String> {
    let mut found: Vec<Option<Option<String>>> = vec![None; row.settings.len()];
    for part in given {
        let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value)));
        let index = row.settings.iter().position(|setting| setting.name == key);
        let index = index.ok_or_else(|| {
            let takes: Vec<String> = row.settings.iter().map(Setting::usage).collect();
            let near = did_you_mean(key, row.settings.iter().map(|setting| setting.name));
            format!("runtime `{}` has no setting `{key}`{near}; it takes {}", row.name, takes.join(", "))
        })?;
        let value = row.settings[index]
            .read(value)
            .map_err(|wrong| format!("runtime `{name}`: `{part}`: {wrong}"))?;
        if found[index].replace(value).is_some() {
            return Err(format!("runtime `{name}` sets `{key}` twice"));
        }
    }
    let set =
        |name: &str| row.settings.iter().zip(&found).any(|(s, found)| s.name == name && found.is_some());
    for (setting, _) in row.settings.iter().zip(&found).filter(|(_, found)| found.is_some()) {
        if let Some(other) = setting.excludes.iter().find(|other| set(other)) {
            return Err(format!("runtime `{name}`: `{}` and `{other}` exclude each other", setting.name));
        }
        if let Some(needed) = setting.needs.filter(|needed| !set(needed)) {
            return Err(format!("runtime `{name}`: `{}` needs `{needed}` beside it", setting.name));
        }
    }
    let pairs = row.settings.iter().zip(found).filter_map(|(setting, value)| Some((setting.name, value??)));
    Ok(Settings(pairs.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(name: &str) -> Result<&'static str, String> {
        name.parse::<Kind>().map(Kind::name)
    }

    #[test]
    fn one_runtime_has_one_name() {
        for (given, expected) in [
            ("ort", "ort"),
            ("ort:opt=all", "ort"),
            ("ort:opt=none", "ort-plain"),
            ("ort-plain", "ort-plain"),
            ("ort-plain:threads=2", "ort:opt=none,threads=2"),
            ("ort:threads=02,opt=basic", "ort:opt=basic,threads=2"),
            ("ort:cuda,tf32=off", "ort-cuda"),
            ("ort:tf32=on,cuda", "ort:cuda,tf32=on"),
            ("tract:opt=off", "tract:opt=off"),
            ("torch:f64", "torch:f64"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(expected), "{given}");
        }
        let [a, b]: [Kind; 2] = [(); 2].map(|()| "ort:threads=3".parse().unwrap());
        assert!(std::ptr::eq(a.name(), b.name()), "made once");
    }

    #[test]
    fn what_a_name_cannot_mean_is_said() {
        for (given, said) in [
            ("onnx", "there is no runtime `onnx`"),
            ("trakt", "did you mean `tract`?"),
            ("ort:opt", "`opt`: expected `opt=none|basic|extended|all`"),
            ("ort:opt=most", "`opt=most`: expected"),
            ("ort:thread=2", "has no setting `thread`; did you mean `threads`?"),
            ("ort:threads=0", "expected `threads=N`"),
            ("ort:tf32=on", "`tf32` needs `cuda` beside it"),
            ("torch:f64,bf16", "exclude each other"),
            ("ort:", "has no setting ``"),
            ("ort-plain:opt=all", "sets `opt` twice"),
        ] {
            let error = canonical(given).unwrap_err();
            assert!(error.contains(said), "{given}: {error}");
        }
    }

    #[test]
    fn a_comma_separates_runtimes_or_their_settings() {
        let list = |text: &str| {
            Kind::parse_list(text).map(|kinds| kinds.iter().map(|k| k.name()).collect::<Vec<_>>())
        };
        assert_eq!(list("ort,tract").unwrap(), ["ort", "tract"]);
        assert_eq!(
            list("ort:opt=basic,threads=2,tract,ort-plain").unwrap(),
            ["ort:opt=basic,threads=2", "tract", "ort-plain"]
        );
        assert_eq!(
            list("ort:cuda,tf32=on,ort:cuda,torch:f64").unwrap(),
            ["ort:cuda,tf32=on", "ort-cuda", "torch:f64"]
        );
        assert_eq!(list("ort,ort:opt=all").unwrap(), ["ort"]);
        assert!(list("ort,threads=2").unwrap_err().contains("no runtime `threads=2`"));
    }
}
