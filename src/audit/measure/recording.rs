//! A landscape that remembers where a model gave something that is not a finite number.

use ndarray::{Array4, ArrayView4};

use crate::attack::{Goal, Landscape, View};
use crate::oracle::OracleError;

/// Answers as the landscape behind it does.
pub struct Recording<'a> {
    behind: &'a mut dyn Landscape,
    /// The images that the answer was not finite for.
    pub met: Option<Array4<f32>>,
}

impl<'a> Recording<'a> {
    /// In front of a landscape.
    pub fn of(behind: &'a mut dyn Landscape) -> Self {
        Self { behind, met: None }
    }

    fn noting<T>(
        &mut self,
        x: ArrayView4<'_, f32>,
        ask: impl FnOnce(&mut dyn Landscape) -> Result<T, OracleError>,
    ) -> Result<T, OracleError> {
        let answer = ask(self.behind);
        if matches!(answer, Err(OracleError::NotFinite { .. })) {
            self.met = Some(x.to_owned());
        }
        answer
    }
}

impl Landscape for Recording<'_> {
    fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        self.noting(x, |behind| behind.value_and_gradient(x, goals))
    }

    fn values(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        self.noting(x, |behind| behind.values(x, goals))
    }

    fn sr_psnr(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        self.noting(x, |behind| behind.sr_psnr(x, goals))
    }

    fn look(&mut self, view: View) -> bool {
        self.behind.look(view)
    }

    fn overshoot(&mut self, x: ArrayView4<'_, f32>, goal: &Goal) -> Result<Option<f64>, OracleError> {
        self.behind.overshoot(x, goal)
    }
}
