//! The table of cases, a file per family of operators.

mod activation;
mod arithmetic;
mod bends;
mod conv;
mod elementwise;
mod layout;
mod normalisation;
mod pool;
mod reduce;

use super::case::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    let families = [
        activation::cases(),
        arithmetic::cases(),
        bends::cases(),
        conv::cases(),
        elementwise::cases(),
        layout::cases(),
        normalisation::cases(),
        pool::cases(),
        reduce::cases(),
    ];
    families.into_iter().flatten().collect()
}
