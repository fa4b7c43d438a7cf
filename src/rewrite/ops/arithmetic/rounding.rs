//! What is constant between its steps, element by element: Floor, Ceil, Round, Sign; and Mod, of integers alone.

use crate::rewrite::ops::call::{broadcast_inputs, same_as_input};
use crate::rewrite::ops::fold::{Folded, binary, unary};
use crate::rewrite::ops::{Call, Operator, STEPS};

pub const OPERATORS: &[Operator] = &[
    Operator::zero("Floor", &[], same_as_input, STEPS).folds(|call| unary(call, f64::floor)),
    Operator::zero("Ceil", &[], same_as_input, STEPS).folds(|call| unary(call, f64::ceil)),
    Operator::zero("Round", &[], same_as_input, STEPS).folds(|call| unary(call, f64::round_ties_even)),
    Operator::zero("Sign", &[], same_as_input, STEPS)
        .folds(|call| unary(call, |a| if a == 0.0 { 0.0 } else { a.signum() })),
    Operator::refused("Mod", &["fmod"], broadcast_inputs, "Mod of image values has no rule yet")
        .folds(fold_mod),
];

/// Integers: the sign of the divisor, as in Python; with `fmod` the sign of the dividend, as in C.
fn fold_mod(call: &Call<'_>) -> Folded {
    let as_in_c = call.int("fmod", 0)? != 0;
    let int = |a: i64, b: i64| {
        let rest = a.checked_rem(b)?;
        Some(if !as_in_c && rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
    };
    binary(call, int, |a, b| a % b)
}
