//! What an audit is given, made ready: models read and probed, images cut to what a model takes, the memory
//! that both need. Deliberately absent: runtimes' answers to images, and anything attacked.

pub mod images;
pub mod memory;
pub mod model;
pub mod picture;
pub mod requirements;
pub mod surrogate;
pub mod tiles;
pub mod whole;
