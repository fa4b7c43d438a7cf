//! The table of cases, a file per family of operators.

mod arithmetic;
mod conv;
mod layout;
mod reduce;

use super::case::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    [arithmetic::cases(), conv::cases(), layout::cases(), reduce::cases()].into_iter().flatten().collect()
}
