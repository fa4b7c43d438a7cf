//! What is measured of a model, one file per measure. Each takes the context of the model's audit and gives
//! rows of the report. Deliberately absent: the order in which they run, and time limits.

pub mod attack;
pub mod certificate;
pub mod clever;
pub mod evaluate;
pub mod minimal_budget;
pub mod transfer;
pub mod universal;
