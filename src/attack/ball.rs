//! The ball of a budget around an image, cut to the range of pixels and to what may be attacked.
//!
//! A budget is a level: in the L-infinity norm the most that a value may move, in L2 the most that
//! the root mean square over all values that may move can be. The radius of an L2 ball is therefore
//! level * sqrt(number of such values), so that one number means perturbations of one size in both
//! norms, and the L-infinity ball lies inside the L2 ball.
//!
//! Bounds are rounded inwards, so that the budget holds exactly for the float32 values, not only up
//! to rounding. An attack projects into the ball; whoever ordered the attack checks.

use ndarray::{Array4, ArrayView4, Zip};

use super::mask::{Mask, MaskError};
use super::norm::Norm;
use super::rounding::{highest, lowest, sign, towards};

/// An attack that broke its budget: a bug of the attack, never a finding.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("the attack left its budget: {0}; its result is not used: please report this")]
pub struct OutsideBall(String);

/// The points within a budget of the image x0, in [0, 1], and equal to x0 outside the mask.
#[derive(Clone, Debug)]
pub struct Ball {
    low: Array4<f32>,
    high: Array4<f32>,
    centre: Array4<f32>,
    norm: Norm,
    level: f64,
    mask: Option<Mask>,
    free: usize,
}

impl Ball {
    /// The L-infinity ball of `level` (on [0, 1]) around an image whose values lie in [0, 1].
    pub fn new(centre: ArrayView4<'_, f32>, level: f64) -> Self {
        Self::of(Norm::Linf, centre, level)
    }

    /// The ball of `level` (on [0, 1]) in a norm, around one image whose values lie in [0, 1].
    pub fn of(norm: Norm, centre: ArrayView4<'_, f32>, level: f64) -> Self {
        let reach = if norm == Norm::Linf { level } else { f64::INFINITY };
        let low = centre.mapv(|x0| (lowest(x0, reach)).max(0.0));
        let high = centre.mapv(|x0| (highest(x0, reach)).min(1.0));
        Self { low, high, centre: centre.to_owned(), norm, level, mask: None, free: centre.len() }
    }

    /// The part of the ball in which only pixels of the mask differ from x0.
    ///
    /// # Errors
    /// [`MaskError::Size`].
    pub fn masked(mut self, mask: Mask) -> Result<Self, MaskError> {
        let size = [self.centre.shape()[2], self.centre.shape()[3]];
        if mask.size() != size {
            return Err(MaskError::Size { found: mask.size(), size });
        }
        let bounds = self.low.indexed_iter_mut().zip(self.high.iter_mut()).zip(&self.centre);
        let mut free = 0;
        for ((((_, _, row, column), low), high), &x0) in bounds {
            if mask.is_free(row, column) {
                free += 1;
            } else {
                (*low, *high) = (x0, x0);
            }
        }
        (self.free, self.mask) = (free, Some(mask));
        Ok(self)
    }

    /// The ball of the same budget, norm and mask around another image of the same size.
    pub fn around(&self, centre: ArrayView4<'_, f32>) -> Self {
        let ball = Self::of(self.norm, centre, self.level);
        match self.mask.clone() {
            Some(mask) => ball.clone().masked(mask).unwrap_or(ball),
            None => ball,
        }
    }

    /// The ball of a part of the budget around the same image, with the same norm and mask.
    pub fn part(&self, share: f64) -> Self {
        Self { level: share * self.level, ..self.clone() }.around(self.centre())
    }

    /// The budget on [0, 1]: what every value may move, or their root mean square.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// The norm.
    pub fn norm(&self) -> Norm {
        self.norm
    }

    /// The radius in its norm, on [0, 1]; see the head of this file for that of L2.
    pub fn radius(&self) -> f64 {
        match self.norm {
            Norm::Linf => self.level,
            Norm::L2 => self.level * (self.free as f64).sqrt(),
        }
    }

    /// The image in the middle.
    pub fn centre(&self) -> ArrayView4<'_, f32> {
        self.centre.view()
    }

    /// How many values may move.
    pub fn free(&self) -> usize {
        self.free
    }

    /// The rows and columns that hold all pixels that may move.
    pub fn window(&self) -> [std::ops::Range<usize>; 2] {
        let [height, width] = [self.centre.shape()[2], self.centre.shape()[3]];
        let Some(mask) = &self.mask else { return [0..height, 0..width] };
        let row = |row: usize| (0..width).any(|column| mask.is_free(row, column));
        let column = |column: usize| (0..height).any(|row| mask.is_free(row, column));
        let span = |length: usize, holds: &dyn Fn(usize) -> bool| {
            let first = (0..length).find(|&at| holds(at)).unwrap_or(0);
            let last = (0..length).rfind(|&at| holds(at)).unwrap_or(length - 1);
            first..last + 1
        };
        [span(height, &row), span(width, &column)]
    }

    /// Brings `x` inside: every value to the nearest of its range, and in L2 what is still too far
    /// straight back towards x0.
    pub fn project(&self, x: &mut Array4<f32>) {
        Zip::from(&mut *x).and(&self.low).and(&self.high).for_each(|x, &low, &high| *x = x.clamp(low, high));
        if self.norm == Norm::L2 {
            self.draw_in(x);
        }
    }

    /// Shortens x - x0 to the radius. Every value is rounded towards x0, so that the sum of squares
    /// can only lose by rounding.
    fn draw_in(&self, x: &mut Array4<f32>) {
        let radius = self.radius();
        let mut share = radius / self.distance(x.view()).max(f64::MIN_POSITIVE);
        if share >= 1.0 {
            return;
        }
        let far = x.clone();
        loop {
            Zip::from(&mut *x).and(&far).and(&self.centre).for_each(|x, &far, &x0| {
                let allowed = (f64::from(far) - f64::from(x0)) * share;
                *x = towards(x0, allowed);
            });
            if self.distance(x.view()) <= radius {
                return;
            }
            // What f64 itself rounded up.
            share *= 1.0 - 1e-12;
        }
    }

    /// ||x - x0||_2 in f64.
    fn distance(&self, x: ArrayView4<'_, f32>) -> f64 {
        let square = |(&x, &x0): (&f32, &f32)| (f64::from(x) - f64::from(x0)).powi(2);
        x.iter().zip(&self.centre).map(square).sum::<f64>().sqrt()
    }

    /// `x`, rounded to 8 bits inside the ball: every value is the nearest multiple of 1/255 that its bounds
    /// hold, and that of x0 where they hold none; in L2, what is then too far is rounded towards x0 instead.
    /// Bounds count in levels, up to a thousandth of one, since float32 multiples of 1/255 are not exact.
    pub fn to_8_bits(&self, x: ArrayView4<'_, f32>) -> Array4<f32> {
        const SLACK: f32 = 1e-3;
        let mut rounded = x.to_owned();
        Zip::from(&mut rounded).and(&self.low).and(&self.high).and(&self.centre).for_each(
            |x, &low, &high, &x0| {
                let (low, high) = ((255.0 * low - SLACK).ceil(), (255.0 * high + SLACK).floor());
                let level = (255.0 * *x).round();
                let level = if low <= high { level.clamp(low, high) } else { (255.0 * x0).round() };
                *x = level / 255.0;
            },
        );
        if self.norm == Norm::L2 && self.distance(rounded.view()) > self.radius() {
            Zip::from(&mut rounded).and(x).and(&self.centre).for_each(|rounded, &x, &x0| {
                let (level, from) = (255.0 * x, 255.0 * x0);
                let towards = if level > from { (level + SLACK).floor() } else { (level - SLACK).ceil() };
                *rounded = towards / 255.0;
            });
        }
        rounded
    }

    /// The direction in which the objective rises steepest for a step of the norm's unit size: signs
    /// in L-infinity, and in L2 the gradient brought to a root mean square of 1 over the values that
    /// may move. Zero where the gradient is.
    pub fn direction(&self, gradient: &Array4<f32>) -> Array4<f32> {
        match self.norm {
            Norm::Linf => gradient.mapv(sign),
            Norm::L2 => {
                let mut free = gradient.clone();
                Zip::from(&mut free).and(&self.low).and(&self.high).for_each(|value, low, high| {
                    if low == high {
                        *value = 0.0;
                    }
                });
                let length = free.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
                let factor = if length > 0.0 { (self.free as f64).sqrt() / length } else { 0.0 };
                free.mapv(|value| (f64::from(value) * factor) as f32)
            }
        }
    }

    /// Checks that `x` lies inside, in exact arithmetic.
    ///
    /// # Errors
    /// What of the budget does not hold.
    pub fn check(&self, x: ArrayView4<'_, f32>) -> Result<(), OutsideBall> {
        if x.shape() != self.centre.shape() {
            return Err(OutsideBall(format!("shape {:?} became {:?}", self.centre.shape(), x.shape())));
        }
        for (((_, _, row, column), &x), &x0) in x.indexed_iter().zip(&self.centre) {
            let moved = (f64::from(x) - f64::from(x0)).abs();
            if !(0.0..=1.0).contains(&x) {
                return Err(OutsideBall(format!("a pixel value of {x} is outside [0, 1]")));
            }
            if self.norm == Norm::Linf && moved > self.level {
                return Err(OutsideBall(format!(
                    "a pixel moved by {moved:e}, and {:e} is allowed",
                    self.level
                )));
            }
            if moved > 0.0 && self.mask.as_ref().is_some_and(|mask| !mask.is_free(row, column)) {
                return Err(OutsideBall(format!(
                    "the pixel at column {column}, row {row} moved, which the mask keeps"
                )));
            }
        }
        let (moved, radius) = (self.distance(x), self.radius());
        if self.norm == Norm::L2 && moved > radius {
            return Err(OutsideBall(format!(
                "the image moved by {moved:e} in L2, and {radius:e} is allowed"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn eight_bits_stay_within_the_budget_in_levels() {
        let x0 = image(&[10.0 / 255.0, 0.0, 1.0, 100.0 / 255.0]);
        let ball = Ball::new(x0.view(), 4.0 / 255.0);
        let levels =
            |x: Array4<f32>| x.mapv(|value| (255.0 * value).round() as i32).into_raw_vec_and_offset().0;
        let mut far = image(&[1.0, 1.0, 0.0, 98.4 / 255.0]);
        ball.project(&mut far);
        assert_eq!(levels(ball.to_8_bits(far.view())), [14, 4, 251, 98]);
        let small = Ball::new(x0.view(), 0.9 / 255.0);
        let mut far = image(&[1.0, 1.0, 0.0, 0.0]);
        small.project(&mut far);
        assert_eq!(
            levels(small.to_8_bits(far.view())),
            [10, 0, 255, 100],
            "nothing survives below one level"
        );
        let l2 = Ball::of(Norm::L2, x0.view(), 0.9 / 255.0);
        let mut far = image(&[1.0, 0.5, 0.5, 1.0]);
        l2.project(&mut far);
        let rounded = l2.to_8_bits(far.view());
        assert!(l2.distance(rounded.view()) <= l2.radius() + 1e-6);
    }

    fn image(values: &[f32]) -> Array4<f32> {
        Array4::from_shape_vec((1, 1, 1, values.len()), values.to_vec()).unwrap()
    }

    proptest! {
        #![proptest_config(crate::metric::seeded_cases())]
        #[test]
        fn a_projected_point_is_inside_to_the_last_bit(
            x0 in 0.0_f32..=1.0,
            x in -2.0_f32..=3.0,
            budget in 0.001_f64..=255.0,
        ) {
            let ball = Ball::new(image(&[x0]).view(), budget / 255.0);
            let mut moved = image(&[x]);
            ball.project(&mut moved);
            prop_assert_eq!(ball.check(moved.view()), Ok(()));
        }

        #[test]
        fn so_is_one_in_the_other_norm_under_a_mask(
            values in prop::collection::vec((0.0_f32..=1.0, -2.0_f32..=3.0, any::<bool>()), 1..40),
            budget in 0.001_f64..=255.0,
        ) {
            let (x0, x): (Vec<f32>, Vec<f32>) = values.iter().map(|value| (value.0, value.1)).unzip();
            let mut free: Vec<f32> = values.iter().map(|value| f32::from(u8::from(value.2))).collect();
            free[0] = 1.0;
            let free = ndarray::Array2::from_shape_vec((1, free.len()), free).unwrap();
            let mask = Mask::picture(free.view(), [1, x.len()]).unwrap();
            for norm in [Norm::Linf, Norm::L2] {
                let ball = Ball::of(norm, image(&x0).view(), budget / 255.0).masked(mask.clone()).unwrap();
                let mut moved = image(&x);
                ball.project(&mut moved);
                prop_assert_eq!(ball.check(moved.view()), Ok(()));
                // Once inside, a point stays where it is.
                let again = moved.clone();
                ball.project(&mut moved);
                prop_assert_eq!(again, moved);
            }
        }
    }

    #[test]
    fn the_ball_is_as_large_as_it_may_be() {
        let ball = Ball::new(image(&[0.3]).view(), 4.0 / 255.0);
        let mut far = image(&[1.0]);
        ball.project(&mut far);
        let beyond = image(&[far[[0, 0, 0, 0]].next_up()]);
        assert!(ball.check(beyond.view()).is_err());
    }

    #[test]
    fn an_l2_ball_holds_the_root_mean_square() {
        let x0 = image(&[0.5; 16]);
        let ball = Ball::of(Norm::L2, x0.view(), 0.01);
        assert!((ball.radius() - 0.04).abs() < 1e-12);
        let mut one = x0.clone();
        one[[0, 0, 0, 3]] = 1.0;
        ball.project(&mut one);
        assert!((one[[0, 0, 0, 3]] - 0.54).abs() < 1e-6, "one value may take the whole radius");
        let direction = ball.direction(&x0);
        assert!(direction.iter().all(|value| (value - 1.0).abs() < 1e-6), "{direction}");
    }

    #[test]
    fn cheating_is_seen() {
        let ball = Ball::new(image(&[0.5, 0.0]).view(), 1.0 / 255.0);
        for cheat in [[0.51, 0.0], [0.5, -0.001], [f32::NAN, 0.0]] {
            assert!(ball.check(image(&cheat).view()).is_err(), "{cheat:?}");
        }
        assert!(ball.check(image(&[0.5]).view()).is_err());
        let l2 = Ball::of(Norm::L2, image(&[0.5, 0.5]).view(), 0.1);
        assert!(l2.check(image(&[0.6, 0.6]).view()).is_err(), "0.6 lies a rounding beyond 0.1");
        assert!(l2.check(image(&[0.59, 0.6]).view()).is_ok());
        let mask = Mask::picture(ndarray::array![[1.0, 0.0]].view(), [1, 2]).unwrap();
        let masked = Ball::of(Norm::L2, image(&[0.5, 0.5]).view(), 0.1).masked(mask).unwrap();
        let message = masked.check(image(&[0.5, 0.51]).view()).unwrap_err().to_string();
        assert!(message.contains("column 1, row 0 moved, which the mask keeps"), "{message}");
    }
}
