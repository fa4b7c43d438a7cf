//! How an audit reports its progress, and how its caller stops it.

use crate::attack::Interrupted;

/// What will be done, for whoever watches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Planned {
    /// Gradient steps, and forward passes of attacks without gradients.
    pub steps: u64,
    /// Estimated seconds for them; `None` where nothing was measured, or nothing is left to do.
    pub seconds: Option<f64>,
    /// One line for people.
    pub words: String,
}

/// Callbacks of an audit; every one that returns [`Interrupted`] ends it.
pub trait Watch {
    /// Before every longer part: what will be done now.
    fn doing(&mut self, what: &str) -> Result<(), Interrupted>;

    /// Before the first attack: what there is to do.
    fn planned(&mut self, planned: &Planned);

    /// After every gradient step of an attack.
    fn stepped(&mut self) -> Result<(), Interrupted>;

    /// After every run of a gradient check.
    fn tested(&mut self) -> Result<(), Interrupted>;
}

/// Nobody watches, and nothing stops the audit.
pub struct Unwatched;

impl Watch for Unwatched {
    fn doing(&mut self, _: &str) -> Result<(), Interrupted> {
        Ok(())
    }

    fn planned(&mut self, _: &Planned) {}

    fn stepped(&mut self) -> Result<(), Interrupted> {
        Ok(())
    }

    fn tested(&mut self) -> Result<(), Interrupted> {
        Ok(())
    }
}
