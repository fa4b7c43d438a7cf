//! A whole run as TOML: a preset, a file over it, flags over both.
//!
//! Three sections: `[recipe]`, `[run]` and `[export]`, each one type. Deliberately absent: the command line
//! (`cli` gives what it states as a table), and whether values are in range (each section checks itself).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::keys::{Key, keys};
use super::{ExportOptions, Recipe, Run, memory};
use crate::files;
use crate::harden::HardenError;
use crate::suggest::suggest;
use crate::zoo::Arch;

/// Everything that a run is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What to compute.
    pub recipe: Recipe,
    /// Where, and how often it is written down.
    pub run: Run,
    /// What becomes of the trained network in its file.
    pub export: ExportOptions,
}

/// The one key of a recipe that is a table of its own, and no flag.
const INTERFACE: (&str, &str) = (
    "interface",
    "how the file of `from` is fed, where probing does not find it: layout, channels, range, output_range, \
     scale, output, feed",
);

/// The sections by name, each with its keys.
fn sections() -> [(&'static str, Vec<Key>); 3] {
    let mut recipe = keys::<Recipe>();
    recipe.push(Key { name: INTERFACE.0.into(), meaning: INTERFACE.1.into() });
    [("recipe", recipe), ("run", keys::<Run>()), ("export", keys::<ExportOptions>())]
}

macro_rules! presets {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("presets/", $name, ".toml")))),*]
    };
}

/// The presets, by network and name.
const PRESETS: &[(&str, &str)] = presets!(
    "edsr-paper" "edsr-small" "srresnet-paper" "srresnet-small" "srgan-paper" "srgan-small"
    "rcan-paper" "rcan-small" "msrn-paper" "msrn-small" "carn-paper" "carn-small" "robust"
);

/// The preset that is the same for every network, and trains none from the start.
const ROBUST: &str = "robust";

impl Settings {
    /// The names that [`Self::layered`] takes as presets.
    pub const PRESETS: [&'static str; 3] = ["paper", "small", ROBUST];

    /// The usual settings of a recipe on the CPU, without an audit at the end.
    pub fn new(recipe: Recipe, data: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        let (data, out) = (Some(data.into()), Some(out.into()));
        let run = Run { data, out, device: "cpu".into(), audit: false, ..Run::default() };
        Self { recipe, run, export: ExportOptions::default() }
    }

    /// Checks every section.
    ///
    /// # Errors
    /// [`HardenError::Setting`] naming the first setting that is out of range, [`HardenError::Network`] where
    /// there is no such network, or [`HardenError::TooMuchMemory`] where the machine cannot hold its training.
    pub fn check(&self) -> Result<(), HardenError> {
        self.run.check()?;
        self.recipe.check()?;
        if self.recipe.from.is_some() {
            return Ok(());
        }
        // Before anything of the network's size is allocated.
        memory::check(&self.recipe, self.run.memory_bytes())?;
        self.recipe.network().map(drop)
    }

    /// A preset of the network that file or flags name (EDSR where they do not), or that of all networks, the
    /// file over it, the flags, a table with the same sections, over both.
    ///
    /// # Errors
    /// [`HardenError::Config`] naming the file, the key and the most similar key there is.
    pub fn layered(preset: &str, file: Option<&Path>, flags: Table) -> Result<Self, HardenError> {
        let file = match file {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        let stated = [&flags, &file].into_iter().find_map(|table| table.get("recipe")?.get("arch")?.as_str());
        let arch: Arch = stated.unwrap_or("edsr").parse()?;
        let mut merged = Self::preset(arch, preset)?;
        merge(&mut merged, file);
        merge(&mut merged, flags);
        let mut settings =
            Self::deserialize(merged).map_err(|error| problem(&"the settings", one_line(&error)))?;
        if preset == ROBUST && settings.recipe.from.is_none() && settings.recipe.weights.is_none() {
            let missing =
                "it fine-tunes a trained network: add --from FILE.onnx, or --arch NAME --weights FILE.onnx";
            return Err(problem(&"--preset robust", missing.into()));
        }
        // The scale of a network of the zoo is nothing that is stated of a file.
        if settings.recipe.from.is_none() {
            settings.recipe.interface.scale = None;
        }
        Ok(settings)
    }

    /// What a preset states for a network.
    fn preset(arch: Arch, preset: &str) -> Result<Table, HardenError> {
        let name = if preset == ROBUST { ROBUST.to_owned() } else { format!("{arch}-{preset}") };
        let (_, text) = PRESETS.iter().find(|(candidate, _)| *candidate == name).ok_or_else(|| {
            let [others @ .., last] = &Self::PRESETS;
            let names = format!("{} and {last}", others.join(", "));
            problem(&"--preset", format!("there is no preset `{preset}`; there are {names}"))
        })?;
        parse(text).map_err(|error| problem(&name, error))
    }

    /// The settings as TOML, every key with what it means.
    pub fn to_toml(&self) -> Result<String, HardenError> {
        let refused = |error: toml::ser::Error| problem(&"the settings", error.to_string());
        let plain = toml::to_string(self).map_err(refused)?;
        let meanings: Vec<Key> = sections().into_iter().flat_map(|(_, keys)| keys).collect();
        let comment = |line: &str| {
            let (key, _) = line.split_once(" = ")?;
            meanings.iter().find(|known| known.name == key).map(|known| &known.meaning)
        };
        let mut text = String::from("# `temper harden --config FILE` repeats this run.\n\n");
        for line in plain.lines() {
            if let Some(meaning) = comment(line) {
                text += &format!("# {meaning}\n");
            }
            text += &format!("{line}\n");
        }
        Ok(text)
    }
}

fn read(path: &Path) -> Result<Table, HardenError> {
    let bytes = files::read_bounded(path, 1 << 20)?;
    let text = String::from_utf8(bytes).map_err(|_| problem(&path.display(), "it is not text".into()))?;
    let table = parse(&text).map_err(|error| problem(&path.display(), error))?;
    check_keys(&table).and_then(|()| check_types(&table)).map_err(|error| problem(&path.display(), error))?;
    Ok(table)
}

/// Refuses a section or key that there is not, with the most similar one.
fn check_keys(table: &Table) -> Result<(), String> {
    let sections = sections();
    for (section, keys) in table {
        let known = sections.iter().find(|(name, _)| name == section).map(|(_, keys)| keys);
        let (Some(known), Value::Table(keys)) = (known, keys) else {
            let names = sections.iter().map(|(name, _)| format!("[{name}]")).collect::<Vec<_>>().join(", ");
            return Err(format!("`{section}` is not a section of it; there are {names}"));
        };
        let names = || known.iter().map(|key| key.name.as_str());
        if let Some(key) = keys.keys().find(|key| names().all(|name| name != key.as_str())) {
            let advice = suggest(key, names()).map_or_else(
                || "`temper harden --print-config` shows every key".to_owned(),
                |name| format!("did you mean `{name}`?"),
            );
            return Err(format!("[{section}] has no key `{key}`; {advice}"));
        }
    }
    Ok(())
}

/// Refuses a value that is not of its key's type: each by itself, for of all together the parser does not say which.
fn check_types(table: &Table) -> Result<(), String> {
    for (section, keys) in table {
        for (key, value) in keys.as_table().into_iter().flatten() {
            let alone = Table::from_iter([(key.clone(), value.clone())]);
            let alone = Table::from_iter([(section.clone(), Value::Table(alone))]);
            let wrong = |error| format!("[{section}] `{key}`: {}", one_line(&error));
            Settings::deserialize(alone).map_err(wrong)?;
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1));
        line.unwrap_or_default() + &one_line(&error)
    })
}

/// An error of the parser, which draws the place over several lines.
fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}

fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn problem(origin: &dyn std::fmt::Display, problem: String) -> HardenError {
    HardenError::Config { origin: origin.to_string(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Overrides, Size};
    use crate::zoo::Preset;

    fn flags(text: &str) -> Table {
        text.parse().unwrap()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_go_over_the_file_and_the_file_over_the_preset() {
        let file = file("[recipe]\nsteps = 7\nlambda = 3\n[run]\nlog_every = 2\n");
        let flags = flags("recipe = { steps = 9 }");
        let settings = Settings::layered("small", Some(file.path()), flags).unwrap();
        let Recipe { steps, lambda, batch, size, .. } = settings.recipe;
        assert_eq!((steps, lambda, batch, size), (9, 3.0, 8, Preset::Small));
        assert_eq!(settings.run, Run { log_every: 2, ..Run::default() });
    }

    #[test]
    fn every_preset_is_a_recipe_and_the_papers_are_the_defaults() {
        for arch in Arch::ALL {
            for preset in ["paper", "small"] {
                let named = flags(&format!("recipe = {{ arch = \"{arch}\" }}"));
                let recipe = Settings::layered(preset, None, named).unwrap().recipe;
                recipe.check().unwrap();
                assert_eq!((recipe.arch, recipe.lambda), (arch, arch.lambda()), "{preset}");
            }
        }
        assert_eq!(Settings::layered("paper", None, Table::new()).unwrap(), Settings::default());
    }

    #[test]
    fn the_robust_preset_fine_tunes_and_trains_nothing_from_the_start() {
        let error = Settings::layered("robust", None, Table::new()).unwrap_err().to_string();
        assert!(error.contains("--from FILE.onnx"), "{error}");
        for start in ["from = \"a.onnx\"", "arch = \"carn\", weights = \"a.onnx\""] {
            let given = flags(&format!("recipe = {{ {start}, steps = 9 }}"));
            let recipe = Settings::layered("robust", None, given).unwrap().recipe;
            recipe.check().unwrap();
            assert!(recipe.adversarial > 0.0 && !recipe.estimated() && !recipe.noisy());
            assert_eq!(recipe.steps, 9);
        }
    }

    #[test]
    fn settings_survive_their_toml() {
        let mut settings = Settings::default();
        settings.recipe.from = Some("a.onnx".into());
        settings.recipe.widths = vec![2];
        settings.run.data = Some("photos".into());
        let text = settings.to_toml().unwrap();
        assert!(text.contains("# Weight of the entropy loss"), "{text}");
        let again = Settings::layered("small", Some(file(&text).path()), Table::new()).unwrap();
        assert_eq!(again, settings);
    }

    #[test]
    fn every_key_is_explained() {
        let recipe = Recipe {
            size: Preset::Small,
            from: Some("a".into()),
            features: Some(1),
            blocks: Some(1),
            vgg: Some("a".into()),
            vgg_tap: Some("a".into()),
            weights: Some("a".into()),
            noise_width: Some(1.0),
            lambda_ramp: 1,
            interface: Overrides { scale: Some(2), ..Overrides::default() },
            ..Recipe::default()
        };
        let path = || Some(PathBuf::from("a"));
        let run = Run {
            data: path(),
            lr: path(),
            out: path(),
            validate: path(),
            tensorboard: path(),
            memory: Some(1.0),
            ..Run::default()
        };
        let export = ExportOptions { fixed: Some(Size(4, 4)), ..ExportOptions::default() };
        let table = Table::try_from(Settings { recipe, run, export }).unwrap();
        for (section, keys) in sections() {
            assert!(keys.iter().all(|key| key.meaning.len() > 10), "{section}");
            let mut found: Vec<_> = table[section].as_table().unwrap().keys().cloned().collect();
            let mut listed: Vec<_> = keys.into_iter().map(|key| key.name).collect();
            found.sort();
            listed.sort();
            assert_eq!(found, listed);
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        let message = |text: &str| {
            Settings::layered("paper", Some(file(text).path()), Table::new()).unwrap_err().to_string()
        };
        let slip = message("[recipe]\nlamda = 1\n");
        assert!(slip.contains(".toml: [recipe] has no key `lamda`; did you mean `lambda`?"), "{slip}");
        assert!(message("[rcipe]\n").contains("there are [recipe], [run], [export]"));
        assert!(message("lambda = 1\n").contains("`lambda` is not a section"));
        assert!(message("[run]\nlog_every = 2\n[recipe\n").contains(".toml: line 3: "));
        for (text, part) in [
            (
                "[recipe]\nsteps = 3\nlambda = \"high\"\n",
                ".toml: [recipe] `lambda`: invalid type: string \"high\"",
            ),
            ("[recipe]\nwidths = [1, -2]\n", ".toml: [recipe] `widths`: "),
            ("[run]\naudit = 3\n", ".toml: [run] `audit`: "),
        ] {
            let mistyped = message(text);
            assert!(mistyped.contains(part), "{mistyped}");
        }
        let unknown = Settings::layered("medium", None, Table::new()).unwrap_err().to_string();
        assert!(unknown.contains("no preset `medium`; there are paper, small and robust"), "{unknown}");
    }
}
