//! Gradients by tiles.

use ndarray::{Array4, ArrayView4, Axis, s};

use super::{Tile, Tiles, size_of, window};
use crate::oracle::{Objective, Oracle, OracleError};

impl Objective {
    /// Whether its gradient is made of those of the output's parts: those that are smooth where output and target
    /// agree, and add up over output pixels, or their squares do.
    pub fn adds_up_over_tiles(&self) -> bool {
        matches!(self, Self::Distance | Self::Luma | Self::Targeted | Self::Cosine)
    }

    /// Whether it is the root of a sum over pixels, and not the sum.
    fn is_root(&self) -> bool {
        matches!(self, Self::Distance | Self::Luma | Self::Targeted)
    }
}

impl Oracle {
    /// The objective of every image of a batch, and its gradient, added up over tiles.
    ///
    /// A tile answers for the output pixels that are kept of it. Beyond those its target is its own output, where the
    /// objective is 0 and has no slope.
    pub(in crate::oracle) fn gradient_by_tiles(
        &mut self,
        x: ArrayView4<'_, f32>,
        target: ArrayView4<'_, f32>,
        tiles: Tiles,
        parts: &[Tile],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        if !self.objective().adds_up_over_tiles() {
            return Err(OracleError::NotInTiles(self.objective().name()));
        }
        let (root, output) = (self.objective().is_root(), tiles.output(size_of(x)));
        let mut sums = vec![0.0; x.len_of(Axis(0))];
        let mut gradient = Array4::<f64>::zeros(x.raw_dim());
        for part in parts {
            let read = window(x, part);
            let mut aim = self.forward_whole(read)?;
            let [rows, columns] = tiles.place(part, output);
            let [own_rows, own_columns] = tiles.place_inside(part, output);
            aim.slice_mut(s![.., .., own_rows, own_columns]).assign(&target.slice(s![.., .., rows, columns]));
            let (values, slopes) = self.gradient_whole(read, aim.view())?;
            let [rows, columns] = part.read.clone();
            let mut place = gradient.slice_mut(s![.., .., rows, columns]);
            for (index, &value) in values.iter().enumerate() {
                // The derivative of a part's square is twice the part times its own derivative.
                let (sum, weight) = if root { (value * value, value.abs()) } else { (value, 1.0) };
                sums[index] += sum;
                let slope = slopes.index_axis(Axis(0), index);
                place.index_axis_mut(Axis(0), index).zip_mut_with(&slope, |to, &slope| {
                    *to += weight * f64::from(slope);
                });
            }
        }
        Ok(self.joined(root, sums, gradient))
    }

    /// The whole objective and its gradient, of the sums over tiles.
    fn joined(&self, root: bool, sums: Vec<f64>, mut gradient: Array4<f64>) -> (Vec<f64>, Array4<f32>) {
        if !root {
            return (sums, gradient.mapv(|slope| slope as f32));
        }
        let sign = if *self.objective() == Objective::Targeted { -1.0 } else { 1.0 };
        let lengths: Vec<f64> = sums.into_iter().map(f64::sqrt).collect();
        for (mut slopes, &length) in gradient.outer_iter_mut().zip(&lengths) {
            if length > 0.0 {
                slopes /= length;
            }
        }
        (lengths.into_iter().map(|length| sign * length).collect(), gradient.mapv(|slope| slope as f32))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::runtime::{self, Kind};
    use crate::zoo::Edsr;

    const SIZE: [usize; 2] = [56, 40];

    fn oracle(objective: Objective, tiles: Option<Tiles>) -> Oracle {
        let model = Arc::new(Edsr { features: 4, blocks: 1, scale: 2 }.build(3).unwrap());
        let runtime = Arc::from(runtime::open(Kind::TRACT).unwrap());
        Oracle::new(runtime, model, objective).in_tiles(tiles)
    }

    fn batch(channels: [usize; 4], factor: f32) -> Array4<f32> {
        let value = |(n, c, y, x): (usize, usize, usize, usize)| {
            0.5 + 0.5 * (factor * (n + 2 * c) as f32 + 0.37 * y as f32 + 0.11 * factor * (x * x) as f32).sin()
        };
        Array4::from_shape_fn(channels, value)
    }

    /// Nine tiles, which reach as far beyond what is kept of them as the network looks: six convolutions of 3 x 3.
    #[test]
    fn tiles_give_the_gradient_of_the_whole() {
        let tiles = Tiles { size: [32, 32], margin: 10, multiple: 1, scale: 2, cut: 0 };
        let x = batch([2, 3, SIZE[0], SIZE[1]], 1.0);
        let target = batch([2, 3, 2 * SIZE[0], 2 * SIZE[1]], 1.7);
        assert!(oracle(Objective::Distance, Some(tiles)).cut(x.view()).unwrap().1.len() >= 4);
        for objective in [Objective::Distance, Objective::Luma, Objective::Targeted, Objective::Cosine] {
            let mut whole = oracle(objective.clone(), None);
            let mut tiled = oracle(objective.clone(), Some(tiles));
            assert!(apart(&whole.forward(x.view()).unwrap(), &tiled.forward(x.view()).unwrap()) < 1e-5);
            let (expected, gradient) = whole.value_and_gradient(x.view(), target.view()).unwrap();
            let (values, found) = tiled.value_and_gradient(x.view(), target.view()).unwrap();
            for (value, expected) in values.iter().zip(&expected) {
                assert!(
                    (value - expected).abs() < 1e-4 * expected.abs(),
                    "{objective:?}: {value} {expected}"
                );
            }
            assert!(apart(&found, &gradient) < 1e-4, "{objective:?}: {}", apart(&found, &gradient));
            assert_eq!(tiled.effort().gradients, 2, "an image counts once, however many tiles it has");
        }
    }

    /// The signs of an L1 distance would be those of rounding where a tile has itself for a target.
    #[test]
    fn what_does_not_add_up_is_refused() {
        let tiles = Tiles { size: [32, 32], margin: 10, multiple: 1, scale: 2, cut: 0 };
        let (x, target) = (batch([1, 3, 56, 40], 1.0), batch([1, 3, 112, 80], 1.7));
        let answer = oracle(Objective::L1, Some(tiles)).value_and_gradient(x.view(), target.view());
        assert!(matches!(answer, Err(OracleError::NotInTiles(_))));
    }

    /// The largest difference, as a share of the largest value.
    fn apart(found: &Array4<f32>, expected: &Array4<f32>) -> f32 {
        let most =
            |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f32, |most, it| most.max(it.abs()));
        let difference = most(&mut found.iter().zip(expected).map(|(a, b)| a - b));
        difference / most(&mut expected.iter().copied())
    }
}
