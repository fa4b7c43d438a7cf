//! The models under audit: read, checked and named so that no two share a name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::AuditError;
use super::memory::least_bytes;
use super::photo::Photo;
use crate::image::{one_output, rgb_input};
use crate::onnx::{self, DType, Dim, Model, Problem};
use crate::oracle::{Objective, gradient_model};
use crate::report::{ModelInfo, StoppedNode, embedded};
use crate::rewrite::{RewriteError, Stop, specialise};

/// A model under audit.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What reports call it.
    pub name: String,
    /// The path as it was given.
    pub path: PathBuf,
    /// SHA-256 of the file and of the tensors it keeps beside it; see [`onnx::Source`].
    pub sha256: String,
    /// The model, with one output.
    pub model: Arc<Model>,
    /// Output side over input side.
    pub scale: usize,
    /// Nodes through which only a zero gradient passes; known once an image was fitted.
    pub stopped: Vec<Stop>,
}

/// The side of the image that tells the scale, where the model takes any size.
const PROBE: usize = 24;

impl Subject {
    /// Reads the models, in order; `output` is the one to judge of models that have several.
    pub fn read_all(paths: &[PathBuf], output: Option<&str>) -> Result<Vec<Self>, AuditError> {
        let names = short_names(paths);
        paths.iter().zip(names).map(|(path, name)| Self::read(path, name, output)).collect()
    }

    fn read(path: &Path, name: String, output: Option<&str>) -> Result<Self, AuditError> {
        let source = onnx::read_source(path)?;
        let refuse = |source| AuditError::Model { path: path.into(), source };
        rgb_input(&source.model).map_err(|problem| refuse(problem.into()))?;
        let model = one_output(source.model, output).map_err(|problem| refuse(problem.into()))?;
        let scale = scale_of(&model).map_err(refuse)?;
        let sha256 = hex(&source.sha256);
        Ok(Self { name, path: path.into(), sha256, model: Arc::new(model), scale, stopped: vec![] })
    }

    /// Checks that the model takes every image, and that a gradient step on the largest fits into
    /// `memory` bytes.
    pub fn admit(&mut self, photos: &[Photo], memory: Option<u64>) -> Result<(), AuditError> {
        let mut seen = HashSet::new();
        for photo in photos.iter().filter(|photo| seen.insert(photo.shape())) {
            self.check_size(photo)?;
        }
        let Some(largest) = photos.iter().max_by_key(|photo| photo.x.len()) else { return Ok(()) };
        // A model that cannot be differentiated here may be where a runtime does it by itself. Whether
        // there is a gradient is for the self-test to find.
        let Ok((step, stopped)) = gradient_model(&self.model, Objective::Distance, &largest.shape()) else {
            return Ok(());
        };
        self.stopped = stopped;
        let needed = least_bytes(&step).unwrap_or(0);
        match memory.filter(|memory| needed > *memory) {
            Some(memory) => Err(AuditError::TooLarge {
                path: largest.path.clone(),
                model: self.name.clone(),
                size: [largest.shape()[2], largest.shape()[3]],
                needed,
                memory,
            }),
            None => Ok(()),
        }
    }

    /// Whether the model takes an image of this size, and upscales it as it does others.
    fn check_size(&self, photo: &Photo) -> Result<(), AuditError> {
        let found = scale_at(&self.model, photo.shape()).and_then(|scale| {
            let what = || format!("grows by {scale} here, and by {} for others", self.scale);
            if scale == self.scale { Ok(()) } else { Err(Problem::new("the output", what()).into()) }
        });
        found.map_err(|source| AuditError::Unfit {
            path: photo.path.clone(),
            model: self.name.clone(),
            size: [photo.shape()[2], photo.shape()[3]],
            source: Box::new(source),
        })
    }

    /// What a report says of it.
    pub fn info(&self) -> ModelInfo {
        let weights = &self.model.graph.initializers;
        let metadata = self.model.metadata.iter().map(|(key, value)| (key.clone(), embedded(value)));
        let stopped = self.stopped.iter();
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
            stopped: stopped
                .map(|stop| StoppedNode { node: stop.node.clone(), reason: stop.reason })
                .collect(),
        }
    }
}

/// The scale that the model's shapes tell.
fn scale_of(model: &Model) -> Result<usize, RewriteError> {
    let side = |axis: usize| {
        let input = model.graph.required_inputs().next();
        input.and_then(|input| input.dims()).and_then(|(_, dims)| dims.get(axis)).and_then(Dim::known)
    };
    scale_at(model, [side(0).unwrap_or(1), 3, side(2).unwrap_or(PROBE), side(3).unwrap_or(PROBE)])
}

/// Output side over input side for an input of this shape.
fn scale_at(model: &Model, shape: [usize; 4]) -> Result<usize, RewriteError> {
    let fixed = specialise(model, &[&shape])?;
    let output = &fixed.graph.outputs[0];
    let refuse = |what: String| Err(Problem::new(format!("output `{}`", output.name), what).into());
    let Some((dtype, dims)) = output.dims() else {
        return refuse("is not a tensor of known rank; export the model with an image as its output".into());
    };
    if dtype != DType::F32 {
        return refuse(format!("is {dtype}; export the model with a float32 output"));
    }
    let sizes: Vec<usize> = dims.iter().filter_map(Dim::known).collect();
    let scale = sizes.get(2).map_or(0, |height| height / shape[2]);
    let expected = [shape[0], 3, shape[2] * scale, shape[3] * scale];
    if scale == 0 || sizes != expected {
        let shown: Vec<String> = dims.iter().map(ToString::to_string).collect();
        return refuse(format!(
            "is [{}] for an input of {shape:?}; an image a whole number of times as large is expected",
            shown.join(", ")
        ));
    }
    Ok(scale)
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
