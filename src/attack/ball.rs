//! The ball of a budget around an image, cut to the range of pixels.
//!
//! Bounds are rounded inwards, so that |x - x0| <= epsilon holds exactly for the float32 values,
//! not only up to rounding. An attack projects into it; whoever ordered the attack checks.

use ndarray::{Array4, ArrayView4, Zip};

/// An attack that broke its budget: a bug of the attack, never a finding.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("the attack left its budget: {0}; its result is not used: please report this")]
pub struct OutsideBall(String);

/// The points at most epsilon away from x0 in every value, and in [0, 1].
#[derive(Clone, Debug)]
pub struct Ball {
    low: Array4<f32>,
    high: Array4<f32>,
    centre: Array4<f32>,
    radius: f64,
}

impl Ball {
    /// The L-infinity ball of `radius` (on [0, 1]) around an image whose values lie in [0, 1].
    pub fn new(centre: ArrayView4<'_, f32>, radius: f64) -> Self {
        let low = centre.mapv(|x0| (lowest(x0, radius)).max(0.0));
        let high = centre.mapv(|x0| (highest(x0, radius)).min(1.0));
        Self { low, high, centre: centre.to_owned(), radius }
    }

    /// The radius, on [0, 1].
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// The image in the middle.
    pub fn centre(&self) -> ArrayView4<'_, f32> {
        self.centre.view()
    }

    /// Brings every value of `x` to the nearest one inside.
    pub fn project(&self, x: &mut Array4<f32>) {
        Zip::from(x).and(&self.low).and(&self.high).for_each(|x, &low, &high| *x = x.clamp(low, high));
    }

    /// Checks that `x` lies inside, in exact arithmetic.
    pub fn check(&self, x: ArrayView4<'_, f32>) -> Result<(), OutsideBall> {
        if x.shape() != self.centre.shape() {
            return Err(OutsideBall(format!("shape {:?} became {:?}", self.centre.shape(), x.shape())));
        }
        for (&x, &x0) in x.iter().zip(&self.centre) {
            let moved = (f64::from(x) - f64::from(x0)).abs();
            if !(0.0..=1.0).contains(&x) {
                return Err(OutsideBall(format!("a pixel value of {x} is outside [0, 1]")));
            }
            if moved > self.radius {
                return Err(OutsideBall(format!(
                    "a pixel moved by {moved:e}, and {:e} is allowed",
                    self.radius
                )));
            }
        }
        Ok(())
    }
}

/// The least float32 that is at most `radius` below. The difference of two float32 in [0, 1] is
/// exact in f64 wherever it could decide.
fn lowest(x0: f32, radius: f64) -> f32 {
    let low = (f64::from(x0) - radius) as f32;
    if f64::from(x0) - f64::from(low) > radius { low.next_up() } else { low }
}

fn highest(x0: f32, radius: f64) -> f32 {
    let high = (f64::from(x0) + radius) as f32;
    if f64::from(high) - f64::from(x0) > radius { high.next_down() } else { high }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn cheating_is_seen() {
        let ball = Ball::new(image(&[0.5, 0.0]).view(), 1.0 / 255.0);
        for cheat in [[0.51, 0.0], [0.5, -0.001], [f32::NAN, 0.0]] {
            assert!(ball.check(image(&cheat).view()).is_err(), "{cheat:?}");
        }
        assert!(ball.check(image(&[0.5]).view()).is_err());
    }
}
