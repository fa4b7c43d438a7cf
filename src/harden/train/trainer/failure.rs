//! Why a step failed, in words, and the smaller step that the device has memory for.

use super::Trainer;
use crate::harden::HardenError;
use crate::harden::adam::AdamError;
use crate::harden::data::Batch;
use crate::harden::train::loss::Losses;
use crate::harden::train::memory;

impl Trainer {
    /// The batch and patch that the device has memory for, after a step ran out of it: what is tried
    /// computes gradients and moves no weight, but a discriminator learns, so that the run ends with it.
    pub fn fitting(&mut self) -> Option<[usize; 2]> {
        let given = [self.recipe.batch, self.recipe.patch];
        let multiple = self.network.multiple();
        let found = memory::fitting(given, multiple, &mut |size| self.fits(size).is_ok());
        [self.recipe.batch, self.recipe.patch] = given;
        found
    }

    fn fits(&mut self, [batch, patch]: [usize; 2]) -> Result<(), HardenError> {
        self.recipe.patch = patch;
        let pixels = 3 * batch * patch * patch;
        let grey = |count: usize| vec![127; count];
        let scale = self.network.scale;
        let batch = Batch { lr: grey(pixels), hr: grey(pixels * scale * scale) };
        self.adam.zero_grad();
        let (total, _) = self.losses(&batch, 0.0)?;
        Ok(total.f_backward()?)
    }

    pub(super) fn diverged(&self, losses: &Losses) -> HardenError {
        let mut parts = format!("reconstruction {}", losses.reconstruction);
        if let Some(entropy) = losses.entropy {
            parts += &format!(", entropy {entropy}");
        }
        if let (Some(adversarial), Some(discriminator)) = (losses.adversarial, losses.discriminator) {
            parts += &format!(", adversarial {adversarial}, discriminator {discriminator}");
        }
        let (step, value, advice) = (self.step + 1, losses.total, self.advice());
        HardenError::Diverged { step, value, parts, advice, saved: String::new() }
    }

    pub(super) fn exploded(&self, error: AdamError) -> HardenError {
        match error {
            AdamError::NotFinite { name } => {
                let (step, advice) = (self.step + 1, self.advice());
                HardenError::Exploded { step, name, advice, saved: String::new() }
            }
            error => error.into(),
        }
    }

    /// Why losses and gradients stop being finite, and what to try.
    fn advice(&self) -> String {
        let rate = self.recipe.learning_rate_at(self.step);
        let clip = if self.recipe.clip > 0.0 { "" } else { ", or gradients that --clip would shorten" };
        format!(
            "likely causes are a learning rate that is too high (it is {rate}: try --lr {}), a lambda that is \
             too large (it is {}){clip}",
            rate / 10.0,
            self.recipe.lambda
        )
    }
}
