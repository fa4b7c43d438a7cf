//! The uniform noise of eq. (12), as a pure function of a seed and a step: there is no generator
//! whose state a checkpoint would have to hold, and a resumed run draws what it would have drawn.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::DensityError;
use crate::torch::{self, Device, Kind, Tensor};

/// Elements drawn at a time: a whole number of ChaCha's blocks of 16 words.
const BLOCK: usize = 1 << 10;

/// A source of noise, one draw per training step.
///
/// On the CPU, element `i` (in memory order) of step `k` is word `i` of stream `k` of ChaCha8 under
/// the seed: the same for any number of threads, bit for bit, on any machine. On a GPU, libtorch's
/// own counter-based generator is seeded anew at every step from the seed and the step: the same
/// on a resumed run on that kind of GPU, and other numbers than on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    seed: u64,
}

impl Noise {
    /// A source under this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Gamma of eq. (12): uniform in [-delta/2, delta/2], in the shape, kind, device and memory
    /// layout of `phi`, without gradient.
    ///
    /// # Errors
    /// Delta is not a positive number, or libtorch cannot allocate.
    pub fn uniform_like(&self, phi: &Tensor, delta: f64, step: u64) -> Result<Tensor, DensityError> {
        super::check_delta(delta)?;
        if phi.device() != Device::Cpu {
            torch::seed(self.mixed(step));
            let draw = phi.f_detach()?.f_rand_like()?;
            return Ok((draw - 0.5) * delta);
        }
        let size = phi.size();
        let mut values = vec![0f32; phi.numel()];
        self.fill(&mut values, delta, step);
        let flat = Tensor::from_slice(&values);
        let shaped = if torch::is_channels_last(phi) {
            flat.view([size[0], size[2], size[3], size[1]]).permute([0, 3, 1, 2])
        } else {
            flat.view(size.as_slice())
        };
        Ok(if phi.kind() == Kind::Float { shaped } else { shaped.f_to_kind(phi.f_kind()?)? })
    }

    /// A seed for one step that differs from its neighbours in every bit with chance one half.
    fn mixed(&self, step: u64) -> i64 {
        self.stream(step).next_u64() as i64
    }

    fn stream(&self, step: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(step);
        rng
    }

    /// Fills `values` with the words of stream `step`, each thread its own contiguous part.
    fn fill(&self, values: &mut [f32], delta: f64, step: u64) {
        let part = values.len().div_ceil(torch::threads()).next_multiple_of(BLOCK).max(BLOCK);
        std::thread::scope(|scope| {
            for (index, values) in values.chunks_mut(part).enumerate() {
                scope.spawn(move || {
                    let mut rng = self.stream(step);
                    rng.set_word_pos((index * part) as u128);
                    values.chunks_mut(BLOCK).for_each(|block| fill_block(&mut rng, block, delta));
                });
            }
        });
    }
}

/// Maps the top 24 bits of each word to the middles of 2^24 equal cells of (-delta/2, delta/2).
fn fill_block(rng: &mut ChaCha8Rng, values: &mut [f32], delta: f64) {
    const CELLS: i32 = 1 << 24;
    let cell = (delta / f64::from(CELLS)) as f32;
    let mut words = [0u32; BLOCK];
    let words = &mut words[..values.len()];
    rng.fill_bytes(bytemuck::cast_slice_mut(words));
    for (value, word) in values.iter_mut().zip(words) {
        let index = (u32::from_le(*word) >> 8) as i32;
        *value = ((index - CELLS / 2) as f32 + 0.5) * cell;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(shape: &[i64], delta: f64, step: u64) -> Tensor {
        let phi = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        Noise::new(11).uniform_like(&phi, delta, step).unwrap()
    }

    #[test]
    fn noise_is_uniform_within_half_a_delta() {
        let noise = draw(&[4, 8, 50, 50], 0.5, 0);
        let values = torch::to_vec::<f64>(&noise).unwrap();
        let count = values.len() as f64;
        assert!(values.iter().all(|value| value.abs() < 0.25));
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / count;
        // The standard errors are 5.1e-4 and 7e-5.
        assert!(mean.abs() < 2e-3, "{mean}");
        assert!((variance - 0.25 / 12.0).abs() < 3e-4, "{variance}");
        let mut tenths = [0.0; 10];
        values.iter().for_each(|value| tenths[((value / 0.5 + 0.5) * 10.0) as usize] += 1.0);
        assert!(tenths.iter().all(|share| (share / count - 0.1).abs() < 5e-3), "{tenths:?}");
    }

    #[test]
    fn a_step_repeats_itself_and_no_other() {
        let shape = [2, 3, 17, 19];
        let first = torch::to_vec::<f32>(&draw(&shape, 1.0, 5)).unwrap();
        assert_eq!(first, torch::to_vec::<f32>(&draw(&shape, 1.0, 5)).unwrap());
        let next = torch::to_vec::<f32>(&draw(&shape, 1.0, 6)).unwrap();
        let same = first.iter().zip(&next).filter(|(left, right)| left == right).count();
        assert_eq!(same, 0);
    }

    #[test]
    fn the_cut_among_threads_cannot_be_seen() {
        let noise = Noise::new(3);
        let mut whole = vec![0f32; 3 * BLOCK + 77];
        noise.fill(&mut whole, 1.0, 9);
        let mut plain = vec![0f32; whole.len()];
        let mut rng = noise.stream(9);
        for value in &mut plain {
            fill_block(&mut rng, std::slice::from_mut(value), 1.0);
        }
        assert_eq!(whole, plain);
    }

    #[test]
    fn noise_follows_the_layout_and_kind_of_phi() {
        let phi = torch::channels_last(&Tensor::zeros([2, 3, 4, 5], (Kind::Double, Device::Cpu)));
        let noise = Noise::new(1).uniform_like(&phi.set_requires_grad(true), 1.0, 0).unwrap();
        assert!(torch::is_channels_last(&noise) && !noise.requires_grad());
        assert_eq!((noise.size(), noise.kind()), (vec![2, 3, 4, 5], Kind::Double));
        assert!(Noise::new(1).uniform_like(&noise, 0.0, 0).is_err());
    }
}
