//! Whether a file behaves as an SR network, and as the same one twice, before anything is attacked: an output
//! that does not depend on the image is proof against every attack, and worth nothing.
//!
//! Deliberately absent: quality against a ground truth (`clean`), and what follows (the report's findings).

use ndarray::{Array3, Array4, ArrayView3, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::evaluate::only;
use super::size::size_difference;
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::{ImageIndex, Judge, RuntimeIndex};
use crate::digest;
use crate::metric;
use crate::report::{NetworkCheck, number};

/// What was found, as the store keeps it.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Found {
    repeat_difference: f64,
    /// A NaN where the output of the image's negative is not finite.
    #[serde(with = "number")]
    response: f64,
    correlation: f64,
    size_difference: Option<f64>,
}

/// Checks S(x0) on every runtime; nothing behind a pre-processing, whose bare model is checked.
///
/// # Errors
/// A runtime that fails.
pub fn network(context: &mut Context<'_>, index: ImageIndex) -> Result<Vec<NetworkCheck>, AuditError> {
    if context.model.front.is_some() {
        return Ok(vec![]);
    }
    let mut rows = Vec::with_capacity(context.runtimes.len());
    for judge in context.judges() {
        let whole = context.image(index).whole.as_ref();
        let whole = whole.filter(|_| judge == Judge(RuntimeIndex(0)));
        let parts = whole.map(|whole| (digest::of_floats(&whole.x), whole.at));
        let key = context.key("network check", judge, index, &parts);
        let Found { repeat_difference, response, correlation, size_difference } =
            context.store.remember(&key, || found(context, index, judge))?;
        rows.push(NetworkCheck {
            model: context.name().to_owned(),
            image: context.image(index).name.clone(),
            runtime: context.runtime(judge).name(),
            repeat_difference,
            response,
            correlation,
            size_difference,
        });
    }
    Ok(rows)
}

fn found(context: &mut Context<'_>, index: ImageIndex, judge: Judge) -> Result<Found, AuditError> {
    let image = context.image(index);
    let output = context.clean_output(judge, index)?;
    let again = context.output(judge, image, &image.x)?;
    let repeat_difference =
        Zip::from(&output).and(&again).fold(0.0_f64, |most, a, b| most.max(f64::from((a - b).abs())));
    let negative = match context.output(judge, image, &image.x.mapv(|value| 1.0 - value)) {
        Err(error) if error.is_not_finite() => output.mapv(|_| f32::NAN),
        negative => negative?,
    };
    let served = |output: &Array4<f32>| only(output).mapv(|value| value.clamp(0.0, 1.0));
    let [_, _, height, width] = image.shape().map(|side| side * context.model.requirements.scale);
    let geometry = context.model.found.interface.geometry;
    let upscaled =
        |x: &Array4<f32>| geometry.inside(metric::bicubic(only(x), height, width).view()).to_owned();
    // Bicubic upscaling of a negative is the negative of the upscale.
    let expected = length((2.0 * upscaled(&image.x) - 1.0).view());
    let response = length((served(&output) - served(&negative)).view()) / expected.max(f64::MIN_POSITIVE);
    let (ours, theirs) = (centred(served(&output)), centred(upscaled(&image.x)));
    let product: f64 = ours.iter().zip(&theirs).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    let correlation = product / (length(ours.view()) * length(theirs.view())).max(f64::MIN_POSITIVE);
    let first = judge == Judge(RuntimeIndex(0));
    let size_difference = if first { size_difference(context, index, judge)? } else { None };
    Ok(Found { repeat_difference, response, correlation, size_difference })
}

/// An image without the mean of each of its channels.
fn centred(mut image: Array3<f32>) -> Array3<f32> {
    for mut channel in image.axis_iter_mut(Axis(0)) {
        let mean = channel.mean().unwrap_or(0.0);
        channel.mapv_inplace(|value| value - mean);
    }
    image
}

fn length(image: ArrayView3<'_, f32>) -> f64 {
    image.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}
