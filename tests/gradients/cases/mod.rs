//! The table of cases, a file per family of operators.

mod activation;
mod arithmetic;
mod bends;
mod conv;
mod elementwise;
mod indexing;
mod layout;
mod matmul;
mod normalisation;
mod pad;
mod pool;
mod quantise;
mod reduce;
mod resize;

use super::case::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    let families = [
        activation::cases(),
        arithmetic::cases(),
        bends::cases(),
        conv::cases(),
        elementwise::cases(),
        indexing::cases(),
        layout::cases(),
        matmul::cases(),
        normalisation::cases(),
        pad::cases(),
        pool::cases(),
        quantise::cases(),
        reduce::cases(),
        resize::cases(),
    ];
    families.into_iter().flatten().collect()
}
