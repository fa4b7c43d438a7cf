//! What an attack maximises, as a graph fragment behind a model's output.
//!
//! A fragment adds inputs and nodes and gives a scalar; the rewrite differentiates it together
//! with the model. Deliberately absent: how the scalar is climbed.

use crate::rewrite::{Emitter, RewriteError, Value};

/// The name of the input that holds what the output is compared with.
pub const TARGET: &str = "target";

/// An objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// ||S(x) - target||_2 of every image, added up over the batch: eq. (14) with target S(x0).
    Distance,
}

impl Objective {
    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Objective::Distance => "||S(x) - S(x0)||_2",
        }
    }

    /// Adds the fragment behind `output` and gives the scalar.
    pub fn append(self, emitter: &mut Emitter, output: &Value) -> Result<Value, RewriteError> {
        match self {
            Objective::Distance => distance(emitter, output),
        }
    }
}

fn distance(emitter: &mut Emitter, output: &Value) -> Result<Value, RewriteError> {
    let target = emitter.input(TARGET, output.ty.clone())?;
    let difference = emitter.emit("Sub", "objective/difference", &[output, &target], [])?;
    // All axes but the batch's: one norm per image, as the norm of the rows' norms. A runtime that
    // adds up a whole image one by one in float32 is off by 1e-5 and more; over rows it is not.
    let last = output.ty.rank() as i64 - 1;
    let rows = emitter.reduce("ReduceL2", "objective/rows", &difference, &[last], true)?;
    let axes: Vec<i64> = (1..last).collect();
    let norms = emitter.reduce("ReduceL2", "objective/norm", &rows, &axes, true)?;
    emitter.reduce("ReduceSum", "objective/value", &norms, &[], false)
}
