//! Whether a model takes its images, in the memory there is: whole, or in tiles.

use std::collections::HashSet;
use std::sync::Arc;

use super::AuditedModel;
use crate::audit::AuditError;
use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::memory::{bound, bound_forward};
use crate::audit::inputs::tiles;
use crate::onnx::{Dim, Model, Problem};
use crate::oracle::{GradientGraph, Objective, Oracle, Tiles};
use crate::rewrite::{promote, specialise};
use crate::runtime::Runtime;

/// What a model is to make do with.
pub struct Means<'a> {
    /// The most bytes that attacks may take; unbounded where `None`.
    pub memory: Option<u64>,
    /// Images that go through at once.
    pub batch: usize,
    /// Those that run it.
    pub runtimes: &'a [Arc<dyn Runtime>],
    /// Side of the tiles that were asked for, in LR pixels.
    pub tile: Option<usize>,
    /// Whether what attacks maximise is made of parts of the output.
    pub in_parts: bool,
}

impl AuditedModel {
    /// Checks that the model takes every image, and that attacks on the largest fit into memory: whole, or in tiles
    /// where they were asked for or nothing else fits.
    ///
    /// # Errors
    /// An image of another size than the model takes, too little memory, a model that looks too far for tiles.
    pub fn admit(&mut self, images: &[AuditImage], means: &Means<'_>) -> Result<(), AuditError> {
        let mut seen = HashSet::new();
        for image in images.iter().filter(|image| seen.insert(image.shape())) {
            self.check_size(image)?;
        }
        self.branches_on_size = images.first().is_some_and(|image| self.branches_at(image.shape()));
        let Some(largest) = images.iter().max_by_key(|image| image.x.len()) else { return Ok(()) };
        if let Some(side) = means.tile.filter(|_| !means.runtimes.is_empty()) {
            self.tiles = self.tiles_of(side, largest, &means.runtimes[0])?;
        }
        let Err(refusal) = self.fit(largest, means) else { return Ok(()) };
        let Some(side) = self.side_of_tiles(largest, means) else { return Err(refusal) };
        // A model that looks too far for tiles gets the answer that it would get without.
        self.tiles = self.tiles_of(side, largest, &means.runtimes[0]).map_err(|_| refusal)?;
        self.fit(largest, means)
    }

    fn tiles_of(
        &self,
        side: usize,
        largest: &AuditImage,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Option<Tiles>, AuditError> {
        let mut oracle = Oracle::new(Arc::clone(runtime), Arc::clone(&self.model), Objective::Distance);
        tiles::tiles(&self.name, &self.found.interface.geometry, &mut oracle, side, largest)
    }

    /// The side of the tiles that memory allows for, where it may ask for tiles.
    fn side_of_tiles(&self, largest: &AuditImage, means: &Means<'_>) -> Option<usize> {
        let cut = means.tile.is_none()
            && !means.runtimes.is_empty()
            && means.in_parts
            && self.found.interface.geometry.fixed.is_none();
        let memory = means.memory.filter(|_| cut)?;
        let left =
            memory.checked_sub(tiles::held_whole(&self.found.interface.geometry, largest, means.batch))?;
        let [_, channels, height, width] = largest.shape();
        let side = self.fitting([means.batch, channels, height, width], means.runtimes.len(), left)?;
        (side >= tiles::SHORTEST).then_some(side)
    }

    /// Builds the gradient graph for the largest image, or its tiles, and checks that it fits into memory.
    fn fit(&mut self, largest: &AuditImage, means: &Means<'_>) -> Result<(), AuditError> {
        let [_, channels, height, width] = largest.shape();
        let whole = [height, width];
        let [rows, columns] = match self.tiles {
            Some(tiles) => std::array::from_fn(|axis| whole[axis].min(tiles.size[axis])),
            None => whole,
        };
        let shape = [means.batch, channels, rows, columns];
        // A model that cannot be differentiated here may be where a runtime does it by itself. Whether
        // there is a gradient is for the gradient check to find.
        let Ok((step, stopped)) = GradientGraph::build(&self.model, &Objective::Distance, &shape) else {
            return Ok(());
        };
        self.stopped = stopped;
        let runtimes = means.runtimes.len();
        let held =
            self.tiles.map_or(0, |_| tiles::held_whole(&self.found.interface.geometry, largest, means.batch));
        let needed = self.needed(&step.model, shape, runtimes).unwrap_or(0).saturating_add(held);
        self.gradient_graph = Some(step);
        self.memory = needed;
        let Some(memory) = means.memory.filter(|memory| needed > *memory) else { return Ok(()) };
        Err(AuditError::TooLarge {
            path: largest.path.clone(),
            model: self.name.clone(),
            size: whole,
            needed,
            memory,
            fitting: self.fitting(shape, runtimes, memory),
        })
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
}
