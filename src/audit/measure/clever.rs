//! CLEVER, eq. (15) of Choi et al., ACCV 2020: the largest L1 norm of the gradient of ||S(x) - S(x0)||_2 at
//! points sampled uniformly from the L-infinity ball of radius 1/255 around x0. A larger one means a more
//! vulnerable model.
//!
//! A sampled maximum estimates the local Lipschitz constant from below; it bounds nothing. Beside it, the
//! right end of the reverse Weibull distribution that such maxima tend to (Weng et al., ICLR 2018), with how
//! well that fits.

use ndarray::{Array4, ArrayView3, ArrayView4, Axis, concatenate};
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
use crate::oracle::{Objective, Oracle, OracleError};
use crate::report::{Clever, Extreme, NonFinite, number};

/// Radius of the L-infinity ball that points are sampled from, on [0, 1].
const RADIUS: f32 = 1.0 / 255.0;
/// Samples of which each maximum is taken, for the extreme value.
const PER_MAXIMUM: usize = 32;

/// What was found at one image, as the store keeps it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Found {
    #[serde(with = "number")]
    index: f64,
    extreme: Option<Extreme>,
    non_finite: Option<NonFinite>,
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
        let Found { index: largest, extreme, non_finite } =
            context.store.remember(&key, || measured(context, index, crafter, samples, watch))?;
        rows.push(Clever {
            model: context.name().to_owned(),
            image: context.image(index).name.clone(),
            runtime: context.runtime(crafter).name(),
            samples,
            index: largest,
            extreme,
            non_finite,
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
        let Self { x0, samples, batch, .. } = *self;
        let (mut norms, mut non_finite) = (Vec::with_capacity(samples), None);
        let mut drawn = 0;
        while drawn < samples {
            let count = batch.clamp(1, samples - drawn);
            drawn += count;
            // Drawn in the order of the axes, however x0 lies in memory: `pytorch_attacks.py` draws the same.
            let mut offset =
                || Array4::from_shape_simple_fn(x0.raw_dim(), || rng.random_range(-RADIUS..=RADIUS));
            let points: Vec<Array4<f32>> = (0..count).map(|_| &self.x0 + &offset()).collect();
            match self.norms(oracle, &points) {
                Ok(found) => norms.extend(found),
                Err(OracleError::NotFinite { .. }) => {
                    for point in &points {
                        match self.norms(oracle, std::slice::from_ref(point)) {
                            Ok(found) => norms.extend(found),
                            // An output is worse than a gradient, whichever came first.
                            Err(error) => match not_finite(error)? {
                                NonFinite::Output => non_finite = Some(NonFinite::Output),
                                gradient => drop(non_finite.get_or_insert(gradient)),
                            },
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
            (0..count).try_for_each(|_| on_step())?;
        }
        let maxima: Vec<f64> = norms.chunks_exact(PER_MAXIMUM).map(largest).collect();
        let index = if norms.is_empty() { f64::NAN } else { largest(&norms) };
        Ok(Found { index, extreme: ReverseWeibull::fit(&maxima).map(extreme), non_finite })
    }

    /// The L1 norms of the gradients at points that go through the model together.
    fn norms(&self, oracle: &mut Oracle, points: &[Array4<f32>]) -> Result<Vec<f64>, OracleError> {
        let stacked =
            |images: &[ArrayView4<'_, f32>]| concatenate(Axis(0), images).expect("images of one shape stack");
        let x = stacked(&points.iter().map(|point| point.view()).collect::<Vec<_>>());
        let target = stacked(&vec![self.clean; points.len()]);
        let (_, gradients) = oracle.value_and_gradient(x.view(), target.view())?;
        let norm = |gradient: ArrayView3<'_, f32>| gradient.iter().map(|value| f64::from(value.abs())).sum();
        Ok(gradients.outer_iter().map(norm).collect())
    }
}

/// What was not finite; any other error is handed on.
fn not_finite(error: OracleError) -> Result<NonFinite, OracleError> {
    match error {
        OracleError::NotFinite { what: "gradient", .. } => Ok(NonFinite::Gradient),
        OracleError::NotFinite { .. } => Ok(NonFinite::Output),
        error => Err(error),
    }
}

fn largest(norms: &[f64]) -> f64 {
    norms.iter().copied().fold(0.0, f64::max)
}

fn extreme(fit: ReverseWeibull) -> Extreme {
    let ReverseWeibull { bound, scale, shape, distance, p_value } = fit;
    Extreme { bound, scale, shape, distance, p_value }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;

    use super::*;
    use crate::onnx::{DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};
    use crate::runtime::{self, Kind};

    /// log(x - edge), which is none below the edge.
    fn logarithm(edge: f32) -> Model {
        let mut graph = GraphBuilder::new("logarithm");
        let shape = || [1, 1, 2, 2].map(Dim::Known);
        let image = graph.input(ValueInfo::tensor("image", DType::F32, shape()));
        let edge = graph.initializer("edge", Tensor::scalar(edge));
        let above = graph.node("Sub", "above", &[&image, &edge], []);
        let output = graph.node("Log", "output", &[&above], []);
        graph.output(ValueInfo::tensor(output, DType::F32, shape()));
        Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Model::default()
        }
    }

    #[test]
    fn points_without_a_finite_output_are_told_and_the_others_count() {
        let x0 = Array4::from_elem((1, 1, 2, 2), 0.5);
        let model = Arc::new(logarithm(0.5 - 0.5 * RADIUS));
        let mut oracle =
            Oracle::new(Arc::from(runtime::open(Kind::TRACT).unwrap()), model, Objective::Distance);
        let clean = oracle.forward(x0.view()).unwrap();
        for batch in [1, 3] {
            let points = Points { x0: x0.view(), clean: clean.view(), samples: 40, batch };
            let mut steps = 0;
            let mut on_step = || {
                steps += 1;
                Ok(())
            };
            let found = points
                .largest_gradient(&mut oracle, &mut ChaCha8Rng::seed_from_u64(0), &mut on_step)
                .unwrap();
            assert_eq!((found.non_finite, steps), (Some(NonFinite::Output), 40));
            assert!(found.index > 0.0 && found.index.is_finite(), "{}", found.index);
        }
    }
}
