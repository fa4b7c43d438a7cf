//! What an attack climbs, and the oracle as such a landscape.

use ndarray::{Array4, ArrayView4, Axis};

use super::expected;
use super::goal::Goal;
use super::view::View;
use crate::oracle::{Oracle, OracleError, stacked};

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

    /// Takes gradients from another view from now on; says whether there is such a view. The numbers stay those
    /// of what is served.
    fn look(&mut self, view: View) -> bool {
        view == View::Served
    }

    /// The share of the output's squared change at `x` that clipping to the output's range removes; `None` where
    /// the output before clipping is not at hand.
    ///
    /// # Errors
    /// Those of the oracles behind it.
    fn overshoot(&mut self, x: ArrayView4<'_, f32>, goal: &Goal) -> Result<Option<f64>, OracleError> {
        let _ = (x, goal);
        Ok(None)
    }
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
            _ => Oracle::value_and_gradient(self, x, targets(goals)?.view()),
        }
    }

    fn values(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        if self.draws() > 1 {
            return expected::values(self, x, goals);
        }
        Oracle::values(self, x, targets(goals)?.view())
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

/// What the outputs are compared with, as a batch.
fn targets(goals: &[&Goal]) -> Result<Array4<f32>, OracleError> {
    let targets: Vec<Array4<f32>> = goals.iter().map(|goal| goal.target.clone()).collect();
    Ok(stacked(&targets)?)
}
