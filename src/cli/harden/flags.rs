//! The settings of `temper harden` as flags: every field of a section is a flag, and what is given of them is
//! a table as a file would state it.

use std::marker::PhantomData;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use serde::Serialize;
use toml::{Table, Value};

use crate::cli::interface::FormArgs;
use crate::harden::HardenError;

/// The flags of a section `T` of the settings. Their defaults are shown, and not among what is given.
#[derive(Debug)]
pub(super) struct Flags<T> {
    given: Table,
    section: PhantomData<T>,
}

impl<T> Flags<T> {
    /// What the command line states, as a file would.
    pub fn given(&self) -> &Table {
        &self.given
    }
}

impl<T: Args + Serialize + Default> Args for Flags<T> {
    fn augment_args(command: Command) -> Command {
        let defaults = Table::try_from(T::default()).unwrap_or_default();
        let shown = |flag: Arg| match defaults.get(flag.get_id().as_str()).and_then(text) {
            Some(default) if takes_a_value(&flag) => flag.required(false).default_value(default),
            _ => flag.required(false),
        };
        let mut command = T::augment_args(command);
        for id in ids::<T>() {
            command = command.mut_arg(id, shown);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Args + Serialize> FromArgMatches for Flags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let flags = Table::try_from(T::from_arg_matches(matches)?)
            .map_err(|error| Error::raw(ErrorKind::ValueValidation, format!("{error}\n")))?;
        let stated = |id: &String| matches.value_source(id) == Some(ValueSource::CommandLine);
        let given = ids::<T>().filter(stated).filter_map(|id| Some((id.clone(), flags.get(&id)?.clone())));
        Ok(Self { given: given.collect(), section: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flags of a section by the keys that they are.
fn ids<T: Args>() -> impl Iterator<Item = String> {
    let command = T::augment_args(Command::new("section"));
    let ids: Vec<String> = command.get_arguments().map(|flag| flag.get_id().to_string()).collect();
    ids.into_iter()
}

fn takes_a_value(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Set | ArgAction::Append)
}

/// A default as a flag would state it.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Boolean(on) => (if *on { "on" } else { "off" }).to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().filter_map(text).collect::<Vec<_>>().join(","),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Datetime(_) | Value::Table(_) => return None,
    })
}

/// The flags that state an interface, as a file would state them. The scale is one of a recipe's own.
pub(super) fn stated(form: &FormArgs, recipe: &Table) -> Result<Table, HardenError> {
    let scale = recipe.get("scale").and_then(Value::as_integer).and_then(|scale| usize::try_from(scale).ok());
    Table::try_from(form.overrides(scale))
        .map_err(|error| HardenError::Config { origin: "the flags".into(), problem: error.to_string() })
}
