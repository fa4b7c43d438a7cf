//! To be written.

pub mod adam;
