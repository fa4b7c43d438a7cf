//! Reports in the forms that other programs read.

mod csv;
mod junit;
mod markdown;
mod sarif;

pub use csv::csv;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;
