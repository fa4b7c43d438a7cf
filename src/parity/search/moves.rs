//! Steps of a search that need no gradient: a box of one input is filled anew.
//!
//! A box lies in the last two axes (of an image with its channels last, in the two before them), in all channels or
//! in one. Deliberately absent, as they found less than these in as many runs: boxes moved by one number, and boxes
//! taken from another input.

use ndarray::{ArrayD, Axis, Slice};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What a box is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The least or the largest number, one for every channel, as in the Square attack (Andriushchenko et al., ECCV
    /// 2020).
    Square,
    /// The least or the largest number, drawn for every element.
    Speckle,
}

impl Fill {
    /// Fills a random box with the ends of a range.
    pub fn apply(self, array: &mut ArrayD<f32>, [low, high]: [f32; 2], rng: &mut ChaCha8Rng) {
        let shape = array.shape().to_vec();
        let stretches = random_box(&shape, rng);
        let mut part = array.slice_each_axis_mut(|axis| stretches[axis.axis.index()]);
        let mut extreme = || if rng.random_range(0.0..1.0f32) < 0.5 { low } else { high };
        match (self, channel_axis(&shape)) {
            (Fill::Square, Some(axis)) => {
                part.axis_iter_mut(Axis(axis)).for_each(|mut plane| plane.fill(extreme()));
            }
            (Fill::Square, None) => part.fill(extreme()),
            (Fill::Speckle, _) => part.map_inplace(|value| *value = extreme()),
        }
    }
}

/// The axis of the channels of an image.
fn channel_axis(shape: &[usize]) -> Option<usize> {
    (shape.len() == 4).then_some(if is_channels_last(shape) { 3 } else { 1 })
}

fn is_channels_last(shape: &[usize]) -> bool {
    shape.len() == 4 && shape[3] <= 4 && shape[1] > 4
}

/// The shortest stretch of a box, as a share of its axis.
const SHORTEST: f32 = 0.02;

/// A part of every axis: of two a stretch that is short as often as long, of the others all.
fn random_box(shape: &[usize], rng: &mut ChaCha8Rng) -> Vec<Slice> {
    let end = if is_channels_last(shape) { 3 } else { shape.len() };
    let share = SHORTEST.powf(rng.random_range(0.0..1.0f32));
    let one_channel = rng.random_range(0.0..1.0f32) < 0.3;
    let mut stretch = |axis: usize, size: usize| -> Slice {
        let length = match (axis + 2 >= end && axis < end, Some(axis) == channel_axis(shape)) {
            (true, _) => ((size as f32 * share).round() as usize).max(1),
            (_, true) if one_channel => 1,
            _ => size,
        };
        let start = rng.random_range(0..=size.saturating_sub(length));
        Slice::from(start..(start + length).min(size))
    };
    shape.iter().enumerate().map(|(axis, &size)| stretch(axis, size)).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::IxDyn;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_box_of_any_shape_is_filled_with_the_ends_of_the_range() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for shape in [&[1, 3, 8, 9][..], &[1, 8, 9, 3], &[5], &[], &[2, 0], &[2, 3, 4, 5, 6]] {
            for fill in [Fill::Square, Fill::Speckle] {
                let mut array = ArrayD::from_elem(IxDyn(shape), 0.5_f32);
                fill.apply(&mut array, [-1.0, 2.0], &mut rng);
                let moved = array.iter().filter(|value| **value != 0.5).count();
                assert!(moved > 0 || array.is_empty(), "{shape:?}");
                assert!(array.iter().all(|value| [0.5, -1.0, 2.0].contains(value)), "{shape:?}");
            }
        }
    }
}
