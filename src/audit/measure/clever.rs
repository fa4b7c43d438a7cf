//! CLEVER, eq. (15) of Choi et al., ACCV 2020: the largest L1 norm of the gradient of ||S(x) - S(x0)||_2 at
//! points sampled uniformly from the L-infinity ball of radius 1/255 around x0. A larger one means a more
//! vulnerable model.
//!
//! A sampled maximum estimates the local Lipschitz constant from below; it bounds nothing. Beside it, the
//! right end of the reverse Weibull distribution that such maxima tend to (Weng et al., ICLR 2018), with how
//! well that fits.

use ndarray::{Array4, ArrayView4, Axis, concatenate};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, AttackError, Budget, OnStep, seeded};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{Crafter, ImageIndex};
use crate::audit::store::Key;
use crate::audit::watch::Watch;
use crate::metric::ReverseWeibull;
use crate::oracle::{Objective, Oracle};
use crate::report::{Clever, Extreme};

/// Radius of the L-infinity ball that points are sampled from, on [0, 1].
const RADIUS: f32 = 1.0 / 255.0;
/// Samples of which each maximum is taken, for the extreme value.
const PER_MAXIMUM: usize = 32;

/// What was found at one image, as the store keeps it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Found {
    index: f64,
    extreme: Option<Extreme>,
}

/// Takes CLEVER at an image with every gradient that is trusted.
///
/// # Errors
/// A runtime that fails, and an interruption.
pub fn clever(
    context: &mut Context<'_>,
    index: ImageIndex,
    samples: usize,
    watch: &mut dyn Watch,
) -> Result<Vec<Clever>, AuditError> {
    let mut rows = Vec::new();
    for crafter in samplers(context) {
        let key = key(context, index, crafter, samples);
        let Found { index: largest, extreme } =
            context.store.remember(&key, || measured(context, index, crafter, samples, watch))?;
        rows.push(Clever {
            model: context.name().to_owned(),
            image: context.image(index).name.clone(),
            runtime: context.runtime(crafter).name(),
            samples,
            index: largest,
            extreme,
        });
    }
    Ok(rows)
}

/// The runtimes that CLEVER is taken on. None behind a pre-processing: it would be that of the bare model, or
/// of no derivative.
pub fn samplers(context: &Context<'_>) -> Vec<Crafter> {
    if context.model.front.is_some() { vec![] } else { context.trusted_crafters() }
}

/// The key of CLEVER at an image.
pub fn key(context: &Context<'_>, index: ImageIndex, crafter: Crafter, samples: usize) -> Key {
    let parts = (samples, context.settings.strength.batch, context.settings.seed);
    context.key("clever", crafter, index, &parts)
}

fn measured(
    context: &mut Context<'_>,
    index: ImageIndex,
    crafter: Crafter,
    samples: usize,
    watch: &mut dyn Watch,
) -> Result<Found, AuditError> {
    let (name, image) = (context.name(), context.image(index));
    let clean = context.clean_output(crafter, index)?;
    let mut rng = seeded(context.settings.seed, &image.name, Attack::RANDOM, Budget::default());
    let batch = context.settings.strength.batch;
    let oracle = context.oracle(crafter);
    oracle.set_objective(&Objective::Distance);
    let points = Points { x0: image.x.view(), clean: clean.view(), samples, batch };
    points
        .largest_gradient(oracle, &mut rng, &mut || watch.stepped())
        .map_err(|error| AuditError::attack(name, &image.name, error))
}

/// Points around an image at which gradients are taken.
struct Points<'a> {
    x0: ArrayView4<'a, f32>,
    clean: ArrayView4<'a, f32>,
    samples: usize,
    /// Points that go through the model at once.
    batch: usize,
}

impl Points<'_> {
    fn largest_gradient(
        &self,
        oracle: &mut Oracle,
        rng: &mut ChaCha8Rng,
        on_step: &mut OnStep<'_>,
    ) -> Result<Found, AttackError> {
        let Self { x0, clean, samples, batch } = *self;
        let mut norms = Vec::with_capacity(samples);
        while norms.len() < samples {
            let count = batch.clamp(1, samples - norms.len());
            // Drawn in the order of the axes, however x0 lies in memory: `pytorch_attacks.py` draws the same.
            let mut offset =
                || Array4::from_shape_simple_fn(x0.raw_dim(), || rng.random_range(-RADIUS..=RADIUS));
            let points: Vec<Array4<f32>> = (0..count).map(|_| &self.x0 + &offset()).collect();
            let stacked = |images: Vec<ArrayView4<'_, f32>>| {
                concatenate(Axis(0), &images).expect("images of one shape stack")
            };
            let x = stacked(points.iter().map(|point| point.view()).collect());
            let target = stacked(vec![clean; count]);
            let (_, gradients) = oracle.value_and_gradient(x.view(), target.view())?;
            for gradient in gradients.outer_iter() {
                norms.push(gradient.iter().map(|value| f64::from(value.abs())).sum());
                on_step()?;
            }
        }
        let largest = |norms: &[f64]| norms.iter().copied().fold(0.0, f64::max);
        let maxima: Vec<f64> = norms.chunks_exact(PER_MAXIMUM).map(largest).collect();
        Ok(Found { index: largest(&norms), extreme: ReverseWeibull::fit(&maxima).map(extreme) })
    }
}

fn extreme(fit: ReverseWeibull) -> Extreme {
    let ReverseWeibull { bound, scale, shape, distance, p_value } = fit;
    Extreme { bound, scale, shape, distance, p_value }
}
