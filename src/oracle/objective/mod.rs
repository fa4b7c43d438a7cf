//! What an attack maximises, as graph fragments behind a model.
//!
//! A fragment adds inputs and nodes and gives one number per image and their sum; the rewrite
//! differentiates the sum together with the model. The same number can be taken from an output at
//! hand, in f64, where that is all it depends on: what gradient-free attacks need. Deliberately
//! absent: how it is climbed, and where the target comes from.

mod cosine;
mod distance;
mod features;
mod luma;

use std::str::FromStr;

use ndarray::ArrayView3;
use serde::Serialize;

use crate::rewrite::{Emitter, RewriteError, Value};
use crate::suggest::no_such;

/// The name of the input that holds what the output is compared with.
pub const TARGET: &str = "target";

/// An objective. Against S(x0) it is an attack on stability, against the ground truth one on quality.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// ||S(x) - target||_2 of every image: eq. (14) with target S(x0).
    #[serde(rename = "l2")]
    Distance,
    /// ||S(x) - target||_1 of every image.
    L1,
    /// ||Y(S(x)) - Y(target)||_2 of every image's luma, on [0, 1].
    Luma,
    /// -||S(x) - target||_2: toward an image that is not S(x0).
    Targeted,
    /// The squared distance of every pixel, weighted by the cosine between its colours; see `cosine`.
    Cosine,
    /// Eq. (13) on the values of these names, added up; see `features`.
    Features(Vec<String>),
}

/// One number per image, and their sum.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// As many values as the batch has images.
    pub each: Value,
    /// The scalar that is differentiated.
    pub sum: Value,
}

impl Objective {
    /// Its formula, for reports.
    pub fn name(&self) -> &'static str {
        match self {
            Objective::Distance => "||S(x) - S(x0)||_2",
            Objective::L1 => "||S(x) - target||_1",
            Objective::Luma => "||Y(S(x)) - Y(target)||_2",
            Objective::Targeted => "-||S(x) - target||_2",
            Objective::Cosine => "sum cos(S(x), target) |S(x) - target|^2",
            Objective::Features(_) => "log ||Phi < C||_2 - log ||Phi > C||_2",
        }
    }

    /// Whether its graph takes a [`TARGET`] beside the image.
    pub fn takes_target(&self) -> bool {
        !matches!(self, Objective::Features(_))
    }

    /// Adds the fragment behind `output`, or behind the values that it names.
    ///
    /// # Errors
    /// A tap that is not in the graph, or is no feature map.
    pub fn append(&self, emitter: &mut Emitter, output: &Value) -> Result<Fragment, RewriteError> {
        match self {
            Objective::Distance => distance::l2(emitter, output),
            Objective::L1 => distance::l1(emitter, output),
            Objective::Targeted => distance::negated_l2(emitter, output),
            Objective::Luma => luma::append(emitter, output),
            Objective::Cosine => cosine::append(emitter, output),
            Objective::Features(taps) => features::append(emitter, taps, output.shape()[0]),
        }
    }

    /// The values that its number is taken of where these are not the output; none where they are.
    ///
    /// # Errors
    /// A tap that is not in the graph, or is no feature map.
    pub fn maps(&self, emitter: &Emitter, batch: usize) -> Result<Vec<Value>, RewriteError> {
        match self {
            Objective::Features(taps) => features::maps(emitter, taps, batch),
            _ => Ok(vec![]),
        }
    }

    /// The number of one image, in f64 from its output; `None` where the output does not tell.
    pub fn measure(&self, output: ArrayView3<'_, f32>, target: ArrayView3<'_, f32>) -> Option<f64> {
        match self {
            Objective::Distance => Some(distance::measure_l2(output, target)),
            Objective::L1 => Some(distance::measure_l1(output, target)),
            Objective::Targeted => Some(-distance::measure_l2(output, target)),
            Objective::Luma => Some(luma::measure(output, target)),
            Objective::Cosine => Some(cosine::measure(output, target)),
            Objective::Features(_) => None,
        }
    }
}

/// What a flag calls the objectives that need no name of a value.
const NAMES: [(&str, Objective); 5] = [
    ("l2", Objective::Distance),
    ("l1", Objective::L1),
    ("luma", Objective::Luma),
    ("targeted", Objective::Targeted),
    ("cosine", Objective::Cosine),
];

impl FromStr for Objective {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if let Some((_, objective)) = NAMES.iter().find(|(name, _)| *name == given) {
            return Ok(objective.clone());
        }
        Err(no_such("objective", given, NAMES.iter().map(|(name, _)| *name)))
    }
}

/// The norm of every image, as the norm of the norms of its rows: a runtime that adds up a whole image
/// one by one in float32 is off by 1e-5 and more; over rows it is not.
fn norms(emitter: &mut Emitter, value: &Value) -> Result<Value, RewriteError> {
    by_rows(emitter, "ReduceL2", "ReduceL2", value, ["objective/rows", "objective/norm"])
}

/// Every axis but the batch's reduced: the last one by `rows`, then the others by `images`.
fn by_rows(
    emitter: &mut Emitter,
    rows: &str,
    images: &str,
    value: &Value,
    hints: [&str; 2],
) -> Result<Value, RewriteError> {
    let last = value.ty.rank() as i64 - 1;
    let reduced = emitter.reduce(rows, hints[0], value, &[last], true)?;
    let axes: Vec<i64> = (1..last).collect();
    if axes.is_empty() {
        return Ok(reduced);
    }
    emitter.reduce(images, hints[1], &reduced, &axes, true)
}

/// The fragment of one number per image.
fn summed(emitter: &mut Emitter, each: Value) -> Result<Fragment, RewriteError> {
    let sum = emitter.reduce("ReduceSum", "objective/value", &each, &[], false)?;
    Ok(Fragment { each, sum })
}

/// S(x) - target, with the target as a new input.
fn difference(emitter: &mut Emitter, output: &Value) -> Result<(Value, Value), RewriteError> {
    let target = emitter.input(TARGET, output.ty.clone())?;
    let difference = emitter.emit("Sub", "objective/difference", &[output, &target], [])?;
    Ok((target, difference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_objective_names_the_nearest() {
        assert_eq!("l2".parse(), Ok(Objective::Distance));
        assert!("cosin".parse::<Objective>().unwrap_err().contains("did you mean `cosine`"));
    }

    #[test]
    fn objectives_have_stable_names_in_files() {
        let json = |objective: &Objective| serde_json::to_string(objective).unwrap();
        for (name, objective) in NAMES {
            assert_eq!(json(&objective), format!("\"{name}\""));
        }
        assert_eq!(json(&Objective::Features(vec!["a".into()])), r#"{"features":["a"]}"#);
    }
}
