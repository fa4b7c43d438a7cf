//! Empty: this package is here for its one feature; see its `Cargo.toml`.
