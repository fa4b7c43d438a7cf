//! What all measures of one model share: the model, its oracles on every runtime, the images with the
//! model's clean outputs, and the store of results. Deliberately absent: what is measured, and in which order.

use std::sync::Arc;

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use crate::attack::{self, Attack, AttackKind};
use crate::audit::AuditError;
use crate::audit::index::{Crafter, ImageIndex, Judge, RuntimeIndex};
use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::model::AuditedModel;
use crate::audit::plan::Settings;
use crate::audit::preprocess::{drawn, judging_draws};
use crate::audit::store::{Key, Store};
use crate::digest;
use crate::onnx;
use crate::oracle::{Effort, Objective, Oracle};
use crate::report::GradientCheck;
use crate::runtime::Runtime;

/// The shared context of one model's measures.
pub struct Context<'a> {
    /// What is asked.
    pub settings: &'a Settings,
    /// How hard each attack tries, in the time there is.
    pub strength: attack::Settings,
    /// The model.
    pub model: &'a AuditedModel,
    /// What was worked out before.
    pub store: &'a Store,
    /// The runtimes; all of them judge.
    pub runtimes: Vec<RuntimeContext>,
    /// Those that attacks are crafted on.
    pub crafters: Vec<Crafter>,
    /// The images that are attacked.
    pub images: Vec<ImageContext<'a>>,
    /// All images, those of other shards too: what is decided once for an audit is decided by these.
    pub all_images: &'a [AuditImage],
    /// The hash of the model as it is attacked, with what images pass before it.
    pub model_id: String,
}

/// One model on one runtime.
pub struct RuntimeContext {
    /// Answers with outputs as they are served, clipped to [0, 1], and gradients.
    pub oracle: Oracle,
    /// The runtime's name and version.
    pub id: String,
    /// The findings of the gradient check, where it was made.
    pub check: Option<GradientCheck>,
    /// How fast it is, where that was measured.
    pub pace: Option<Pace>,
}

/// One image, with the model's outputs for it as far as somebody asked for them.
pub struct ImageContext<'a> {
    /// The image.
    pub image: &'a AuditImage,
    /// The hash of all that the image brings: its name, which seeds random numbers, its pixels and those of
    /// its ground truth.
    pub id: String,
    /// S(x0) on every runtime.
    clean: Vec<Option<Array4<f32>>>,
}

/// How fast a runtime is, in seconds per image.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// A forward run.
    pub forward: f64,
    /// A gradient step.
    pub gradient: f64,
}

impl Pace {
    /// From what was done between two readings: a gradient step does the work of two forward runs.
    pub fn of(before: Effort, after: Effort) -> Self {
        let runs = (after.forwards - before.forwards) + 2 * (after.gradients - before.gradients);
        let forward = (after.inside - before.inside).as_secs_f64() / runs.max(1) as f64;
        Self { forward, gradient: 2.0 * forward }
    }
}

impl RuntimeContext {
    fn new(runtime: &Arc<dyn Runtime>, model: &AuditedModel) -> Self {
        let bare = Oracle::new(Arc::clone(runtime), Arc::clone(&model.model), Objective::Distance)
            .clipping(Arc::clone(&model.unclipped))
            .with_gradient_graph(model.gradient_graph.clone())
            .in_tiles(model.tiles);
        let oracle = match &model.front {
            Some(front) => bare.behind(Arc::new(front.preprocessing)),
            None => bare,
        };
        let id = format!("{} {}", runtime.kind(), runtime.version());
        Self { oracle, id, check: None, pace: None }
    }

    /// The runtime's name, as reports give it.
    pub fn name(&self) -> String {
        self.oracle.kind().to_string()
    }

    /// Whether an attack may use its gradient.
    pub fn is_trusted(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.trusted)
    }
}

impl<'a> Context<'a> {
    /// A context in which nothing was measured yet; the shard of the settings is taken of the images.
    pub fn new(
        settings: &'a Settings,
        model: &'a AuditedModel,
        all_images: &'a [AuditImage],
        runtimes: &[Arc<dyn Runtime>],
        store: &'a Store,
    ) -> Self {
        let held = |place: usize| settings.shard.is_none_or(|shard| shard.holds(place));
        let images = all_images.iter().enumerate().filter(|(place, _)| held(*place));
        let images = images.map(|(_, image)| ImageContext {
            image,
            id: image.identity(),
            clean: vec![None; runtimes.len()],
        });
        let front = model.front.as_ref().map_or(String::new(), |front| front.preprocessing.to_string());
        let tiles = model.tiles.map_or(String::new(), |tiles| format!("{tiles:?}"));
        Self {
            settings,
            strength: settings.strength.clone(),
            model,
            store,
            runtimes: runtimes.iter().map(|runtime| RuntimeContext::new(runtime, model)).collect(),
            crafters: (0..runtimes.len()).map(|index| Crafter(RuntimeIndex(index))).collect(),
            images: images.collect(),
            all_images,
            model_id: digest::of_bytes(
                &[&onnx::to_bytes(&model.model), front.as_bytes(), tiles.as_bytes()].concat(),
            ),
        }
    }

    /// What reports call the model.
    pub fn name(&self) -> &'a str {
        &self.model.name
    }

    /// An image.
    pub fn image(&self, index: ImageIndex) -> &'a AuditImage {
        self.images[index.0].image
    }

    /// The places of all images.
    pub fn image_indices(&self) -> impl Iterator<Item = ImageIndex> + use<> {
        (0..self.images.len()).map(ImageIndex)
    }

    /// A runtime.
    pub fn runtime(&self, index: impl Into<RuntimeIndex>) -> &RuntimeContext {
        &self.runtimes[index.into().0]
    }

    /// The oracle of a runtime.
    pub fn oracle(&mut self, index: impl Into<RuntimeIndex>) -> &mut Oracle {
        &mut self.runtimes[index.into().0].oracle
    }

    /// The runtimes that judge: all.
    pub fn judges(&self) -> impl Iterator<Item = Judge> + use<> {
        (0..self.runtimes.len()).map(|index| Judge(RuntimeIndex(index)))
    }

    /// The crafters whose gradients passed the check.
    pub fn trusted_crafters(&self) -> Vec<Crafter> {
        self.crafters.iter().copied().filter(|&crafter| self.runtime(crafter).is_trusted()).collect()
    }

    /// The attacks that are made on a runtime: where its gradient is not trusted, those whose numbers count
    /// without it, `square` or an ensemble among them.
    pub fn attacks(&self, crafter: Crafter) -> Vec<Attack> {
        if self.runtime(crafter).check.as_ref().is_none_or(|check| check.trusted) {
            return self.settings.attacks.clone();
        }
        let without =
            self.settings.attacks.iter().copied().filter(|attack| attack.kind().stands_without_gradient());
        let mut without: Vec<Attack> = without.collect();
        if without.iter().all(|attack| attack.kind() == AttackKind::Baseline) {
            without.insert(0, Attack::SQUARE);
        }
        without
    }

    /// The key of a result that the model, a runtime, an image and `parts` decide.
    pub fn key(
        &self,
        kind: &str,
        runtime: impl Into<RuntimeIndex>,
        image: ImageIndex,
        parts: &impl Serialize,
    ) -> Key {
        let place = (&self.model_id, &self.runtime(runtime).id, &self.images[image.0].id);
        self.store.key(kind, &(place, parts))
    }

    /// The model's output for any image `x` in the place of `image`: a batch of one output per draw of a
    /// random pre-processing, at draws that no attack has seen.
    ///
    /// # Errors
    /// Those of the oracle, with the model and the image.
    pub fn output(
        &mut self,
        index: impl Into<RuntimeIndex>,
        image: &AuditImage,
        x: &Array4<f32>,
    ) -> Result<Array4<f32>, AuditError> {
        let draws = judging_draws(self.settings.seed, &image.name);
        let output = drawn(self.oracle(index), x.view(), draws);
        output.map_err(|error| AuditError::oracle(self.name(), &image.name, error))
    }

    /// S(x0) on a runtime, worked out when it is first asked for.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub fn clean_output(
        &mut self,
        index: impl Into<RuntimeIndex>,
        image: ImageIndex,
    ) -> Result<Array4<f32>, AuditError> {
        let index = index.into();
        if let Some(known) = &self.images[image.0].clean[index.0] {
            return Ok(known.clone());
        }
        let of = self.image(image);
        let output = self.output(index, of, &of.x)?;
        self.images[image.0].clean[index.0] = Some(output.clone());
        Ok(output)
    }

    /// Drops the clean outputs of an image.
    pub fn forget_outputs(&mut self, image: ImageIndex) {
        self.images[image.0].clean.fill(None);
    }

    /// Gives back what it holds of runtimes and outputs.
    pub fn release(&mut self) {
        self.runtimes.iter_mut().for_each(|runtime| runtime.oracle.release_sessions());
        self.image_indices().for_each(|image| self.forget_outputs(image));
    }
}
