//! The trainer's state as a checkpoint, and back.

use super::Trainer;
use crate::harden::HardenError;
use crate::harden::train::checkpoint::Checkpoint;
use crate::harden::train::discriminator::Discriminator;
use crate::harden::train::ema::Ema;
use crate::torch::no_grad;

impl Trainer {
    /// Everything that a resumed run needs.
    pub fn checkpoint(&self) -> Checkpoint {
        let adam = self.adam.state();
        Checkpoint {
            recipe: self.recipe.clone(),
            step: self.step,
            unit: self.defence.unit(),
            weights: self.program.state(),
            estimator: self.defence.parameters(),
            adam,
            discriminator: self.discriminator.as_ref().map(Discriminator::state),
            ema: self.ema.as_ref().map(Ema::state).unwrap_or_default(),
            data: String::new(),
            best: None,
            before: None,
        }
    }

    /// Continues from a checkpoint of the same recipe.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), HardenError> {
        no_grad(|| -> Result<(), HardenError> {
            for (name, mut own) in self.program.state() {
                own.f_copy_(checkpoint.weight(&name, &own.size())?)?;
            }
            Ok(())
        })?;
        self.defence.load(&checkpoint.estimator)?;
        if let Some(discriminator) = &mut self.discriminator {
            discriminator.restore(checkpoint.discriminator.as_ref())?;
        }
        self.adam.load_state(&checkpoint.adam)?;
        if let Some(ema) = &self.ema {
            ema.restore(&checkpoint.ema)?;
        }
        self.defence.set_unit(checkpoint.unit);
        self.step = checkpoint.step;
        Ok(())
    }
}
