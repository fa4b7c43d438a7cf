//! What is measured: EDSR-baseline x4 and, where `TEMPER_ASSETS` names a folder with `models/`, every
//! model in it that has an interface.

#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;
use std::path::{Path, PathBuf};

use temper::interface::{Overrides, discover};
use temper::onnx::{self, Model};
use temper::runtime::{self, Kind};
use temper::zoo::Edsr;

type Failure = Box<dyn Error>;
/// Measures a model of this name at an input of this shape.
pub type Compare<'a> = dyn FnMut(&str, &Model, [usize; 4]) -> Result<(), Failure> + 'a;

const BASELINE: [usize; 4] = [1, 3, 80, 120];

/// Measures those whose names contain one of `names`; all where there are none.
pub fn each(names: &[String], compare: &mut Compare<'_>) -> Result<(), Failure> {
    if names.is_empty() {
        compare("EDSR-baseline x4", &Edsr::baseline(4).build(0)?, BASELINE)?;
    }
    for path in models() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
        if let Some(Err(reason)) = wanted.then(|| stranger(&name, &path, compare)) {
            println!("{name:<40} left out: {reason}");
        }
    }
    Ok(())
}

/// The models of `TEMPER_ASSETS`, by name.
fn models() -> Vec<PathBuf> {
    let Some(assets) = std::env::var_os("TEMPER_ASSETS") else { return vec![] };
    let mut found = Vec::new();
    let mut folders = vec![Path::new(&assets).join("models")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "onnx" => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// A model as its interface wants it, at a size that it takes.
fn stranger(name: &str, path: &Path, compare: &mut Compare<'_>) -> Result<(), Failure> {
    let model = onnx::read(path)?;
    let runtime = runtime::open(Kind::TRACT)?;
    let interface = discover(&model, &Overrides::default(), [&*runtime])
        .or_else(|_| discover(&model, &Overrides { scale: Some(3), ..Default::default() }, [&*runtime]))?
        .interface;
    let [height, width] = interface.geometry.fixed.unwrap_or([BASELINE[2], BASELINE[3]]);
    let size = [height, width].map(|side| side.next_multiple_of(interface.geometry.multiple));
    compare(name, &interface.canonical(&model), [1, interface.form.channels, size[0], size[1]])
}
