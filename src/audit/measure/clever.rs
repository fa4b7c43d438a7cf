//! CLEVER, eq. (15) of Choi et al., ACCV 2020: the largest L1 norm of the gradient of ||S(x) - S(x0)||_2 at
//! points drawn uniformly from the L-infinity ball of radius 1/255 around x0. By Hoelder's inequality the norm's
//! maximum over the ball is the local Lipschitz constant of that distance with respect to L-infinity
//! perturbations; a larger one means a more vulnerable model.
//!
//! A maximum over samples estimates that constant from below; it bounds nothing, and a sharp slope between
//! the samples stays unseen. Beside it, the location of the reverse Weibull distribution fitted to maxima of
//! blocks of samples (Weng et al., ICLR 2018), an extrapolation, with how well it fits.

use ndarray::{Array4, ArrayView4, Axis, concatenate};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::attack::{Attack, AttackError, Budget, OnStep, seeded};
use crate::audit::AuditError;
use crate::audit::context::Audit;
use crate::audit::run::Watch;
use crate::audit::store::Key;
use crate::metric::ReverseWeibull;
use crate::oracle::{Objective, Oracle};
use crate::report::{Clever, Extreme};

/// The radius of the ball that points are drawn from, on [0, 1].
const AWAY: f32 = 1.0 / 255.0;
/// Samples of which each maximum is taken, for the extreme value.
const PER_MAXIMUM: usize = 32;

/// What was found at one image.
#[derive(Clone, Copy, Debug)]
struct Found {
    index: f64,
    extreme: Option<ReverseWeibull>,
}

/// CLEVER at `x0`, from `samples` gradients, `batch` of them at a time; `clean` is S(x0).
fn clever(
    oracle: &mut Oracle,
    (x0, clean): (ArrayView4<'_, f32>, ArrayView4<'_, f32>),
    (samples, batch): (usize, usize),
    rng: &mut ChaCha8Rng,
    on_step: &mut OnStep<'_>,
) -> Result<Found, AttackError> {
    let mut norms = Vec::with_capacity(samples);
    while norms.len() < samples {
        let count = batch.clamp(1, samples - norms.len());
        // Drawn in the order of the axes, however x0 lies in memory: `pytorch_attacks.py` draws the same.
        let mut away = || Array4::from_shape_simple_fn(x0.raw_dim(), || rng.random_range(-AWAY..=AWAY));
        let points: Vec<Array4<f32>> = (0..count).map(|_| &x0 + &away()).collect();
        let stacked = |images: Vec<ArrayView4<'_, f32>>| {
            concatenate(Axis(0), &images).unwrap_or_else(|_| images[0].to_owned())
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
    Ok(Found { index: largest(&norms), extreme: ReverseWeibull::fit(&maxima) })
}

impl Audit<'_> {
    /// Takes CLEVER with every gradient that is trusted, where it was asked for.
    pub fn take_clever(&mut self, scene: usize, watch: &mut dyn Watch) -> Result<(), AuditError> {
        let Some(samples) = self.plan.clever else { return Ok(()) };
        for index in self.samplers() {
            let key = self.clever_key(scene, index, samples);
            let clever: Clever =
                self.store.remember(&key, || self.clever_at(scene, index, samples, watch))?;
            self.clever.push(Clever { model: self.subject.name.clone(), ..clever });
        }
        Ok(())
    }

    fn clever_at(
        &mut self,
        scene: usize,
        index: usize,
        samples: usize,
        watch: &mut dyn Watch,
    ) -> Result<Clever, AuditError> {
        let photo = self.scenes[scene].photo;
        let clean = self.clean_output(scene, index)?;
        let oracle = &mut self.oracles[index];
        oracle.pursue(&Objective::Distance);
        let mut rng = seeded(self.plan.seed, &photo.name, Attack::RANDOM, Budget::default());
        let batch = self.plan.settings.batch;
        let at = (photo.x.view(), clean.view());
        let found = clever(oracle, at, (samples, batch), &mut rng, &mut || watch.stepped())
            .map_err(|error| AuditError::attack(&self.subject.name, &photo.name, error))?;
        let extreme = |fit: ReverseWeibull| {
            let ReverseWeibull { bound, scale, shape, distance, p_value } = fit;
            Extreme { bound, scale, shape, distance, p_value }
        };
        Ok(Clever {
            model: String::new(),
            image: photo.name.clone(),
            runtime: oracle.kind().to_string(),
            samples,
            index: found.index,
            extreme: found.extreme.map(extreme),
        })
    }

    /// The key of CLEVER at an image.
    pub fn clever_key(&self, scene: usize, index: usize, samples: usize) -> Key {
        let place = (&self.model_id, &self.runtime_ids[index], &self.scenes[scene].id);
        self.store.key("clever", &(place, samples, self.plan.settings.batch, self.plan.seed))
    }

    /// The oracles that CLEVER is taken on.
    pub fn samplers(&self) -> Vec<usize> {
        if self.subject.front.is_some() {
            return vec![]; // it would be that of the bare model, or of no derivative
        }
        let trusted = |index: &usize| self.checks.get(*index).is_some_and(|check| check.trusted);
        self.crafters.iter().copied().filter(trusted).collect()
    }
}
