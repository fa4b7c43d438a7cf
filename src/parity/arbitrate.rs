//! A third answer, where two disagree about a node: libtorch in float64, on the inputs that the reference's node read.

use std::cmp::Ordering;

use super::cut::{Style, Values, cut};
use super::difference::Difference;
use super::nodes::{Side, Sides};
use super::report::Arbitration;
use crate::runtime::{self, Kind};

/// Asks for one node of a graph that both sides share; `None` where float64 is not to be had for it.
pub fn arbitrate(
    Sides { reference, candidate }: Sides<'_>,
    node: usize,
    value: &str,
    fed: &Values,
) -> Option<Arbitration> {
    let third = runtime::open(Kind::TORCH_F64).ok()?;
    let wanted = [value.to_owned()];
    let of = |side: &Side| cut(&side.program, &[node], fed, &wanted, Style::Apart);
    let part = of(reference);
    let right = part.run(&*third).ok()?.remove(value)?;
    let [reference_error, candidate_error] = [reference, candidate].map(|side| {
        let given = of(side).run(&*side.runtime).ok()?.remove(value)?;
        Some(Difference::of(&right, &given).max)
    });
    let (reference_error, candidate_error) = (reference_error?, candidate_error?);
    let farther = match candidate_error.total_cmp(&reference_error) {
        Ordering::Greater => candidate.runtime.kind().name(),
        Ordering::Less => reference.runtime.kind().name(),
        Ordering::Equal => "neither",
    };
    Some(Arbitration {
        by: format!("{} {}", third.kind(), third.version()),
        reference_error,
        candidate_error,
        farther: farther.to_owned(),
    })
}
