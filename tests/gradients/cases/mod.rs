//! The table of cases, a file per family of operators, named as in `src/rewrite/ops`.

mod activation;
mod arithmetic;
mod conv;
mod indexing;
mod layout;
mod logic;
mod matmul;
mod normalisation;
mod pad;
mod pool;
mod quantise;
mod reduce;
mod resize;

use super::case::Case;

/// Every family's cases.
pub fn families() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("activation", activation::cases()),
        ("arithmetic", arithmetic::cases()),
        ("conv", conv::cases()),
        ("indexing", indexing::cases()),
        ("layout", layout::cases()),
        ("logic", logic::cases()),
        ("matmul", matmul::cases()),
        ("normalisation", normalisation::cases()),
        ("pad", pad::cases()),
        ("pool", pool::cases()),
        ("quantise", quantise::cases()),
        ("reduce", reduce::cases()),
        ("resize", resize::cases()),
    ]
}

/// Every case.
pub fn all() -> Vec<Case> {
    families().into_iter().flat_map(|(_, cases)| cases).collect()
}
