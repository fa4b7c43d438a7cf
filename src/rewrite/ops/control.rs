//! Control flow: If, Loop, Scan. None is read: a decided `If` has been put in its place before
//! (`rewrite::passes::branches`), and loops are not unrolled.

use super::{Call, Operator};
use crate::rewrite::TensorType;

const REFUSED: &str = "control flow has no rule";

pub const OPERATORS: &[Operator] = &[
    Operator::refused("If", &["else_branch", "then_branch"], choice, REFUSED),
    Operator::refused("Loop", &["body"], repetition, REFUSED),
    Operator::refused(
        "Scan",
        &[
            "body",
            "num_scan_inputs",
            "scan_input_axes",
            "scan_input_directions",
            "scan_output_axes",
            "scan_output_directions",
        ],
        repetition,
        REFUSED,
    ),
];

fn choice(_: &Call<'_>) -> Result<Vec<TensorType>, String> {
    Err("chooses a branch by a condition that is computed from the input; export the model without it".into())
}

fn repetition(call: &Call<'_>) -> Result<Vec<TensorType>, String> {
    Err(format!("is a loop ({}), and loops are not read; export the model with it unrolled", call.op()))
}
