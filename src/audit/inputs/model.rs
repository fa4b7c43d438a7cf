//! The models under audit: read, checked and named so that no two share a name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::AuditError;
use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::memory::{bound, bound_forward};
use crate::audit::inputs::requirements::ImageRequirements;
use crate::audit::preprocess::Preprocessing;
use crate::digest;
use crate::interface::{Found, Interface, Overrides, discover, find_tap, on_the_way, served};
use crate::onnx::{self, Dim, Model, Problem, Source};
use crate::oracle::{GradientGraph, Objective};
use crate::report::{InterfaceInfo, ModelInfo, StoppedNode, embedded};
use crate::rewrite::{Stop, promote, prune, specialise};
use crate::runtime::Runtime;

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
        let shown = || find_tap(&model.graph).map(|(tap, _)| tap);
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

    /// Checks that the model takes every image, and that attacks on the largest, `batch` at a time and on
    /// so many runtimes, fit into `memory` bytes.
    pub fn admit(
        &mut self,
        images: &[AuditImage],
        memory: Option<u64>,
        batch: usize,
        runtimes: usize,
    ) -> Result<(), AuditError> {
        let mut seen = HashSet::new();
        for image in images.iter().filter(|image| seen.insert(image.shape())) {
            self.check_size(image)?;
        }
        self.branches_on_size = images.first().is_some_and(|image| self.branches_at(image.shape()));
        let Some(largest) = images.iter().max_by_key(|image| image.x.len()) else { return Ok(()) };
        let [_, channels, height, width] = largest.shape();
        let shape = [batch, channels, height, width];
        // A model that cannot be differentiated here may be where a runtime does it by itself. Whether
        // there is a gradient is for the self-test to find.
        let Ok((step, stopped)) = GradientGraph::build(&self.model, &Objective::Distance, &shape) else {
            return Ok(());
        };
        self.stopped = stopped;
        let needed = self.needed(&step.model, shape, runtimes).unwrap_or(0);
        self.gradient_graph = Some(step);
        self.memory = needed;
        match memory.filter(|memory| needed > *memory) {
            Some(memory) => Err(AuditError::TooLarge {
                path: largest.path.clone(),
                model: self.name.clone(),
                size: [height, width],
                needed,
                memory,
                fitting: self.fitting(shape, runtimes, memory),
            }),
            None => Ok(()),
        }
    }

    /// A bound on the bytes that a forward run at this shape takes; none for a shape that the model does not take.
    pub fn forward_bytes(&self, shape: &[usize]) -> Option<u64> {
        let forward = promote(&specialise(&self.model, &[shape]).ok()?).0;
        bound_forward(&forward).ok()
    }

    /// A bound on the bytes that attacks at this shape take, with the gradient model for it.
    fn needed(&self, step: &Model, shape: [usize; 4], runtimes: usize) -> Option<u64> {
        let forward = specialise(&self.model, &[&shape]).ok()?;
        bound(&promote(&forward).0, step, runtimes).ok()
    }

    /// The longest side at which attacks fit into `memory`, found by halving: what runtimes take for themselves does
    /// not shrink with the image. None where the smallest does not fit.
    fn fitting(
        &self,
        [batch, channels, height, width]: [usize; 4],
        runtimes: usize,
        memory: u64,
    ) -> Option<usize> {
        let multiple = self.found.interface.geometry.multiple;
        let fits = |side: usize| {
            let shape = [batch, channels, height.min(side), width.min(side)];
            let (step, _) = GradientGraph::build(&self.model, &Objective::Distance, &shape).ok()?;
            self.needed(&step.model, shape, runtimes).filter(|needed| *needed <= memory)
        };
        let (mut least, mut most) = (0, height.max(width) / multiple);
        while least + 1 < most {
            let middle = usize::midpoint(least, most);
            *(if fits(middle * multiple).is_some() { &mut least } else { &mut most }) = middle;
        }
        (least > 0).then_some(least * multiple)
    }

    /// Whether the model takes an image of this size, and upscales it as it does others.
    fn check_size(&self, image: &AuditImage) -> Result<(), AuditError> {
        let [_, channels, height, width] = image.shape();
        let [rows, columns] = self.found.interface.geometry.output([height, width]);
        let found = specialise(&self.model, &[&image.shape()]).and_then(|fixed| {
            let output = &fixed.graph.outputs[0];
            let dims = output.dims().map_or(&[][..], |(_, dims)| dims);
            if dims == [1, channels, rows, columns].map(Dim::Known) {
                return Ok(());
            }
            let shown: Vec<String> = dims.iter().map(ToString::to_string).collect();
            let what = format!("is [{}] here, not {rows}x{columns} as for others", shown.join(", "));
            Err(Problem::new(format!("output `{}`", output.name), what).into())
        });
        found.map_err(|source| AuditError::Unfit {
            path: image.path.clone(),
            model: self.name.clone(),
            size: [height, width],
            source: Box::new(source),
        })
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
