//! The crops of a training step: a pure function of the seed and the step, without any state.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dataset::Dataset;
use super::pixels::Turn;

/// The crops of one step as interleaved 8-bit RGB: (batch, side, side, 3), HR sides `scale` times
/// LR sides.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::harden) struct Batch {
    pub lr: Vec<u8>,
    pub hr: Vec<u8>,
}

impl Dataset {
    /// The crops of a step: images, places and turns are drawn from ChaCha8 with `seed`, stream
    /// `step`.
    pub(in crate::harden) fn batch(&self, seed: u64, step: u64, count: usize, patch: usize) -> Batch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step);
        let (scale, pixels) = (self.scale, count * patch * patch * 3);
        let mut batch =
            Batch { lr: Vec::with_capacity(pixels), hr: Vec::with_capacity(pixels * scale * scale) };
        for _ in 0..count {
            let pair = &self.pairs[rng.random_range(0..self.pairs.len())];
            let top = rng.random_range(0..=pair.lr.height - patch);
            let left = rng.random_range(0..=pair.lr.width - patch);
            let turn = Turn::new(rng.random_range(0..8));
            pair.lr.cut(top, left, patch, turn, &mut batch.lr);
            pair.hr.cut(top * scale, left * scale, patch * scale, turn, &mut batch.hr);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::super::tests::{load, picture};
    use crate::image::save_png;

    #[test]
    fn lr_and_hr_crops_show_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        // Colours constant over 2x2 blocks and smooth beyond, so that LR is close to HR's blocks.
        let smooth = Array3::from_shape_fn((3, 41, 50), |(c, y, x)| {
            (20 * c + 3 * (y / 2) + 2 * (x / 2)) as f32 / 255.0
        });
        save_png(&folder.path().join("a.png"), smooth.view()).unwrap();
        let dataset = load(folder.path(), 2, 6).unwrap();
        let batch = dataset.batch(1, 2, 9, 6);
        assert_eq!((batch.lr.len(), batch.hr.len()), (9 * 6 * 6 * 3, 9 * 12 * 12 * 3));
        for example in 0..9 {
            for (y, x, c) in (0..108).map(|index| (index / 18, index / 3 % 6, index % 3)) {
                let lr = i32::from(batch.lr[example * 108 + (y * 6 + x) * 3 + c]);
                let hr = i32::from(batch.hr[example * 432 + (2 * y * 12 + 2 * x) * 3 + c]);
                assert!((lr - hr).abs() <= 2, "{lr} {hr}");
            }
        }
    }

    #[test]
    fn a_batch_is_a_function_of_seed_and_step() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            save_png(&folder.path().join(name), picture(40, 50).view()).unwrap();
        }
        let (one, other) = (load(folder.path(), 4, 5).unwrap(), load(folder.path(), 4, 5).unwrap());
        assert_eq!(one.batch(3, 7, 4, 5), other.batch(3, 7, 4, 5));
        assert_ne!(one.batch(3, 7, 4, 5), one.batch(3, 8, 4, 5));
        assert_ne!(one.batch(3, 7, 4, 5), one.batch(4, 7, 4, 5));
    }
}
