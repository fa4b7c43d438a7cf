//! A whole run as TOML: a preset, a file over it, flags over both.
//!
//! `[recipe]` decides what is computed, `[run]` where and how often it is written down. Deliberately
//! absent: flags themselves (`cli` gives them as a table), and whether values are in range (the recipe
//! checks itself).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::HardenError;
use super::packing::Packing;
use super::recipe::Recipe;
use crate::files;
use crate::suggest::suggest;
use crate::zoo::Arch;

/// Everything that a run is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What to compute.
    pub recipe: Recipe,
    /// Where, and what to write.
    pub run: Run,
}

/// What does not decide what a run computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// Folder of HR images, or of DIV2K.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Folder of LR images, matched to the HR images by name; made by bicubic where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<PathBuf>,
    /// Folder to write to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// cpu, cuda, cuda:N or auto.
    pub device: String,
    /// Steps per line of the log.
    pub log_every: u64,
    /// Steps per checkpoint.
    pub save_every: u64,
    /// Folder of HR images to validate on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate: Option<PathBuf>,
    /// Steps per validation.
    pub validate_every: u64,
    /// Whether the written model is audited.
    pub audit: bool,
    /// float16 weights and arithmetic in the written model.
    pub fp16: bool,
    /// The one LR size that the written model takes, as in 48x64; any where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// BatchNormalization folded away in the written model.
    pub fold_batchnorm: bool,
}

impl Run {
    /// What is asked of the written model.
    ///
    /// # Errors
    /// [`HardenError::Config`] for a fixed size that is none.
    pub fn packing(&self) -> Result<Packing, HardenError> {
        let fixed = self.fixed.as_deref().map(str::parse).transpose();
        let fixed = fixed.map_err(|reason: String| problem(&"fixed", reason))?;
        Ok(Packing { fp16: self.fp16, fixed, fold_batchnorm: self.fold_batchnorm })
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            data: None,
            lr: None,
            out: None,
            device: "auto".to_owned(),
            log_every: 10,
            save_every: 1000,
            validate: None,
            validate_every: 1000,
            audit: true,
            fp16: false,
            fixed: None,
            fold_batchnorm: false,
        }
    }
}

/// Every key of a section with what it means.
type Keys = &'static [(&'static str, &'static str)];

const RECIPE: Keys = &[
    ("arch", "edsr, srresnet, srgan, rcan, msrn or carn"),
    ("size", "full: the original's; small: for tests and CPUs"),
    ("from", "a model file to fine-tune; arch, size, features, blocks and scale are then its own"),
    ("weights", "a model file of the same network to take the initial weights from; drawn where absent"),
    ("features", "channels of the feature maps"),
    ("blocks", "blocks of the network"),
    ("scale", "output side over input side"),
    ("steps", "training steps"),
    ("batch", "crops per step"),
    ("patch", "side of a crop in LR pixels"),
    ("learning_rate", "of Adam, at the start"),
    ("schedule", "step: the rate halves every halve_every steps; cosine: it falls to 0 at the last step"),
    ("halve_every", "in steps"),
    ("clip", "longest gradient, in L2; 0 for any"),
    ("ema", "share of the averaged weights that stays at a step; 0 exports the last weights"),
    ("amp", "convolutions and products in bfloat16; weights stay float32"),
    ("estimator", "regularise the entropy of Phi, eq. (1) to (11) of the paper"),
    ("noise", "add noise to Phi, eq. (12)"),
    ("lambda", "weight of the entropy loss; 0 trains the plain network"),
    ("delta", "width of the bins and of the noise"),
    ("widths", "hidden widths of the estimator, K - 1 numbers"),
    ("init_scale", "spread of the features that the estimator assumes at its start"),
    ("tap", "Phi: last or first feature map, or the name of a value or node"),
    ("adversarial", "budget of adversarial training in 1/255 (the paper's is 8); 0 for none"),
    ("vgg", "srgan: a VGG network as an ONNX file, for a content loss on its features"),
    ("vgg_tap", "srgan: the feature map of that network"),
    ("seed", "decides initial weights, crops and noise"),
    (
        "interface",
        "how the file of `from` is fed, where probing does not find it: layout, channels, range, output_range, scale, output, feed",
    ),
];

const RUN: Keys = &[
    ("data", "folder of HR images, or of DIV2K"),
    ("lr", "folder of LR images; made by bicubic where absent"),
    ("out", "folder to write to"),
    ("device", "cpu, cuda, cuda:N or auto"),
    ("log_every", "steps per line of train.jsonl"),
    ("save_every", "steps per checkpoint"),
    ("validate", "folder of HR images to validate on"),
    ("validate_every", "steps per validation"),
    ("audit", "audit the written model"),
    ("fp16", "float16 weights and arithmetic in the written model, float32 images"),
    ("fixed", "the one LR size that the written model takes, such as 48x64; any where absent"),
    ("fold_batchnorm", "BatchNormalization folded into the convolutions before it in the written model"),
];

const SECTIONS: [(&str, Keys); 2] = [("recipe", RECIPE), ("run", RUN)];

macro_rules! presets {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("presets/", $name, ".toml")))),*]
    };
}

/// The presets, by network and name.
const PRESETS: &[(&str, &str)] = presets!(
    "edsr-paper" "edsr-small" "srresnet-paper" "srresnet-small" "srgan-paper" "srgan-small"
    "rcan-paper" "rcan-small" "msrn-paper" "msrn-small" "carn-paper" "carn-small"
);

impl Settings {
    /// The names that [`Self::layered`] takes as presets.
    pub const PRESETS: [&'static str; 2] = ["paper", "small"];

    /// A preset of the network that file or flags name (EDSR where they do not), the file over it, the
    /// flags, a value with the same sections, over both.
    ///
    /// # Errors
    /// [`HardenError::Config`] naming the file, the key and the nearest key there is.
    pub fn layered(preset: &str, file: Option<&Path>, flags: &impl Serialize) -> Result<Self, HardenError> {
        let flags = Table::try_from(flags).map_err(|error| problem(&"the flags", error.to_string()))?;
        let file = match file {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        let stated = [&flags, &file].into_iter().find_map(|table| table.get("recipe")?.get("arch")?.as_str());
        let arch: Arch = stated.unwrap_or("edsr").parse()?;
        let name = format!("{arch}-{preset}");
        let (_, text) = PRESETS.iter().find(|(candidate, _)| *candidate == name).ok_or_else(|| {
            let names = Self::PRESETS.join(" and ");
            problem(&"--preset", format!("there is no preset `{preset}`; there are {names}"))
        })?;
        let mut merged = parse(text).map_err(|error| problem(&name, error))?;
        merge(&mut merged, file);
        merge(&mut merged, flags);
        let mut settings =
            Self::deserialize(merged).map_err(|error| problem(&"the settings", one_line(&error)))?;
        // The scale of a network of the zoo is nothing that is stated of a file.
        if settings.recipe.from.is_none() {
            settings.recipe.interface.scale = None;
        }
        Ok(settings)
    }

    /// The settings as TOML, every key with what it means.
    pub fn to_toml(&self) -> Result<String, HardenError> {
        let refused = |error: toml::ser::Error| problem(&"the settings", error.to_string());
        let mut table = Table::try_from(self).map_err(refused)?;
        if let Some(Value::Table(recipe)) = table.get_mut("recipe") {
            // The usual size goes without saying elsewhere; here a preset must not say otherwise.
            recipe.insert("size".into(), Value::try_from(self.recipe.size).map_err(refused)?);
        }
        let plain = toml::to_string(&table).map_err(refused)?;
        let comment = |line: &str| {
            let key = line.split_once(" = ").map(|(key, _)| key);
            let meanings = SECTIONS.iter().flat_map(|(_, keys)| keys.iter());
            key.and_then(|key| meanings.clone().find(|(name, _)| *name == key)).map(|(_, meaning)| *meaning)
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
    for (section, keys) in &table {
        let known = SECTIONS.iter().find(|(name, _)| name == section).map(|(_, keys)| *keys);
        let (Some(known), Value::Table(keys)) = (known, keys) else {
            let what = format!("`{section}` is not a section of it; there are [recipe] and [run]");
            return Err(problem(&path.display(), what));
        };
        if let Some(key) = keys.keys().find(|key| known.iter().all(|(name, _)| name != key)) {
            let near = suggest(key, known.iter().map(|(name, _)| *name));
            let advice = near.map_or_else(
                || "`temper harden --print-config` shows every key".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(problem(&path.display(), format!("[{section}] has no key `{key}`; {advice}")));
        }
    }
    Ok(table)
}

fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| one_line(&error))
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
    use crate::interface::Overrides;
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
        let settings = Settings::layered("small", Some(file.path()), &flags).unwrap();
        let Recipe { steps, lambda, batch, size, .. } = settings.recipe;
        assert_eq!((steps, lambda, batch, size), (9, 3.0, 8, Preset::Small));
        assert_eq!(settings.run, Run { log_every: 2, ..Run::default() });
    }

    #[test]
    fn every_preset_is_a_recipe_and_the_papers_are_the_defaults() {
        for arch in Arch::ALL {
            for preset in Settings::PRESETS {
                let named = flags(&format!("recipe = {{ arch = \"{arch}\" }}"));
                let recipe = Settings::layered(preset, None, &named).unwrap().recipe;
                recipe.check().unwrap();
                assert_eq!((recipe.arch, recipe.lambda), (arch, arch.lambda()), "{preset}");
            }
        }
        assert_eq!(Settings::layered("paper", None, &Table::new()).unwrap(), Settings::default());
    }

    #[test]
    fn settings_survive_their_toml() {
        let mut settings = Settings::default();
        settings.recipe.from = Some("a.onnx".into());
        settings.recipe.widths = vec![2];
        settings.run.data = Some("photos".into());
        let text = settings.to_toml().unwrap();
        assert!(text.contains("# weight of the entropy loss"), "{text}");
        let again = Settings::layered("small", Some(file(&text).path()), &Table::new()).unwrap();
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
            interface: Overrides { scale: Some(2), ..Overrides::default() },
            ..Recipe::default()
        };
        let path = || Some(PathBuf::from("a"));
        let fixed = Some("4x4".into());
        let run = Run { data: path(), lr: path(), out: path(), validate: path(), fixed, ..Run::default() };
        let table = Table::try_from(Settings { recipe, run }).unwrap();
        for (section, keys) in SECTIONS {
            let mut found: Vec<_> = table[section].as_table().unwrap().keys().cloned().collect();
            let mut listed: Vec<_> = keys.iter().map(|(key, _)| (*key).to_owned()).collect();
            found.sort();
            listed.sort();
            assert_eq!(found, listed);
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        let message = |text: &str| {
            Settings::layered("paper", Some(file(text).path()), &Table::new()).unwrap_err().to_string()
        };
        let slip = message("[recipe]\nlamda = 1\n");
        assert!(slip.contains(".toml: [recipe] has no key `lamda`; did you mean `lambda`?"), "{slip}");
        assert!(message("[rcipe]\n").contains("there are [recipe] and [run]"));
        assert!(message("lambda = 1\n").contains("`lambda` is not a section"));
        assert!(message("[recipe\n").contains(".toml: "));
        let mistyped = message("[recipe]\nlambda = \"high\"\n");
        assert!(mistyped.contains("high") || mistyped.contains("expected"), "{mistyped}");
        let unknown = Settings::layered("medium", None, &Table::new()).unwrap_err().to_string();
        assert!(unknown.contains("no preset `medium`; there are paper and small"), "{unknown}");
    }
}
