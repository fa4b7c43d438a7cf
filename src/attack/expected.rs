//! The landscape of a model behind a random pre-processing: expectation over transformation (Athalye et al.,
//! ICML 2018). Every answer is a mean over fresh draws, so that an attack cannot learn the draws themselves.
//!
//! S(x0) is random there, too. An objective away from it compares outputs at the same draw: what an attack
//! gains is then its own doing, and not what two draws differ by. Deliberately absent: judging, whose draws
//! are others.

use ndarray::{Array4, ArrayView4, Axis};

use super::goal::{Goal, stacked};
use crate::metric::psnr;
use crate::oracle::{self, Oracle, OracleError};

/// Means over draws of the objectives and their gradients.
pub fn value_and_gradient(
    oracle: &mut Oracle,
    x: ArrayView4<'_, f32>,
    goals: &[&Goal],
) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
    let draws = oracle.draws();
    let mut mean = Array4::zeros(x.raw_dim());
    let values = mean_of(oracle, goals.len(), |oracle| {
        let targets = targets(oracle, goals)?;
        let (values, gradient) = oracle.value_and_gradient(x, targets.view())?;
        mean.scaled_add(1.0 / draws as f32, &gradient);
        Ok(values)
    })?;
    Ok((values, mean))
}

/// Means over draws of the objectives.
pub fn values(oracle: &mut Oracle, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
    mean_of(oracle, goals.len(), |oracle| {
        let targets = targets(oracle, goals)?;
        oracle.values(x, targets.view())
    })
}

/// Means over draws of the SR PSNR in dB against S(x0) at the same draw.
pub fn sr_psnr(
    oracle: &mut Oracle,
    x: ArrayView4<'_, f32>,
    goals: &[&Goal],
) -> Result<Vec<f64>, OracleError> {
    mean_of(oracle, goals.len(), |oracle| {
        let (clean, output) = (clean(oracle, goals)?, oracle.forward(x)?);
        let pairs = clean.axis_iter(Axis(0)).zip(output.axis_iter(Axis(0)));
        Ok(pairs.map(|(clean, output)| psnr(clean, output).unwrap_or(f64::NAN)).collect())
    })
}

/// The mean over fresh draws of what `ask` gives for each of `count` images.
fn mean_of(
    oracle: &mut Oracle,
    count: usize,
    mut ask: impl FnMut(&mut Oracle) -> Result<Vec<f64>, OracleError>,
) -> Result<Vec<f64>, OracleError> {
    let draws = oracle.draws();
    let mut means = vec![0.0; count];
    for _ in 0..draws {
        oracle.next_draw();
        let found = ask(oracle)?;
        means.iter_mut().zip(found).for_each(|(mean, value)| *mean += value / draws as f64);
    }
    Ok(means)
}

/// What the outputs are compared with at the oracle's draw.
fn targets(oracle: &mut Oracle, goals: &[&Goal]) -> Result<Array4<f32>, OracleError> {
    let away_from_clean = goals.iter().all(|goal| goal.target == goal.clean);
    if away_from_clean && oracle.objective().takes_target() {
        return clean(oracle, goals);
    }
    let targets: Vec<Array4<f32>> = goals.iter().map(|goal| goal.target.clone()).collect();
    Ok(oracle::stacked(&targets)?)
}

/// S(x0) at the oracle's draw.
fn clean(oracle: &mut Oracle, goals: &[&Goal]) -> Result<Array4<f32>, OracleError> {
    let centres: Vec<Array4<f32>> = goals.iter().map(|goal| goal.ball.centre().to_owned()).collect();
    oracle.forward(stacked(centres.iter()).view())
}
