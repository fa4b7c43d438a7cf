//! A landscape on the grid of 8-bit images: what is asked about, and what is found, can be sent as a file.
//!
//! A model that looks at whether pixels lie on that grid serves every file one network and an attack another one.
//! The gradient passes straight through the rounding.

use ndarray::{Array4, ArrayView4, Axis};

use super::goal::Goal;
use super::landscape::Landscape;
use super::view::View;
use crate::oracle::OracleError;

/// Levels of a pixel above 0.
const LEVELS: f32 = 255.0;

/// A landscape that is asked at the nearest 8-bit images alone.
pub struct OnGrid<'a>(pub &'a mut dyn Landscape);

/// The nearest 8-bit image, or as near to it as the ball goes: a budget that holds no other level than x0's holds
/// x0 itself.
pub fn nearest(x: ArrayView4<'_, f32>, goal: &Goal) -> Array4<f32> {
    let mut rounded = x.mapv(|x| (x * LEVELS).round() / LEVELS);
    goal.ball.project(&mut rounded);
    rounded
}

fn on_grid(x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Array4<f32> {
    let mut rounded = x.to_owned();
    for (mut rounded, goal) in rounded.axis_chunks_iter_mut(Axis(0), 1).zip(goals) {
        let nearest = nearest(rounded.view(), goal);
        rounded.assign(&nearest);
    }
    rounded
}

impl Landscape for OnGrid<'_> {
    fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        self.0.value_and_gradient(on_grid(x, goals).view(), goals)
    }

    fn values(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        self.0.values(on_grid(x, goals).view(), goals)
    }

    fn sr_psnr(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        self.0.sr_psnr(on_grid(x, goals).view(), goals)
    }

    fn look(&mut self, view: View) -> bool {
        self.0.look(view)
    }
}
