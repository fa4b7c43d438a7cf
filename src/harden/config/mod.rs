//! Everything that a run is told, declared once: a field of [`Recipe`], [`Run`] or [`ExportOptions`] is a
//! key of the TOML file, a flag of `temper harden`, the help of both, and its default.
//!
//! `recipe` decides what is computed, `run` where and how often it is written down, `export` what becomes
//! of the trained network in its file. Deliberately absent: reading a command line (`cli`), and acting on
//! any of it.

mod adversarial;
mod check;
mod export_options;
mod keys;
mod memory;
mod parsers;
mod recipe;
mod run;
mod schedule;
mod settings;

pub use adversarial::{AttackStart, AttackTarget};
pub use export_options::ExportOptions;
pub use recipe::Recipe;
pub use run::Run;
pub use schedule::Schedule;
pub use settings::Settings;

pub(super) use recipe::LAST;
