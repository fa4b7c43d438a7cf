//! The models under audit: read, checked and named so that no two share a name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::AuditError;
use crate::image::rgb_input;
use crate::onnx::{self, Dim, Model, Problem};
use crate::report::ModelInfo;
use crate::rewrite::specialise;

/// A model under audit.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What reports call it.
    pub name: String,
    /// The path as it was given.
    pub path: PathBuf,
    /// The file's SHA-256.
    pub sha256: String,
    /// The model.
    pub model: Arc<Model>,
    /// Output side over input side.
    pub scale: usize,
}

/// The side of the image that tells the scale, where the model takes any size.
const PROBE: usize = 24;

impl Subject {
    /// Reads the models, in order.
    pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Self>, AuditError> {
        let names = short_names(paths);
        paths.iter().zip(names).map(|(path, name)| Self::read(path, name)).collect()
    }

    fn read(path: &Path, name: String) -> Result<Self, AuditError> {
        let model = onnx::read(path)?;
        let interface = |problem| AuditError::Interface { path: path.into(), problem };
        rgb_input(&model).map_err(interface)?;
        let scale = scale_of(&model, &name)?.map_err(interface)?;
        // The bytes were just read; what counts is the content that is audited.
        let sha256 = hex(&Sha256::digest(std::fs::read(path).unwrap_or_default()));
        Ok(Self { name, path: path.into(), sha256, model: Arc::new(model), scale })
    }

    /// What a report says of it.
    pub fn info(&self) -> ModelInfo {
        let weights = &self.model.graph.initializers;
        let metadata = self.model.metadata.iter().map(|(key, value)| (key.clone(), value.clone()));
        ModelInfo {
            name: self.name.clone(),
            path: self.path.display().to_string(),
            sha256: self.sha256.clone(),
            parameters: weights
                .values()
                .filter(|weight| weight.dtype().is_float())
                .map(onnx::Tensor::len)
                .sum(),
            scale: self.scale,
            opset: self.model.opset(),
            metadata: metadata.collect(),
        }
    }
}

/// The scale that the model's shapes tell.
fn scale_of(model: &Model, name: &str) -> Result<Result<usize, Problem>, AuditError> {
    let side = |axis: usize| {
        let input = model.graph.required_inputs().next();
        input.and_then(|input| input.dims()).and_then(|(_, dims)| dims.get(axis)).and_then(Dim::known)
    };
    let shape = [side(0).unwrap_or(1), 3, side(2).unwrap_or(PROBE), side(3).unwrap_or(PROBE)];
    let fixed = specialise(model, &[&shape])
        .map_err(|source| AuditError::Rewrite { model: name.to_owned(), source })?;
    let output = &fixed.graph.outputs[0];
    let sizes: Option<Vec<usize>> = output.dims().and_then(|(_, dims)| dims.iter().map(Dim::known).collect());
    let sizes = sizes.unwrap_or_default();
    let scale = sizes.get(2).map_or(0, |height| height / shape[2]);
    let expected = [shape[0], 3, shape[2] * scale, shape[3] * scale];
    if scale == 0 || sizes != expected {
        let what = format!(
            "gives {sizes:?} for an input of {shape:?}; an image a whole number of times as large is expected"
        );
        return Ok(Err(Problem::new(format!("output `{}`", output.name), what)));
    }
    Ok(Ok(scale))
}

/// For every path, the shortest end that no other path shares: `model.onnx`, or with its folder.
fn short_names(paths: &[PathBuf]) -> Vec<String> {
    let end = |path: &Path, parts: usize| {
        let all: Vec<_> = path.iter().collect();
        all[all.len().saturating_sub(parts)..].iter().collect::<PathBuf>().display().to_string()
    };
    let name = |(index, path): (usize, &PathBuf)| {
        let longest = path.iter().count().max(1);
        let unique = |parts: &usize| {
            let others = paths.iter().enumerate().filter(|(other, _)| *other != index);
            let ours = end(path, *parts);
            others.map(|(_, other)| end(other, *parts)).all(|other| other != ours)
        };
        let parts = (1..=longest).find(unique);
        parts.map_or_else(|| format!("{} #{}", path.display(), index + 1), |parts| end(path, parts))
    };
    paths.iter().enumerate().map(name).collect()
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let paths = ["demo/a/model.onnx", "demo/b/model.onnx", "other.onnx", "other.onnx"].map(PathBuf::from);
        assert_eq!(short_names(&paths), ["a/model.onnx", "b/model.onnx", "other.onnx #3", "other.onnx #4"]);
        assert_eq!(short_names(&paths[..1]), ["model.onnx"]);
    }
}
