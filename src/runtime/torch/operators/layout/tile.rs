//! Copies and triangles: Tile and Trilu.

use crate::runtime::torch::operators::{Attributes, Inputs, Kernel, Operator, Refusal, one, standard};

pub(super) const OPERATORS: &[Operator] = &[
    standard("Tile", 2..=2, |_| one(|inputs| Ok(inputs.get(0)?.f_repeat(inputs.ints(1)?)?))),
    standard("Trilu", 1..=2, trilu),
];

fn trilu(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let upper = attributes.flag("upper", true)?;
    one(move |inputs: &Inputs<'_>| {
        let x = inputs.get(0)?;
        let diagonal = inputs.optional_ints(1)?.and_then(|values| values.first().copied()).unwrap_or(0);
        Ok(if upper { x.f_triu(diagonal)? } else { x.f_tril(diagonal)? })
    })
}
