//! What is attacked: an image with its ball, and what its output is driven away from.

use ndarray::{Array4, ArrayView4, Axis};

use super::ball::Ball;
use super::expected;
use crate::metric::psnr;
use crate::oracle::{Oracle, OracleError};

/// One image under attack.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The image x0 as a batch of one, how far it may move and where.
    pub ball: Ball,
    /// S(x0), which SR PSNR is taken against.
    pub clean: Array4<f32>,
    /// What the objective compares the output with: S(x0), the ground truth or another image.
    pub target: Array4<f32>,
}

impl Goal {
    /// Away from S(x0).
    pub fn new(ball: Ball, clean: Array4<f32>) -> Self {
        let target = clean.clone();
        Self { ball, clean, target }
    }

    /// With another target for the objective.
    pub fn aimed_at(self, target: Array4<f32>) -> Self {
        Self { target, ..self }
    }

    /// SR PSNR in dB of an output against S(x0); a NaN where the shapes differ.
    pub fn sr_psnr(&self, output: ArrayView4<'_, f32>) -> f64 {
        let [clean, output] = [self.clean.index_axis(Axis(0), 0), output.index_axis_move(Axis(0), 0)];
        psnr(clean, output).unwrap_or(f64::NAN)
    }
}

/// What an attack climbs: a number per image with its gradient. All images of a call have one shape,
/// and `goals` has one entry for each.
pub trait Landscape {
    /// The numbers and their gradients.
    ///
    /// # Errors
    /// Those of the oracles behind it.
    fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError>;

    /// The numbers, by forward runs where these are enough.
    ///
    /// # Errors
    /// Those of the oracles behind it.
    fn values(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError>;

    /// SR PSNR in dB.
    ///
    /// # Errors
    /// Those of the oracles behind it.
    fn sr_psnr(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError>;
}

impl Landscape for Oracle {
    fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        match goals {
            _ if self.draws() > 1 => expected::value_and_gradient(self, x, goals),
            [goal] => Oracle::value_and_gradient(self, x, goal.target.view()),
            _ => Oracle::value_and_gradient(self, x, targets(goals).view()),
        }
    }

    fn values(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        if self.draws() > 1 {
            return expected::values(self, x, goals);
        }
        Oracle::values(self, x, targets(goals).view())
    }

    fn sr_psnr(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        if self.draws() > 1 {
            return expected::sr_psnr(self, x, goals);
        }
        let output = self.forward(x)?;
        let outputs = output.axis_chunks_iter(Axis(0), 1);
        Ok(goals.iter().zip(outputs).map(|(goal, output)| goal.sr_psnr(output)).collect())
    }
}

fn targets(goals: &[&Goal]) -> Array4<f32> {
    stacked(goals.iter().map(|goal| &goal.target))
}

/// Images of one shape as a batch.
pub fn stacked<'a>(images: impl Iterator<Item = &'a Array4<f32>>) -> Array4<f32> {
    let views: Vec<_> = images.map(|image| image.view()).collect();
    ndarray::concatenate(Axis(0), &views).unwrap_or_default()
}
