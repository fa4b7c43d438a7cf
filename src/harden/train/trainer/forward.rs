//! How images pass through the network under training: pixels to tensors, batches that a network does not
//! take at once, and what is seen of Phi on the way.

use super::Trainer;
use crate::density::Noise;
use crate::harden::HardenError;
use crate::harden::data::Batch;
use crate::harden::seed::Purpose;
use crate::harden::train::defence::Seen;
use crate::harden::train::pixels::{Pairs, images};
use crate::torch::{Kind, Tensor, no_grad};

impl Trainer {
    /// The output and Phi, without noise, for images as the network takes them.
    pub fn run_with_phi(&self, x: &Tensor) -> Result<(Tensor, Tensor), HardenError> {
        let mut seen = None;
        let mut outputs = no_grad(|| {
            self.program.run_tapped::<HardenError>(std::slice::from_ref(x), &self.network.tap, &mut |phi| {
                seen = Some(phi.shallow_clone());
                Ok(phi)
            })
        })?;
        Ok((outputs.swap_remove(0), seen.unwrap_or_default()))
    }

    /// How much what follows Phi amplifies noise in it: the root mean square of the change of the output, in
    /// 1/255, over that of the noise. The noise is that of training, drawn anew for every `draw`; `output` is
    /// that for `x` without noise.
    pub fn gain(&self, x: &Tensor, output: &Tensor, draw: u64) -> Result<f64, HardenError> {
        let (source, width) = (Noise::new(Purpose::Gain.seed(self.recipe.seed)), self.noise_width());
        let mut added = None;
        let noisy = no_grad(|| {
            self.program.run_tapped::<HardenError>(std::slice::from_ref(x), &self.network.tap, &mut |phi| {
                let noise = source.uniform_like(&phi, width, draw)?;
                let sum = phi.f_add(&noise)?;
                added = Some(noise);
                Ok(sum)
            })
        })?
        .swap_remove(0);
        let rms = |tensor: &Tensor| tensor.f_square()?.f_mean(Kind::Double)?.f_sqrt()?.f_double_value(&[]);
        let added = added.unwrap_or_default();
        Ok(255.0 * rms(&noisy.f_sub(output)?)? / rms(&added)?)
    }

    /// The spread of Phi over a batch, before any noise.
    pub fn spread(&self, batch: &Batch) -> Result<f64, HardenError> {
        let lr = self.network.colours(self.images(&batch.lr, self.recipe.patch as i64)?)?;
        let (_, seen) = no_grad(|| self.forward(&lr))?;
        Ok(seen.spread.map_or(Ok(f64::NAN), |spread| spread.f_double_value(&[]))?)
    }

    /// Inputs and targets of a step, attacked images included.
    pub(super) fn pairs(&self, batch: &Batch) -> Result<Pairs, HardenError> {
        let side = self.recipe.patch as i64;
        let lr = self.network.colours(self.images(&batch.lr, side)?)?;
        let hr = self.images(&batch.hr, side * self.network.scale as i64)?;
        self.with_attacked(lr, self.network.inside(self.network.colours(hr)?)?)
    }

    /// In adversarial training, every image and, behind them, every image attacked, with one target
    /// for both.
    fn with_attacked(&self, lr: Tensor, hr: Tensor) -> Result<Pairs, HardenError> {
        let Some(adversary) = &self.adversary else { return Ok(Pairs { lr, hr }) };
        let attacked = adversary.attack(&|x| self.run(x), &lr, self.step)?;
        Ok(Pairs { lr: Tensor::f_cat(&[&lr, &attacked], 0)?, hr: Tensor::f_cat(&[&hr, &hr], 0)? })
    }

    /// The output with noise in Phi, and what is seen of Phi.
    pub(super) fn forward(&self, lr: &Tensor) -> Result<(Tensor, Seen), HardenError> {
        if self.batches {
            return self.forward_once(lr, self.step);
        }
        let count = lr.size()[0];
        let one = |index: i64| {
            let draw = self.step * count as u64 + index as u64;
            self.forward_once(&lr.f_narrow(0, index, 1)?, draw)
        };
        let (outputs, seen): (Vec<_>, Vec<_>) =
            (0..count).map(one).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok((Tensor::f_cat(&outputs, 0)?, Seen::mean(&seen)?))
    }

    /// The output alone, without noise.
    pub fn run(&self, lr: &Tensor) -> Result<Tensor, HardenError> {
        let one = |lr: &Tensor| {
            self.program.run(std::slice::from_ref(lr)).map(|mut outputs| outputs.swap_remove(0))
        };
        if self.batches {
            return Ok(one(lr)?);
        }
        let each = (0..lr.size()[0]).map(|index| Ok(one(&lr.f_narrow(0, index, 1)?)?));
        Ok(Tensor::f_cat(&each.collect::<Result<Vec<_>, HardenError>>()?, 0)?)
    }

    fn forward_once(&self, lr: &Tensor, draw: u64) -> Result<(Tensor, Seen), HardenError> {
        let mut seen = Seen::default();
        let tapped = &mut |phi| {
            let (phi, found) = self.defence.pass(phi, draw)?;
            seen = found;
            Ok::<_, HardenError>(phi)
        };
        let mut outputs = self.program.run_tapped(std::slice::from_ref(lr), &self.network.tap, tapped)?;
        Ok((outputs.swap_remove(0), seen))
    }

    /// Interleaved 8-bit pixels as (N, 3, side, side) on [0, 1], channels-last in memory.
    fn images(&self, pixels: &[u8], side: i64) -> Result<Tensor, HardenError> {
        images(pixels, side, side, self.program.device())
    }
}
