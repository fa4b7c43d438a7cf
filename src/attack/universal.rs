//! Universal perturbations (Moosavi-Dezfooli et al., CVPR 2017): one perturbation for many images of
//! one size, found on some and judged on others by whoever ordered it.
//!
//! PGD on the sum over images, each image's gradient brought to length 1 so that none drowns the
//! others. What is found is a perturbation, not an image: on an image it is added and projected into
//! that image's ball, so that budgets hold on every one. In L2 that ball is the image's own too.

use ndarray::{Array4, Axis};
use rand_chacha::ChaCha8Rng;

use super::ball::Ball;
use super::goal::{Goal, stacked};
use super::landscape::Landscape;
use super::points::near;
use super::settings::Settings;
use super::template::{AttackError, OnStep};
use crate::oracle::OracleError;

/// How many budgets the steps add up to.
const REACH: f64 = 2.5;

/// A perturbation for any image of its size.
#[derive(Clone, Debug)]
pub struct Universal {
    /// What is added to an image, on [0, 1].
    pub perturbation: Array4<f32>,
    /// The mean objective over the images it was made on, before each step.
    pub values: Vec<f64>,
}

impl Universal {
    /// The image in the middle of a ball, perturbed.
    pub fn on(&self, ball: &Ball) -> Array4<f32> {
        let mut image = &ball.centre() + &self.perturbation;
        ball.project(&mut image);
        image
    }

    /// Finds one that raises the objective of all goals, which have one size and budget; the best in
    /// the mean is kept, or the first with a value that is not finite: none is worse, and none can be climbed from
    /// there. A mask is that of the first goal.
    ///
    /// # Errors
    /// What the landscape refuses, and an interruption.
    pub fn find(
        landscape: &mut dyn Landscape,
        goals: &[&Goal],
        settings: &Settings,
        rng: &mut ChaCha8Rng,
        on_step: &mut OnStep<'_>,
    ) -> Result<Self, AttackError> {
        let Some(first) = goals.first() else {
            return Ok(Self { perturbation: Array4::zeros([0; 4]), values: vec![] });
        };
        let ball = &first.ball;
        let step = (REACH * ball.level() / settings.iterations.max(1) as f64) as f32;
        let mut found =
            Self { perturbation: near(ball, ball.level() as f32, rng) - ball.centre(), values: vec![] };
        let mut best: Option<(f64, Array4<f32>)> = None;
        for _ in 0..settings.iterations {
            let (value, slope) = match found.slope(landscape, goals, settings, on_step) {
                Err(AttackError::Oracle(OracleError::NotFinite { .. })) => return Ok(found),
                slope => slope?,
            };
            found.values.push(value);
            if best.as_ref().is_none_or(|(best, _)| value > *best) {
                best = Some((value, found.perturbation.clone()));
            }
            found.perturbation.scaled_add(step, &ball.direction(&slope));
            found.shorten(ball);
        }
        let mut last = 0.0;
        for group in goals.chunks(settings.batch.max(1)) {
            let images: Vec<Array4<f32>> = group.iter().map(|goal| found.on(&goal.ball)).collect();
            last += match landscape.values(stacked(images.iter()).view(), group) {
                Err(OracleError::NotFinite { .. }) => return Ok(found),
                values => values?.iter().sum::<f64>(),
            };
        }
        if let Some((_, kept)) = best.filter(|(value, _)| *value > last / goals.len() as f64) {
            found.perturbation = kept;
        }
        Ok(found)
    }

    /// The mean objective and the sum of unit gradients.
    fn slope(
        &self,
        landscape: &mut dyn Landscape,
        goals: &[&Goal],
        settings: &Settings,
        on_step: &mut OnStep<'_>,
    ) -> Result<(f64, Array4<f32>), AttackError> {
        let (mut sum, mut slope) = (0.0, Array4::zeros(self.perturbation.raw_dim()));
        for group in goals.chunks(settings.batch.max(1)) {
            let images: Vec<Array4<f32>> = group.iter().map(|goal| self.on(&goal.ball)).collect();
            let (values, gradients) = landscape.value_and_gradient(stacked(images.iter()).view(), group)?;
            sum += values.iter().sum::<f64>();
            for gradient in gradients.axis_chunks_iter(Axis(0), 1) {
                let length = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
                if length > 0.0 {
                    slope.scaled_add((1.0 / length) as f32, &gradient);
                }
                on_step()?;
            }
        }
        Ok((sum / goals.len() as f64, slope))
    }

    /// Brings the perturbation itself into the budget, as around an image in the middle of the range.
    fn shorten(&mut self, like: &Ball) {
        let grey = Array4::from_elem(self.perturbation.raw_dim(), 0.5);
        let grey = like.around(grey.view());
        let mut moved = &grey.centre() + &self.perturbation;
        grey.project(&mut moved);
        self.perturbation = moved - grey.centre();
    }
}
