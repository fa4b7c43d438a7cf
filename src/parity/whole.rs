//! A whole file on a runtime, with no value in between looked at, run on one input after another.

use super::compare::Answer;
use super::cut::{Cut, Style, cut};
use super::error::ParityError;
use super::inputs::Input;
use super::nodes::Side;
use crate::runtime::Session;

/// A side that is ready to run.
pub struct Whole<'a> {
    side: &'a Side,
    part: Cut,
    names: Vec<String>,
    session: Box<dyn Session>,
}

impl<'a> Whole<'a> {
    /// Prepares a side for inputs like this one.
    ///
    /// # Errors
    /// What the runtime refuses.
    pub fn open(side: &'a Side, like: &Input) -> Result<Self, ParityError> {
        let program = &side.program;
        let all: Vec<usize> = (0..program.nodes().len()).collect();
        let names = program.outputs();
        let part = cut(program, &all, &program.fed(&like.values), &names, Style::Joined);
        let session = side.runtime.load(&part.model)?;
        Ok(Self { side, part, names, session })
    }

    /// One value per output, in order.
    ///
    /// # Errors
    /// What the runtime fails at.
    pub fn run(&mut self, input: &Input) -> Result<Answer, ParityError> {
        let fed = self.side.program.fed(&input.values);
        let mut found = self.part.run_in(&mut *self.session, &fed)?;
        Ok(self.names.iter().filter_map(|name| found.remove(name)).collect())
    }
}
