//! The models under audit: read, checked and named so that no two share a name.

mod admission;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::AuditError;
use crate::audit::inputs::requirements::ImageRequirements;
use crate::audit::preprocess::Preprocessing;
use crate::digest;
use crate::interface::{Found, Interface, Overrides, discover, find_tap, on_the_way, served};
use crate::onnx::{self, Model, Source};
use crate::oracle::{GradientGraph, Tiles};
use crate::report::{InterfaceInfo, ModelInfo, StoppedNode, TilesInfo, embedded};
use crate::rewrite::{Stop, prune, specialise};
use crate::runtime::Runtime;

pub use admission::Means;

/// The metadata key under which a model names the last feature map before upsampling.
const TAP: &str = "temper.tap";

/// A model under audit.
#[derive(Clone, Debug)]
pub struct AuditedModel {
    /// What reports call it.
    pub name: String,
    /// The path as it was given.
    pub path: PathBuf,
    /// SHA-256 of the file and of the tensors it keeps beside it; see [`onnx::Source`].
    pub sha256: String,
    /// The model as it is served and attacked: images on [0, 1] in and out, the output clipped to that range.
    pub model: Arc<Model>,
    /// The same before its output is clipped.
    pub unclipped: Arc<Model>,
    /// How the file itself is fed and read.
    pub found: Found,
    /// What it asks of images.
    pub requirements: ImageRequirements,
    parameters: usize,
    /// Nodes through which only a zero gradient passes; known once an image was fitted.
    pub stopped: Vec<Stop>,
    /// The last feature map before upsampling, as the file says or as its graph shows.
    pub tap: Option<String>,
    /// What of its metadata is contradicted by the file itself, in words.
    ignored: Vec<String>,
    /// Whether images of other sizes run other operators; known once an image was fitted.
    branches_on_size: bool,
    /// A bound on the bytes that attacks take; known once an image was fitted.
    memory: u64,
    /// The gradient graph by which that was bounded: the one of the largest image, which attacks use.
    pub gradient_graph: Option<GradientGraph>,
    /// What images pass before it; `None` for the bare model.
    pub front: Option<Front>,
    /// How images that are too large for a run are cut; known once an image was fitted.
    pub tiles: Option<Tiles>,
}

/// A pre-processing before a model.
#[derive(Clone, Debug)]
pub struct Front {
    /// What it does.
    pub preprocessing: Preprocessing,
    /// What the same model is called without it.
    pub of: String,
}

impl AuditedModel {
    /// Reads the models, in order, and finds how each is fed.
    pub fn read_all(
        paths: &[PathBuf],
        overrides: &Overrides,
        runtimes: &[Arc<dyn Runtime>],
    ) -> Result<Vec<Self>, AuditError> {
        let sources: Vec<Source> =
            paths.iter().map(|path| onnx::read_source(path)).collect::<Result<_, _>>()?;
        let named = paths.iter().zip(short_names(paths)).zip(sources);
        named.map(|((path, name), source)| Self::find(path, name, source, overrides, runtimes)).collect()
    }

    fn find(
        path: &Path,
        name: String,
        source: Source,
        overrides: &Overrides,
        runtimes: &[Arc<dyn Runtime>],
    ) -> Result<Self, AuditError> {
        let sha256 = digest::hex(&source.sha256);
        Self::probed(path.into(), name, &source.model, sha256, overrides, runtimes)
    }

    /// A model from memory.
    ///
    /// # Errors
    /// An interface that is not taken or not found.
    pub fn from_memory(
        model: &Model,
        overrides: &Overrides,
        runtimes: &[Arc<dyn Runtime>],
    ) -> Result<Self, AuditError> {
        let name = if model.graph.name.is_empty() { "model" } else { &model.graph.name };
        let sha256 = digest::of_bytes(&onnx::to_bytes(model));
        Self::probed(PathBuf::from(name), name.to_owned(), model, sha256, overrides, runtimes)
    }

    fn probed(
        path: PathBuf,
        name: String,
        model: &Model,
        sha256: String,
        overrides: &Overrides,
        runtimes: &[Arc<dyn Runtime>],
    ) -> Result<Self, AuditError> {
        let found = discover(model, overrides, runtimes.iter().map(|runtime| &**runtime))
            .map_err(|source| AuditError::Model { path: path.clone(), source })?;
        let canonical = Arc::new(found.interface.canonical(model));
        let shown = || find_tap(&model.graph).map(|found| found.value);
        let claimed = model.metadata.get(TAP);
        let verified = claimed.filter(|tap| on_the_way(&model.graph, tap));
        let mut ignored: Vec<String> = found.ignored.iter().cloned().collect();
        if let Some(claimed) = claimed.filter(|_| verified.is_none()) {
            ignored.push(format!(
                "its metadata `temper.tap` name `{claimed}`, which does not lie between image and output: ignored"
            ));
        }
        Ok(Self {
            name,
            path,
            sha256,
            tap: verified.cloned().or_else(shown),
            ignored,
            branches_on_size: false,
            model: Arc::new(served(&canonical)),
            unclipped: canonical,
            requirements: ImageRequirements::of(&found.interface),
            parameters: model.parameter_count(),
            found,
            stopped: vec![],
            memory: 0,
            gradient_graph: None,
            front: None,
            tiles: None,
        })
    }

    /// Itself, and itself behind each of these.
    pub fn with_fronts(self, fronts: &[Preprocessing]) -> Vec<Self> {
        let behind = |&preprocessing: &Preprocessing| Self {
            name: format!("{} + {preprocessing}", self.name),
            front: Some(Front { preprocessing, of: self.name.clone() }),
            ..self.clone()
        };
        let mut all: Vec<Self> = fronts.iter().map(behind).collect();
        all.insert(0, self);
        all
    }

    /// What a report says of it.
    pub fn info(&self) -> ModelInfo {
        let metadata = self.model.metadata.iter().map(|(key, value)| (key.clone(), embedded(value)));
        let stopped = self.stopped.iter();
        ModelInfo {
            name: self.name.clone(),
            path: self.path.display().to_string(),
            sha256: self.sha256.clone(),
            parameters: self.parameters,
            scale: self.requirements.scale,
            interface: self.interface(),
            memory_bound: self.memory,
            tap: self.tap.clone(),
            opset: self.model.opset(),
            metadata: metadata.collect(),
            metadata_ignored: self.ignored.clone(),
            branches_on_size: self.branches_on_size,
            tiles: self.tiles.map(|tiles| TilesInfo { size: tiles.size, margin: tiles.margin }),
            stopped: stopped
                .map(|stop| StoppedNode { node: stop.node.clone(), reason: stop.reason.into() })
                .collect(),
            preprocess: self.front.as_ref().map(|front| front.preprocessing.info(&front.of)),
        }
    }

    /// Whether an `If` of the graph is settled by the size: whether other sizes than `shape` run other operators.
    fn branches_at(&self, [_, channels, height, width]: [usize; 4]) -> bool {
        let branches = self.model.graph.nodes.iter().any(|node| node.op == "If");
        if !branches || self.requirements.fixed.is_some() {
            return false;
        }
        let multiple = self.requirements.multiple.max(1);
        let operators = |sixteenths: usize| {
            let side = |side: usize| (side * sixteenths / 16).next_multiple_of(multiple).max(multiple);
            let shape = [1, channels, side(height), side(width)];
            let mut graph = specialise(&self.model, &[&shape]).ok()?.graph;
            prune(&mut graph);
            let mut operators: Vec<String> = graph.nodes.into_iter().map(|node| node.op).collect();
            operators.sort_unstable();
            Some(operators)
        };
        let all: Vec<Vec<String>> = [16, 4, 8, 32, 64, 128].into_iter().filter_map(operators).collect();
        all.windows(2).any(|pair| pair[0] != pair[1])
    }

    fn interface(&self) -> InterfaceInfo {
        let Interface { form, geometry, input_range, output_range, constants } = &self.found.interface;
        InterfaceInfo {
            input: form.input.clone(),
            output: form.output.clone(),
            dtype: form.dtype.name().into(),
            layout: form.layout.name().into(),
            output_layout: form.output_layout.name().into(),
            channels: form.channels,
            range: input_range.name().into(),
            output_range: output_range.name().into(),
            margin: geometry.margin,
            fixed: geometry.fixed,
            multiple: geometry.multiple,
            fed: constants.iter().map(|(name, _)| name.clone()).collect(),
            bicubic_agreement: self.found.agreement,
        }
    }
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
