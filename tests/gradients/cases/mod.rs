//! The table of cases, a file per family of operators.

mod arithmetic;
mod conv;
mod layout;
mod matmul;
mod pad;
mod reduce;
mod resize;

use super::case::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    let families = [
        arithmetic::cases(),
        conv::cases(),
        layout::cases(),
        matmul::cases(),
        pad::cases(),
        reduce::cases(),
        resize::cases(),
    ];
    families.into_iter().flatten().collect()
}
