//! Exponential moving averages of the network's weights: what is validated and exported where a
//! recipe asks for it. The optimiser never sees them.

use crate::harden::HardenError;
use crate::harden::names::CHECKPOINT;
use crate::torch::{Tensor, no_grad};

/// Tensors by name.
type Named = Vec<(String, Tensor)>;

/// The averages, one for each tensor of the network's state.
pub(super) struct Ema {
    decay: f64,
    averages: Named,
}

impl Ema {
    /// Averages that start at `state` and keep `decay` of themselves at every step.
    pub fn new(decay: f64, state: &[(String, Tensor)]) -> Self {
        Self { decay, averages: copies(state) }
    }

    /// Moves the averages towards `state`, given in the same order.
    pub fn update(&mut self, state: &[(String, Tensor)]) -> Result<(), HardenError> {
        no_grad(|| {
            for ((_, average), (_, value)) in self.averages.iter_mut().zip(state) {
                let _ = average.f_lerp_(value, 1.0 - self.decay)?;
            }
            Ok(())
        })
    }

    /// Overwrites the averages with saved ones, found by name.
    ///
    /// # Errors
    /// [`HardenError::Checkpoint`] naming the first that is not there.
    pub fn restore(&self, saved: &[(String, Tensor)]) -> Result<(), HardenError> {
        let find = |(name, own): &(String, Tensor)| {
            let same =
                saved.iter().find(|(candidate, value)| candidate == name && value.size() == own.size());
            same.map(|(name, value)| (name.clone(), value.shallow_clone())).ok_or_else(|| {
                HardenError::Checkpoint {
                    path: CHECKPOINT.into(),
                    problem: format!("it has no average of `{name}`"),
                }
            })
        };
        let found = self.averages.iter().map(find).collect::<Result<Named, _>>()?;
        overwrite(&self.averages, &found)
    }

    /// The averages by name.
    pub fn state(&self) -> Named {
        self.averages.iter().map(|(name, average)| (name.clone(), average.shallow_clone())).collect()
    }
}

/// Copies of tensors.
pub(super) fn copies(state: &[(String, Tensor)]) -> Named {
    no_grad(|| state.iter().map(|(name, tensor)| (name.clone(), tensor.detach().copy())).collect())
}

/// Overwrites `target` with `source`, given in the same order.
pub(super) fn overwrite(target: &[(String, Tensor)], source: &[(String, Tensor)]) -> Result<(), HardenError> {
    no_grad(|| {
        for ((_, own), (_, value)) in target.iter().zip(source) {
            own.shallow_clone().f_copy_(value)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_follows_at_its_decay_and_leaves_the_weights_alone() {
        let weight = Tensor::from_slice(&[1f32, 2.0]).set_requires_grad(true);
        let state = [("w".to_owned(), weight.shallow_clone())];
        let mut ema = Ema::new(0.75, &state);
        let _ = no_grad(|| weight.shallow_clone().f_add_scalar_(4.0)).unwrap();
        ema.update(&state).unwrap();
        let values = |tensor: &Tensor| crate::torch::to_vec::<f32>(tensor).unwrap();
        assert_eq!(values(&ema.state()[0].1), [2.0, 3.0]);
        assert_eq!(values(&weight), [5.0, 6.0]);
        ema.update(&state).unwrap();
        assert_eq!(values(&ema.state()[0].1), [2.75, 3.75]);
    }
}
