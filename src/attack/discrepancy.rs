//! What drives two runtimes, or two precisions, apart: ||f_A(x) - f_B(x)||_2 as a landscape.
//!
//! Any attack can climb it. Its gradient is put together from two oracles, each of which compares its
//! own output with the other's, held fixed: grad ||f_A(x) - b||_2 at b = f_B(x), plus the mirrored
//! term. As d|a - b| = u.(da - db) with u = (a - b) / |a - b|, the two add up to the whole gradient and
//! leave nothing out. Where the two agree to the last bit there is none, and attacks start from noise.
//!
//! SR PSNR is that of A's output against B's. Goals' targets are not looked at.

use ndarray::{Array4, ArrayView4, Axis};

use super::goal::Goal;
use super::landscape::Landscape;
use crate::metric::psnr;
use crate::oracle::{Objective, Oracle, OracleError};

/// Two oracles of one model, or of two that take the same images.
pub struct Discrepancy<'a> {
    a: &'a mut Oracle,
    b: &'a mut Oracle,
}

impl<'a> Discrepancy<'a> {
    /// The formula, for reports.
    pub const NAME: &'static str = "||A(x) - B(x)||_2";

    /// Both are made to answer for the L2 distance.
    pub fn between(a: &'a mut Oracle, b: &'a mut Oracle) -> Self {
        a.set_objective(&Objective::Distance);
        b.set_objective(&Objective::Distance);
        Self { a, b }
    }

    fn outputs(&mut self, x: ArrayView4<'_, f32>) -> Result<[Array4<f32>; 2], OracleError> {
        // Behind a random pre-processing the two are compared at one draw, another one every time.
        self.b.at_draw(self.a.next_draw());
        Ok([self.a.forward(x)?, self.b.forward(x)?])
    }
}

impl Landscape for Discrepancy<'_> {
    fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        _: &[&Goal],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        let [a, b] = self.outputs(x)?;
        let (_, of_a) = self.a.value_and_gradient(x, b.view())?;
        let (_, of_b) = self.b.value_and_gradient(x, a.view())?;
        Ok((self.a.measured(a.view(), b.view()), of_a + of_b))
    }

    fn values(&mut self, x: ArrayView4<'_, f32>, _: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        let [a, b] = self.outputs(x)?;
        Ok(self.a.measured(a.view(), b.view()))
    }

    fn sr_psnr(&mut self, x: ArrayView4<'_, f32>, _: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        let [a, b] = self.outputs(x)?;
        let pairs = a.axis_iter(Axis(0)).zip(b.axis_iter(Axis(0)));
        Ok(pairs.map(|(a, b)| psnr(a, b).unwrap_or(f64::NAN)).collect())
    }
}
