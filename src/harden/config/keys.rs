//! The keys of a section of the settings, read off the flags that declare them.

use clap::{Arg, Args, Command};

/// A key of the TOML file, and what it means.
pub(super) struct Key {
    pub name: String,
    pub meaning: String,
}

/// The keys of a section, in the order of their declaration.
pub(super) fn keys<T: Args>() -> Vec<Key> {
    let command = T::augment_args(Command::new("keys"));
    command.get_arguments().map(key).collect()
}

fn key(flag: &Arg) -> Key {
    let meaning = flag.get_help().map(ToString::to_string).unwrap_or_default();
    Key { name: flag.get_id().to_string(), meaning }
}
